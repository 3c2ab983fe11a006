import type { FaultOf } from './faults.ts';
import { boot, cutPower, powerOff, powerOn, type RunEvents, removeInstance } from './power.ts';
import { resourceOf } from './resources.ts';
import { type Instance, settle, type World, whenFree } from './world.ts';

/** From the notice of a preemption until the power is cut: cloud.google.com/compute/docs/instances/preemptible. */
const PREEMPTION_NOTICE_MS = 30_000;

const LATER = ['preempt', 'stop', 'vanish', 'host-error'] as const;
type LaterFault = FaultOf<(typeof LATER)[number]>;

export const runEvents: RunEvents = {
  guestHalted: (world, instance) => {
    systemEvent(world, instance, 'guestTerminate', 'Instance terminated by guest OS shutdown.');
    whenUp(instance, (release) => powerOff(world, instance, { graceMs: 0, whenOff: release }));
  },
  running: (world, instance) => {
    const { maxRunDuration } = instance.resource.scheduling;
    if (maxRunDuration) {
      later(world, instance, Number(maxRunDuration.seconds) * 1000, () => endRun(world, instance));
    }
    for (const kind of LATER) {
      // Only spot machines are preempted; the fault waits for one.
      if (kind === 'preempt' && !instance.resource.scheduling.preemptible) continue;
      const fault = world.faults.take(kind, instance.subject);
      if (fault) later(world, instance, fault.afterMs, () => strike(world, instance, fault));
    }
  },
};

/** Falls due while the machine runs; a stop before that calls it off. */
function later(world: World, instance: Instance, ms: number, action: () => void): void {
  const callOff = world.time.after(ms, () => {
    instance.runTimers.delete(callOff);
    action();
  });
  instance.runTimers.add(callOff);
}

function strike(world: World, instance: Instance, fault: LaterFault): void {
  if (fault.kind === 'preempt') preempt(world, instance, fault.noticeMs);
  else if (fault.kind === 'vanish') vanish(world, instance);
  else if (fault.kind === 'host-error') breakHost(world, instance);
  else stopByOthers(world, instance);
}

function systemEvent(world: World, instance: Instance, event: string, message: string): void {
  world.operations.event({
    zone: instance.zone,
    type: `compute.instances.${event}`,
    target: targetOf(instance),
    message,
  });
}

export function targetOf({ resource, name }: Instance): { resource: string; id: string; name: string } {
  return { resource: resourceOf(resource.selfLink), id: resource.id, name };
}

/** When nothing else happens to it, and only if it runs then. */
function whenUp(instance: Instance, start: (release: () => void) => void): void {
  whenFree(instance, (release) => {
    if (instance.gone || instance.resource.status !== 'RUNNING') release();
    else start(release);
  });
}

/** Nothing happens to a machine that does not run any more. Throws for one that is not spot: the service never does it. */
export function preempt(world: World, instance: Instance, noticeMs = PREEMPTION_NOTICE_MS): void {
  if (!instance.resource.scheduling.preemptible) throw new Error(`${instance.name} is no spot machine.`);
  whenUp(instance, (release) => {
    instance.preempted = true;
    systemEvent(world, instance, 'preempted', 'Instance was preempted.');
    if (noticeMs > 0) instance.metadata.changed();
    endBy(world, instance, noticeMs, release);
  });
}

/**
 * The time that `maxRunDuration` allows is over. Under which type the service lists this is not known to us: here it is a
 * stop or a deletion by `system`.
 */
function endRun(world: World, instance: Instance): void {
  whenUp(instance, (release) => {
    const type = instance.resource.scheduling.instanceTerminationAction === 'DELETE' ? 'delete' : 'stop';
    const end = beginOperation(world, instance, { type, user: 'system' });
    endBy(world, instance, world.timings.stopGraceMs, () => {
      end();
      release();
    });
  });
}

/** An operation that is not the caller's; what comes back ends it, and so does the end of the instance. */
function beginOperation(
  { operations }: World,
  instance: Instance,
  { type, user }: { type: string; user: string },
): () => void {
  const operation = operations.open({ zone: instance.zone, type, target: targetOf(instance), user });
  operations.run(operation);
  const end = (): void => {
    if (instance.abandon === end) operations.finish(operation);
    instance.abandon = undefined;
  };
  instance.abandon = end;
  return end;
}

/** Stops it, and deletes it where its scheduling says so. */
function endBy(world: World, instance: Instance, graceMs: number, whenOver: () => void): void {
  powerOff(world, instance, {
    graceMs,
    whenOff: () => {
      const { instanceTerminationAction } = instance.resource.scheduling;
      if (instanceTerminationAction === 'DELETE') removeInstance(world, instance, whenOver);
      else whenOver();
    },
  });
}

export function vanish(world: World, instance: Instance): void {
  if (!instance.gone) removeInstance(world, instance);
}

/** Somebody who is not the caller stops it, as from the console. */
export function stopByOthers(world: World, instance: Instance): void {
  whenUp(instance, (release) => {
    const end = beginOperation(world, instance, { type: 'stop', user: 'somebody@example.com' });
    powerOff(world, instance, {
      graceMs: world.timings.stopGraceMs,
      whenOff: () => {
        end();
        release();
      },
    });
  });
}

/** Off without a warning; on again elsewhere where it restarts automatically, TERMINATED for good where not. */
export function breakHost(world: World, instance: Instance): void {
  whenUp(instance, (release) => {
    systemEvent(world, instance, 'hostError', 'Compute Engine host error.');
    cutPower(world, instance, () => {
      if (!instance.resource.scheduling.automaticRestart) return release();
      instance.resource.status = 'STAGING';
      world.time.after(world.timings.restartMs, () => {
        if (instance.gone) return release();
        systemEvent(world, instance, 'automaticRestart', 'Instance was automatically restarted.');
        powerOn(world, instance, runEvents);
        release();
      });
    });
  });
}

/** As the button of a computer: the system has no say. */
export function resetPower(world: World, instance: Instance, whenOver: () => void): void {
  instance.power = undefined;
  settle(instance.machine.kill(), () => {
    if (instance.gone) return;
    boot(world, instance, runEvents);
    whenOver();
  });
}
