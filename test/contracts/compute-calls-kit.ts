import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach } from 'vitest';
import {
  type CallOptions,
  type ComputeCalls,
  ComputeFailure,
  type InstanceBody,
  type OperationFacts,
} from '../../src/backends/gce/compute-calls.ts';
import { scriptedMachine } from '../gce-simulator/scripted-machine.ts';
import type { Simulator } from '../gce-simulator/simulator.ts';

/** What an adapter's test gives the contract to work on. */
export type ComputeHarness = { open(): Promise<OpenedCompute> };

export type OpenedCompute = {
  calls: ComputeCalls;
  /** What stands behind them: without machines, and with `contractMachine` in those to come. */
  simulator: Simulator;
  /** The end of the work; time passes in the service meanwhile. */
  settled<T>(work: Promise<T>): Promise<T>;
  dispose(): Promise<void>;
};

export type ComputeUnderTest = Omit<OpenedCompute, 'dispose'> & {
  /** Waits as a caller must: again, while it is not DONE. */
  ended(asked: Promise<OperationFacts | undefined>, zone?: string): Promise<OperationFacts>;
  /** Inserts a machine that runs. */
  start(name: string, change?: Partial<InstanceBody>, zone?: string): Promise<void>;
};

export const [A, B] = ['us-central1-a', 'us-east1-b'] as const;

/** Writes so many numbered lines to the serial port as its metadata says, or one. */
export const contractMachine = scriptedMachine((guest) => {
  const lines = Number(guest.attribute('lines') ?? '1');
  for (let number = 1; number <= lines; number += 1) guest.print(serialLine(number));
});

export const serialLine = (number: number): string => `${number} ${'x'.repeat(99)}`;

/** A machine that every zone has. */
export function machineBody(
  name: string,
  change: Partial<InstanceBody> = {},
  zone: string = A,
): InstanceBody {
  return {
    name,
    machineType: `zones/${zone}/machineTypes/n2-standard-4`,
    labels: { run: 'r1' },
    metadata: { items: [] },
    disks: [
      {
        boot: true,
        autoDelete: true,
        deviceName: 'boot',
        initializeParams: {
          sourceImage: 'projects/debian-cloud/global/images/family/debian-12',
          diskSizeGb: '20',
          diskType: `zones/${zone}/diskTypes/pd-balanced`,
          labels: {},
        },
      },
    ],
    networkInterfaces: [{ network: 'global/networks/default' }],
    serviceAccounts: [],
    scheduling: {
      provisioningModel: 'STANDARD',
      onHostMaintenance: 'MIGRATE',
      automaticRestart: false,
      instanceTerminationAction: 'DELETE',
      maxRunDuration: { seconds: '3600' },
    },
    ...change,
  };
}

/** What is asked for where a test does not say more. */
export function insertion(name: string, change: Partial<InstanceBody> = {}, zone: string = A) {
  return { zone, requestId: randomUUID(), body: machineBody(name, change, zone) };
}

/** Waits as a caller must: again, while it is not DONE. */
export async function endOf(
  { calls, settled }: Pick<ComputeUnderTest, 'calls' | 'settled'>,
  asked: OperationFacts | undefined,
  zone: string,
): Promise<OperationFacts> {
  if (!asked) throw new Error('there is no operation');
  let operation = asked;
  while (operation.status !== 'DONE') {
    operation = await settled(calls.waitOperation({ zone, operation: operation.name }));
  }
  return operation;
}

/** The service of the test that is running. */
export function opened(harness: ComputeHarness): ComputeUnderTest {
  let current: OpenedCompute | undefined;
  const now = (): OpenedCompute => {
    if (!current) throw new Error('asked for outside of a test');
    return current;
  };
  beforeEach(async () => {
    current = await harness.open();
  });
  afterEach(() => now().dispose());
  const ended: ComputeUnderTest['ended'] = async (asked, zone = A) => endOf(now(), await asked, zone);
  return {
    get calls() {
      return now().calls;
    },
    get simulator() {
      return now().simulator;
    },
    settled: (work) => now().settled(work),
    ended,
    start: async (name, change, zone = A) => {
      const { error } = await ended(now().calls.insertInstance(insertion(name, change, zone)), zone);
      if (error) throw new Error(JSON.stringify(error));
    },
  };
}

/** Every call of the port, and the API's name of the request that it is. */
export const CALLS: readonly [
  name: string,
  id: string,
  call: (calls: ComputeCalls, options?: CallOptions) => Promise<unknown>,
][] = [
  ['insertInstance', 'instances.insert', (calls, options) => calls.insertInstance(insertion('m1'), options)],
  [
    'waitOperation',
    'zoneOperations.wait',
    (calls, options) => calls.waitOperation({ zone: A, operation: 'operation-1' }, options),
  ],
  ['getInstance', 'instances.get', (calls, options) => calls.getInstance({ zone: A, name: 'm1' }, options)],
  [
    'deleteInstance',
    'instances.delete',
    (calls, options) => calls.deleteInstance({ zone: A, name: 'm1', requestId: randomUUID() }, options),
  ],
  [
    'listInstances',
    'instances.aggregatedList',
    (calls, options) => calls.listInstances({ filter: '' }, options),
  ],
  [
    'listInstances of a zone',
    'instances.list',
    (calls, options) => calls.listInstances({ zone: A, filter: '' }, options),
  ],
  [
    'listOperations',
    'zoneOperations.list',
    (calls, options) => calls.listOperations({ zone: A, filter: '' }, options),
  ],
  [
    'serialOutput',
    'instances.getSerialPortOutput',
    (calls, options) => calls.serialOutput({ zone: A, name: 'm1' }, options),
  ],
];

/** What a call was refused with. */
export async function failureOf(call: Promise<unknown>): Promise<ComputeFailure> {
  const failure = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof ComputeFailure) return failure;
  throw new Error('It was not refused.', { cause: failure });
}
