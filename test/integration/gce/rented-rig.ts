import { randomBytes } from 'node:crypto';
import { docker } from '../../contracts/docker-under-test.ts';
import { containerMachine } from '../../gce-simulator/container-machine.ts';
import { serveApi } from '../../gce-simulator/http-server.ts';
import type { BilledUsage } from '../../gce-simulator/ledger.ts';
import { LABEL_SIMULATOR } from '../../gce-simulator/machine-container.ts';
import { createSimulator, type Simulator } from '../../gce-simulator/simulator.ts';
import { createRunningTime } from '../../gce-simulator/time.ts';
import type { Timings } from '../../gce-simulator/world.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { startRegistry } from './registry-process.ts';

const PROJECT = 'demo';
const BUCKET = 'project-bucket';
const ZONES = ['us-central1-a', 'us-central1-b'];
/** A machine that is deleted while its program sleeps is off after so long. */
const STOP_GRACE_MS = 10_000;

export type RentedRigOptions = {
  /** How much faster than life the service is; machines and programs are not, and bills are multiplied by it. */
  speed?: number;
  timings?: Partial<Timings>;
  /** One whose storage and registry it shares, and which outlives it. Its machines are its own. */
  beside?: RentedRig;
};

/** Everything that a project with rented machines talks to, on this machine alone. */
export type RentedRig = {
  /** The sections `gce` and `storage` of goldfish.yaml. `warmPool`: keys of `gce.warm_pool`; `more`: of `gce`. */
  yaml(warmPool?: Record<string, unknown>, more?: Record<string, unknown>): string;
  simulator: Simulator;
  emulator: EmulatorProcess;
  bucket: string;
  /** `127.0.0.1:40123`. */
  registry: string;
  /** Of the containers of its machines: `name=value`. */
  machineLabel: string;
  /** How often a call of the Compute API was made: `instances.insert`. */
  calls(id: string): number;
  /** Each stretch of a machine from its start to its stop. */
  bills(): BilledUsage[];
  /** Names of the instances that exist. */
  instances(): string[];
  /** What a machine has said on its serial port. */
  serial(instance: { name: string; zone?: string }): Promise<string>;
  /** Names of containers that are or were machines, and of their volumes. */
  remains(): Promise<string[]>;
  close(): Promise<void>;
};

/** Storage, images, machines. Needs what `hasRentals` asks for. */
export async function openRentedRig(options: RentedRigOptions = {}): Promise<RentedRig> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    // The last first; one that fails keeps no other from its end.
    const failures: unknown[] = [];
    for (const end of ends.splice(0).reverse()) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const { emulator, registry } = options.beside ?? (await startServices(ends));
    const { simulator, machines } = startSimulator(options);
    ends.push(() => simulator.dispose());
    const api = await serveApi(simulator, { host: '127.0.0.1', port: 0 });
    ends.push(() => api.close());
    const endpoint = `http://${api.host}:${api.port}`;
    return {
      yaml: (warmPool = {}, more = {}) =>
        rentalSections({ endpoint, registry, storage: emulator.url, warmPool, more }),
      simulator,
      emulator,
      bucket: BUCKET,
      registry,
      machineLabel: `${LABEL_SIMULATOR}=${machines}`,
      calls: (id) => simulator.calls.count(id),
      bills: () => simulator.ledger.usages(),
      instances: () => simulator.instances().map(({ name }) => name),
      serial: (instance) => serialOf(simulator, instance),
      remains: () => remainsOf(machines),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startServices(
  ends: (() => Promise<void>)[],
): Promise<Pick<RentedRig, 'emulator' | 'registry'>> {
  const emulator = await startEmulatorProcess();
  ends.push(() => emulator.stop());
  await emulator.makeBucket(BUCKET);
  const registry = await startRegistry();
  ends.push(() => registry.stop());
  return { emulator, registry: registry.host };
}

function startSimulator({ speed = 1, timings = {} }: RentedRigOptions) {
  const machines = `goldfish-sim-${randomBytes(4).toString('hex')}`;
  const simulator = createSimulator({
    time: createRunningTime({ speed }),
    project: PROJECT,
    timings: { stopGraceMs: STOP_GRACE_MS * speed, ...timings },
    createMachine: containerMachine({ simulator: machines, docker }),
  });
  return { simulator, machines };
}

/** JSON is YAML too. */
function rentalSections(of: {
  endpoint: string;
  registry: string;
  storage: string;
  warmPool: Record<string, unknown>;
  more: Record<string, unknown>;
}): string {
  const gce = {
    project_id: PROJECT,
    zones: ZONES,
    service_account: `worker@${PROJECT}.iam.gserviceaccount.com`,
    artifact_registry: `${of.registry}/goldfish`,
    api_endpoint: of.endpoint,
    warm_pool: of.warmPool,
    ...of.more,
  };
  const storage = { gcs: { bucket: BUCKET, api_endpoint: of.storage } };
  return `gce: ${JSON.stringify(gce)}\nstorage: ${JSON.stringify(storage)}\n`;
}

async function serialOf(
  simulator: Simulator,
  { zone = '', name }: { zone?: string; name: string },
): Promise<string> {
  const path = `/compute/v1/projects/${PROJECT}/zones/${zone.split('/').at(-1)}/instances/${name}/serialPort`;
  const answer = (await simulator.call({ method: 'GET', path })) as { body?: { contents?: string } };
  return answer.body?.contents ?? '';
}

async function remainsOf(machines: string): Promise<string[]> {
  const filters = { label: [`${LABEL_SIMULATOR}=${machines}`] };
  const containers = await docker.listContainers({ all: true, filters });
  return containers.flatMap(({ Names, Mounts }) => [
    ...Names,
    ...Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name !== undefined ? [Name] : [])),
  ]);
}
