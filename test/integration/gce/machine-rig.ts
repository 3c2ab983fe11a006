import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import { docker } from '../../contracts/docker-under-test.ts';
import { containerMachine } from '../../gce-simulator/container-machine.ts';
import { instanceRequest, type Json, ZONE } from '../../gce-simulator/fast-simulator.ts';
import { LABEL_SIMULATOR } from '../../gce-simulator/machine-container.ts';
import { createSimulator, type Simulator } from '../../gce-simulator/simulator.ts';
import { createRunningTime } from '../../gce-simulator/time.ts';
import { until } from '../until.ts';

/** The machine has little time for us: others use it too. */
const PATIENCE_SECONDS = 60;
/** Nothing takes simulated time but the end of a machine, which has more than a test waits for. */
const TIMINGS = {
  pendingMs: 0,
  provisioningMs: 0,
  stagingMs: 0,
  writeMs: 0,
  deleteMs: 0,
  restartMs: 0,
  stopGraceMs: 3_600_000,
};

export type MachineRig = {
  simulator: Simulator;
  /** Its containers carry it. */
  id: string;
  /** Where the metadata of a machine are served. */
  addresses: Map<string, string>;
  /** Inserts a machine with that start-up script, and waits until it is RUNNING. */
  insert(name: string, script: string, changes?: Json): Promise<void>;
  /** Calls `stop`, `start`, `reset` or `delete` of it, and waits for the operation's end. */
  operate(verb: 'stop' | 'start' | 'reset' | 'delete', name: string): Promise<void>;
  serial(name: string): Promise<string>;
  /** Waits until the serial port shows it; all that it shows then. */
  shows(name: string, text: string): Promise<string>;
  status(name: string): string | undefined;
  becomes(name: string, status: string | undefined): Promise<void>;
  containers(): Promise<Docker.ContainerInfo[]>;
  container(name: string): Promise<Docker.ContainerInspectInfo>;
  close(): Promise<void>;
};

export function openMachineRig(): MachineRig {
  const id = `goldfish-sim-${randomBytes(4).toString('hex')}`;
  const addresses = new Map<string, string>();
  const simulator = createSimulator({
    time: createRunningTime(),
    timings: TIMINGS,
    createMachine: containerMachine({
      simulator: id,
      docker,
      onAddress: (name, address) => addresses.set(name, address),
    }),
  });
  const call = async (method: string, path: string, body?: unknown): Promise<Json> => {
    const answer = await simulator.call({
      method,
      path: `/compute/v1/projects/demo/zones/${ZONE}/${path}`,
      body,
    });
    if (answer === 'disconnect') throw new Error('disconnect');
    if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const done = async (operation: Json): Promise<void> => {
    let ended = operation;
    while (ended.status !== 'DONE') ended = await call('POST', `operations/${operation.name}/wait`);
    if (ended.error) throw new Error(JSON.stringify(ended.error));
  };
  const status = (name: string) => simulator.instances().find((instance) => instance.name === name)?.status;
  const serial = async (name: string) =>
    (await call('GET', `instances/${name}/serialPort`)).contents as string;
  const containers = () =>
    docker.listContainers({ all: true, filters: { label: [`${LABEL_SIMULATOR}=${id}`] } });
  return {
    simulator,
    id,
    addresses,
    insert: async (name, script, changes = {}) => {
      const { attributes = {}, ...others } = changes;
      const items = Object.entries({ 'startup-script': script, ...attributes });
      const metadata = { items: items.map(([key, value]) => ({ key, value })) };
      await done(await call('POST', 'instances', instanceRequest({ name, metadata, ...others })));
    },
    operate: async (verb, name) =>
      done(
        verb === 'delete'
          ? await call('DELETE', `instances/${name}`)
          : await call('POST', `instances/${name}/${verb}`),
      ),
    serial,
    shows: async (name, text) => {
      let seen = '';
      const look = async (): Promise<boolean> => {
        seen = await serial(name);
        return seen.includes(text);
      };
      await until(look, JSON.stringify(text), PATIENCE_SECONDS).catch((error: Error) => {
        throw new Error(`${error.message}; the serial port shows:\n${seen}`);
      });
      return seen;
    },
    status,
    becomes: (name, wanted) =>
      until(() => status(name) === wanted, `${name} to be ${wanted ?? 'gone'}`, PATIENCE_SECONDS),
    containers,
    container: async (name) => {
      const found = (await containers()).find(({ Names }) => Names.some((one) => one.includes(`-${name}-`)));
      if (!found) throw new Error(`There is no container of ${name}.`);
      return docker.getContainer(found.Id).inspect();
    },
    close: () => simulator.dispose(),
  };
}
