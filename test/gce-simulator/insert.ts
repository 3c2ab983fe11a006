import { createHash } from 'node:crypto';
import { ApiError, alreadyExists } from './api-error.ts';
import { MACHINE_TYPES, regionOf } from './catalog.ts';
import { attachDisks } from './disks.ts';
import { runEvents } from './events.ts';
import { type InstancePlan, planInstance } from './instance-rules.ts';
import { createMetadata } from './metadata.ts';
import { metadataTree } from './metadata-tree.ts';
import { type Done, operate } from './operate.ts';
import type { Operation, OperationFailure } from './operations.ts';
import { powerOn, removeInstance } from './power.ts';
import { exceededQuota, quotaFailure, quotaSentence } from './quotas.ts';
import { type InstanceResource, link } from './resources.ts';
import { createSerialLog } from './serial-log.ts';
import { stockOut, type Wanted } from './stock-outs.ts';
import type { Instance, World } from './world.ts';

/** Text that changes with what it stands for. Base64, as the service's. */
export function fingerprintOf(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64').slice(0, 12);
}

/** Throws the ApiError of what is refused at once; want of machines shows in the operation. */
export function insertInstance(
  world: World,
  zone: string,
  { body, requestId }: { body: unknown; requestId?: string | undefined },
): Operation {
  const plan = planInstance(world.project, zone, body);
  const { name } = plan.body;
  if (world.instances.has(`${zone}/${name}`)) {
    throw alreadyExists(`projects/${world.project}/zones/${zone}/instances/${name}`);
  }
  const subject = { zone, name, machineType: plan.machineType, model: plan.scheduling.provisioningModel };
  refuseAtOnce(world, subject, plan);
  const disks = attachDisks(world, { zone, name, plan });
  const instance = createInstance(world, { zone, plan, subject, disks });
  world.instances.set(`${zone}/${name}`, instance);
  const undo = (): void => removeInstance(world, instance);
  return operate(world, instance, { verb: 'insert', requestId, waitsForTurn: true, undo }, (done) =>
    provision(world, instance, (failure) => {
      if (!failure) return done();
      // The operation ends before the instance goes, so that it fails for its own reason.
      done(failure);
      undo();
    }),
  );
}

function refuseAtOnce(
  world: World,
  subject: Instance['subject'] & { zone: string },
  plan: InstancePlan,
): void {
  const [shortage] = world.faults.peek('stock-out', subject);
  if (shortage?.wording === 'refused-at-once') {
    world.faults.take('stock-out', subject);
    stockOut(shortage.wording, wanted(world, { ...plan, zone: subject.zone }));
  }
  const [quota] = world.faults.peek('quota', subject);
  if (quota?.as !== 'request') return;
  world.faults.take('quota', subject);
  throw new ApiError(403, 'quotaExceeded', quotaSentence(quota, regionOf(subject.zone)));
}

function wanted(
  world: World,
  { zone, machineType, accelerators }: { zone: string } & Pick<Instance, 'machineType' | 'accelerators'>,
): Wanted {
  return { project: world.project, zone, machineType, accelerators };
}

function createInstance(
  world: World,
  {
    zone,
    plan,
    subject,
    disks,
  }: { zone: string; plan: InstancePlan; subject: Instance['subject']; disks: InstanceResource['disks'] },
): Instance {
  const { time, faults } = world;
  const resource = newResource(world, zone, plan, disks);
  const late = faults.take('late-visibility', subject);
  const listedFrom = time.now() + (late?.ms ?? 0);
  const metadata = createMetadata({
    time,
    tree: () =>
      metadataTree({
        instance: resource,
        project: world.project,
        projectNumber: world.projectNumber,
        preempted: instance.preempted,
      }),
  });
  const { name, id } = resource;
  const clockSkewMs = faults.peek('clock-skew', subject).find(({ of }) => of === 'machine')?.ms ?? 0;
  const instance: Instance = {
    zone,
    name,
    machineType: plan.machineType,
    accelerators: plan.accelerators,
    attached: plan.attached,
    subject,
    resource,
    machine: world.createMachine({ project: world.project, zone, name, id, time, metadata, clockSkewMs }),
    metadata,
    serial: createSerialLog(),
    preempted: false,
    boots: 0,
    power: undefined,
    runTimers: new Set(),
    listedFrom,
    shownFrom: late?.of === 'lists and get' ? listedFrom : time.now(),
    gone: false,
    busy: false,
    queue: [],
    abandon: undefined,
  };
  return instance;
}

