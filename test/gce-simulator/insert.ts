import { ApiError } from '../support/google-api-error.ts';
import { alreadyExists } from './api-error.ts';
import { regionOf } from './catalog.ts';
import { attachDisks } from './disks.ts';
import { runEvents } from './events.ts';
import { type InstancePlan, planInstance } from './instance-rules.ts';
import { createInstance } from './new-instance.ts';
import { type Done, operate } from './operate.ts';
import type { Operation, OperationFailure } from './operations.ts';
import { powerOn, removeInstance } from './power.ts';
import { exceededQuota, quotaFailure, quotaSentence } from './quotas.ts';
import { stockOut, type Wanted } from './stock-outs.ts';
import type { Instance, World } from './world.ts';

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
