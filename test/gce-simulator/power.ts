import { releaseDisks } from './disks.ts';
import type { PowerCycle } from './machine.ts';
import { timestamp } from './resources.ts';
import { type Instance, settle, type World } from './world.ts';

/** What the service does by itself to a machine that runs; see events.ts. */
export type RunEvents = {
  /** The system has shut itself down although nobody asked. */
  guestHalted(world: World, instance: Instance): void;
  /** It runs: whatever is to happen to it later begins to count. */
  running(world: World, instance: Instance): void;
};

/** The machine runs from now on, and is paid for. */
export function powerOn(world: World, instance: Instance, events: RunEvents): void {
  const { resource } = instance;
  resource.status = 'RUNNING';
  resource.lastStartTimestamp = world.stamp();
  instance.preempted = false;
  world.ledger.start({
    name: instance.name,
    zone: instance.zone,
    id: resource.id,
    machineType: instance.machineType,
    model: resource.scheduling.provisioningModel,
    accelerators: instance.attached,
  });
  setRunLimit(world, instance);
  boot(world, instance, events);
  events.running(world, instance);
}

function setRunLimit(world: World, instance: Instance): void {
  const seconds = instance.resource.scheduling.maxRunDuration?.seconds;
  if (seconds === undefined) return;
  const terminationTimestamp = timestamp(world.time.now() + Number(seconds) * 1000);
  instance.resource.resourceStatus = { scheduling: { terminationTimestamp } };
}

/** One more boot of a machine that is RUNNING. */
export function boot(world: World, instance: Instance, events: RunEvents): void {
  instance.boots += 1;
  const power: NonNullable<Instance['power']> = { booted: false, halted: false };
  instance.power = power;
  const isOn = (): boolean => instance.power === power;
  const cycle: PowerCycle = {
    number: instance.boots,
    writeSerial: (text) => {
      if (isOn()) instance.serial.append(text);
    },
    poweredOff: () => {
      if (!isOn()) return;
      power.halted = true;
      if (power.whenOff) power.whenOff();
      else events.guestHalted(world, instance);
    },
  };
  const start = (): void => {
    if (!isOn()) return;
    power.booted = true;
    const started = instance.machine.start(cycle);
    if (started instanceof Promise) {
      started.catch((error: unknown) => {
        cycle.writeSerial(`The machine does not boot: ${String(error)}\n`);
        cycle.poweredOff();
      });
    }
  };
  const late = world.faults.take('slow-boot', instance.subject);
  if (late) world.time.after(late.ms, start);
  else start();
}

/**
 * Asks the system to shut down and cuts the power when it has, or when `graceMs` are over. `whenOff` comes when the machine is
 * TERMINATED; it does not come when the instance is gone meanwhile.
 */
export function powerOff(
  world: World,
  instance: Instance,
  { graceMs, whenOff }: { graceMs: number; whenOff: () => void },
): void {
  instance.resource.status = 'STOPPING';
  stopRunTimers(instance);
  const { power } = instance;
  if (!power) {
    cutPower(world, instance, whenOff);
    return;
  }
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    callOff();
    cutPower(world, instance, whenOff);
  };
  const callOff = world.time.after(graceMs, end);
  power.whenOff = end;
  if (graceMs === 0 || !power.booted || power.halted) end();
  else instance.machine.pressPowerButton();
}

/** Off at once. */
export function cutPower(world: World, instance: Instance, whenOff: () => void): void {
  stopRunTimers(instance);
  instance.power = undefined;
  settle(instance.machine.kill(), () => {
    if (instance.gone) return;
    world.ledger.stop(instance.resource.id);
    instance.resource.lastStopTimestamp = world.stamp();
    instance.resource.status = 'TERMINATED';
    delete instance.resource.resourceStatus;
    whenOff();
  });
}

export function stopRunTimers(instance: Instance): void {
  for (const callOff of instance.runTimers) callOff();
  instance.runTimers.clear();
}

/** The instance exists no longer; whoever waits for it is told. `whenGone` comes when its machine is gone too. */
export function removeInstance(
  world: World,
  instance: Instance,
  whenGone: () => void = () => undefined,
): void {
  stopRunTimers(instance);
  instance.power = undefined;
  instance.gone = true;
  world.instances.delete(`${instance.zone}/${instance.name}`);
  world.ledger.stop(instance.resource.id);
  releaseDisks(world, instance);
  settle(instance.machine.kill(), () => {
    settle(instance.machine.remove(), () => {
      whenGone();
      instance.abandon?.();
      for (const waiting of instance.queue.splice(0)) waiting(() => undefined);
    });
  });
}