function newResource(
  world: World,
  zone: string,
  plan: InstancePlan,
  disks: InstanceResource['disks'],
): InstanceResource {
  const { body } = plan;
  const parent = `projects/${world.project}/zones/${zone}`;
  const { items } = body.metadata;
  const builtIn = MACHINE_TYPES[plan.machineType]?.accelerator;
  const cards = builtIn ? [builtIn] : plan.attached;
  return {
    kind: 'compute#instance',
    id: world.nextId(),
    name: body.name,
    ...(body.description !== undefined && { description: body.description }),
    creationTimestamp: world.stamp(),
    zone: link(parent),
    machineType: link(`${parent}/machineTypes/${plan.machineType}`),
    status: 'PROVISIONING',
    cpuPlatform: 'Unknown CPU Platform',
    selfLink: link(`${parent}/instances/${body.name}`),
    tags: {
      ...(body.tags.items.length > 0 && { items: body.tags.items }),
      fingerprint: fingerprintOf(body.tags),
    },
    disks,
    networkInterfaces: body.networkInterfaces.map((asked, index) => ({
      kind: 'compute#networkInterface',
      name: `nic${index}`,
      networkIP: '127.0.0.1',
      ...asked,
    })),
    metadata: {
      kind: 'compute#metadata',
      fingerprint: fingerprintOf(items),
      ...(items.length > 0 && { items }),
    },
    ...(body.serviceAccounts.length > 0 && {
      serviceAccounts: body.serviceAccounts.map(({ email, scopes }) => ({
        email: email === 'default' ? `${world.projectNumber}-compute@developer.gserviceaccount.com` : email,
        scopes,
      })),
    }),
    scheduling: plan.scheduling,
    ...(Object.keys(body.labels).length > 0 && { labels: body.labels }),
    labelFingerprint: fingerprintOf(body.labels),
    ...(cards.length > 0 && {
      guestAccelerators: cards.map(({ type, count }) => ({
        acceleratorType: link(`${parent}/acceleratorTypes/${type}`),
        acceleratorCount: count,
      })),
    }),
    startRestricted: false,
    deletionProtection: false,
  };
}

/** From PROVISIONING over STAGING to RUNNING; or the failure, and then the instance is where it was. */
export function provision(world: World, instance: Instance, done: Done): void {
  const { time, timings, faults } = world;
  const slow = faults.take('slow-provisioning', instance.subject);
  instance.resource.status = 'PROVISIONING';
  time.after(timings.provisioningMs + (slow?.ms ?? 0), () => {
    if (instance.gone) return;
    const failure = shortage(world, instance);
    if (failure) return done(failure);
    instance.resource.status = 'STAGING';
    time.after(timings.stagingMs, () => {
      if (instance.gone) return;
      instance.resource.cpuPlatform = 'Intel Ice Lake';
      powerOn(world, instance, runEvents);
      done();
    });
  });
}

function shortage(world: World, instance: Instance): OperationFailure | undefined {
  const fault = world.faults.take('stock-out', instance.subject);
  if (fault) {
    // A start has no request that could be refused in this way: it is told the plain thing.
    const wording = fault.wording === 'refused-at-once' ? 'pool-exhausted' : fault.wording;
    return stockOut(wording, wanted(world, instance));
  }
  const quota = world.faults.take('quota', instance.subject);
  if (quota) return quotaFailure(quota, regionOf(instance.zone));
  return exceededQuota(world, instance);
}
