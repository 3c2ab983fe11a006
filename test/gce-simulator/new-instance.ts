import { createHash } from 'node:crypto';
import { MACHINE_TYPES } from './catalog.ts';
import type { InstancePlan } from './instance-rules.ts';
import { createMetadata } from './metadata.ts';
import { metadataTree } from './metadata-tree.ts';
import { type InstanceResource, link } from './resources.ts';
import { createSerialLog } from './serial-log.ts';
import type { Instance, World } from './world.ts';

/** Text that changes with what it stands for. Base64, as the service's. */
export function fingerprintOf(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64').slice(0, 12);
}

/** An instance that is PROVISIONING, with its machine, which is off. */
export function createInstance(
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
