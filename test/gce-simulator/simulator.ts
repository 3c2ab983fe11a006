import { type ApiAnswer, type ApiRequest, answerCall } from './answer-calls.ts';
import { type Calls, createCalls } from './calls.ts';
import { breakHost, preempt, stopByOthers, vanish } from './events.ts';
import { createFaultBook, type FaultBook } from './faults.ts';
import { createLedger, type Ledger, type Prices } from './ledger.ts';
import type { CreateMachine } from './machine.ts';
import type { Metadata } from './metadata.ts';
import { createOperations, serviceNow } from './operations.ts';
import type { Quotas } from './quotas.ts';
import { type DiskResource, type InstanceResource, timestamp } from './resources.ts';
import { idleScript, scriptedMachine } from './scripted-machine.ts';
import type { SimulatedTime } from './time.ts';
import { trackMachines } from './tracked-machines.ts';
import { type Instance, type Timings, USUAL_TIMINGS, type World } from './world.ts';

export type SimulatorOptions = {
  time: SimulatedTime;
  /** The one project that exists. */
  project?: string;
  /** What runs inside instances; without it machines boot and idle. */
  createMachine?: CreateMachine;
  timings?: Partial<Timings>;
  /** Limits that differ from the ample ones: `{ 'us-central1': { CPUS: 24 }, global: { GPUS_ALL_REGIONS: 1 } }`. */
  quotas?: Quotas;
  /** Other prices than those of the list (prices.ts), which are the same in all zones. */
  pricePerHour?: Prices;
};

export type Simulator = {
  project: string;
  time: SimulatedTime;
  /** The API without a network. */
  call(request: ApiRequest): Promise<ApiAnswer>;
  /** What is to go wrong. */
  faults: FaultBook;
  /** The clock of the service, which may be skewed: milliseconds since the epoch. */
  serviceNow(): number;
  /** What was called. */
  calls: Calls;
  /** What is to be paid. */
  ledger: Ledger;
  /** How things are, without a call and without the delays of lists. */
  instances(): InstanceResource[];
  disks(): DiskResource[];
  /** What an instance's metadata server says. Throws where there is no such instance. */
  metadata(name: string): Metadata;
  /** What happens to a machine that runs, at once. Each throws where there is no such instance. */
  preempt(name: string, noticeMs?: number): void;
  stop(name: string): void;
  vanish(name: string): void;
  breakHost(name: string): void;
  /** The end of everything: machines that are there are ended and removed, and none boots any more. */
  dispose(): Promise<void>;
};

const PROJECT_NUMBER = 123456789012n;
/** Ids have 19 digits: more than a double can tell apart. */
const FIRST_ID = 4_000_000_000_000_000_001n;

/** Compute Engine on simulated time: pure but for the machines that are put into it. */
export function createSimulator({
  time,
  project = 'demo',
  createMachine = scriptedMachine(idleScript),
  timings,
  quotas = {},
  pricePerHour,
}: SimulatorOptions): Simulator {
  let id = FIRST_ID;
  const nextId = (): string => String(id++);
  const faults = createFaultBook();
  const stamp = (): string => timestamp(serviceNow(time, faults));
  const machines = trackMachines(createMachine);
  const world: World = {
    project,
    projectNumber: PROJECT_NUMBER,
    time,
    stamp,
    timings: { ...USUAL_TIMINGS, ...timings },
    faults,
    operations: createOperations({ project, time, stamp, faults, nextId }),
    ledger: createLedger(time, pricePerHour),
    quotas,
    createMachine: machines.create,
    nextId,
    instances: new Map(),
    disks: new Map(),
  };
  const calls = createCalls();
  const find = (name: string): Instance => {
    for (const instance of world.instances.values()) if (instance.name === name) return instance;
    throw new Error(`There is no instance ${name}.`);
  };
  return {
    project,
    time,
    call: (request) => answerCall(world, calls, request),
    faults,
    serviceNow: () => serviceNow(time, faults),
    calls,
    ledger: world.ledger,
    instances: () => [...world.instances.values()].map(({ resource }) => structuredClone(resource)),
    disks: () => structuredClone([...world.disks.values()]),
    metadata: (name) => find(name).metadata,
    preempt: (name, noticeMs) => preempt(world, find(name), noticeMs),
    stop: (name) => stopByOthers(world, find(name)),
    vanish: (name) => vanish(world, find(name)),
    breakHost: (name) => breakHost(world, find(name)),
    dispose: () => machines.dispose(),
  };
}
