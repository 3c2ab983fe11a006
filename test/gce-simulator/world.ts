import type { FaultBook, Subject } from './faults.ts';
import type { Accelerator } from './instance-rules.ts';
import type { Ledger } from './ledger.ts';
import type { CreateMachine, Machine } from './machine.ts';
import type { Metadata } from './metadata.ts';
import type { Operations } from './operations.ts';
import type { Quotas } from './quotas.ts';
import type { DiskResource, InstanceResource } from './resources.ts';
import type { SerialLog } from './serial-log.ts';
import type { SimulatedTime } from './time.ts';

/** How long things take, in simulated milliseconds. */
export type Timings = {
  /** An operation waits this long before it begins. */
  pendingMs: number;
  /** From the beginning of an insert until a place is found, or is known not to be there. */
  provisioningMs: number;
  /** From then on until the machine is RUNNING. */
  stagingMs: number;
  /** Writing metadata or labels. */
  writeMs: number;
  /** Deleting what is off. */
  deleteMs: number;
  /** How long a system may take to shut down when its machine is stopped or deleted. */
  stopGraceMs: number;
  /** From a broken host to the restart on another. */
  restartMs: number;
};

export const USUAL_TIMINGS: Timings = {
  pendingMs: 200,
  provisioningMs: 3_000,
  stagingMs: 5_000,
  writeMs: 1_000,
  deleteMs: 2_000,
  stopGraceMs: 90_000,
  restartMs: 60_000,
};

export type Instance = {
  zone: string;
  name: string;
  machineType: string;
  accelerators: Accelerator[];
  attached: Accelerator[];
  /** What faults are held against. */
  subject: Subject;
  resource: InstanceResource;
  machine: Machine;
  metadata: Metadata;
  serial: SerialLog;
  /** The service has said that it takes the machine back; what the metadata server shows. */
  preempted: boolean;
  /** How often it was powered on. */
  boots: number;
  /** There while it is on. */
  power: { booted: boolean; halted: boolean; whenOff?: () => void } | undefined;
  /** What falls due while it runs; called off when it stops. */
  runTimers: Set<() => void>;
  listedFrom: number;
  shownFrom: number;
  gone: boolean;
  /** One thing at a time happens to an instance; the others wait. */
  busy: boolean;
  queue: ((release: () => void) => void)[];
  /** Ends the operation under way when the instance is gone meanwhile. */
  abandon: (() => void) | undefined;
};

/** Everything there is. */
export type World = {
  project: string;
  projectNumber: bigint;
  time: SimulatedTime;
  /** The service's clock as text; it may be skewed. */
  stamp: () => string;
  timings: Timings;
  faults: FaultBook;
  operations: Operations;
  ledger: Ledger;
  quotas: Quotas;
  createMachine: CreateMachine;
  nextId: () => string;
  /** By `zone/name`. */
  instances: Map<string, Instance>;
  disks: Map<string, DiskResource>;
};

/** Runs `start` when nothing else happens to the instance; `release` lets the next one begin. */
export function whenFree(instance: Instance, start: (release: () => void) => void): void {
  if (instance.gone) {
    start(() => undefined);
    return;
  }
  if (instance.busy) {
    instance.queue.push(start);
    return;
  }
  instance.busy = true;
  let released = false;
  start(() => {
    if (released) return;
    released = true;
    instance.busy = false;
    const next = instance.queue.shift();
    if (next) whenFree(instance, next);
  });
}

/** Goes on when a machine has done what may take it real time; a machine's trouble stops no instance. */
export function settle(result: void | Promise<void>, next: () => void): void {
  if (result instanceof Promise) result.then(next, next);
  else next();
}
