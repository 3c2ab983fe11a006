import { createSimulator, type Simulator, type SimulatorOptions } from './simulator.ts';
import { createManualTime, type ManualTime } from './time.ts';

/** What a test gets of an answer: its status and its JSON. */
export type Answer = { status: number; body: Json };
/** JSON of which a test knows the form: what is not there shows as a failed comparison. */
export type Json = ReturnType<typeof JSON.parse>;

export const ZONE = 'us-central1-a';

/** The simulator in one process on time that moves only when told. */
export type FastSimulator = Omit<Simulator, 'time' | 'call'> & {
  time: ManualTime;
  /** `path` below the project, with its query: `zones/us-central1-a/instances`. */
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The body of a 200; throws what else is answered. */
  get(path: string): Promise<Json>;
  post(path: string, body?: unknown): Promise<Json>;
  remove(path: string): Promise<Json>;
  /** Lets time pass until an operation is DONE, and returns it. */
  done(operation: Json): Promise<Json>;
  /** Inserts a machine and lets time pass until it is RUNNING. */
  start(changes?: Json): Promise<Json>;
  status(name?: string): string | undefined;
};

/** A request that the service accepts; `changes` replace whole fields. */
export function instanceRequest(changes: Json = {}, zone = ZONE): Json {
  return {
    name: 'm1',
    machineType: `zones/${zone}/machineTypes/n2-standard-4`,
    disks: [
      {
        boot: true,
        autoDelete: true,
        initializeParams: { sourceImage: 'projects/debian-cloud/global/images/family/debian-12' },
      },
    ],
    networkInterfaces: [{ network: 'global/networks/default' }],
    ...changes,
  };
}

export const SPOT = { provisioningModel: 'SPOT', instanceTerminationAction: 'STOP' };

export function createFastSimulator(options: Omit<SimulatorOptions, 'time'> = {}): FastSimulator {
  const time = createManualTime();
  const simulator = createSimulator({ ...options, time });
  const call: FastSimulator['call'] = async (method, path, body) => {
    const answer = await simulator.call({ method, path: `/compute/v1/projects/demo/${path}`, body });
    if (answer === 'disconnect') throw new Error('disconnect');
    return answer;
  };
  const good = async (method: string, path: string, body?: unknown): Promise<Json> => {
    const answer = await call(method, path, body);
    if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const done: FastSimulator['done'] = async (operation) => {
    const zone = operation.zone.split('/').at(-1);
    let ended: Json;
    const wait = (async () => {
      while (ended?.status !== 'DONE')
        ended = await good('POST', `zones/${zone}/operations/${operation.name}/wait`);
    })();
    await time.until(() => ended?.status === 'DONE');
    await wait;
    return ended;
  };
  return {
    ...simulator,
    time,
    call,
    get: (path) => good('GET', path),
    post: (path, body) => good('POST', path, body),
    remove: (path) => good('DELETE', path),
    done,
    start: async (changes) => {
      const operation = await done(await good('POST', `zones/${ZONE}/instances`, instanceRequest(changes)));
      if (operation.error) throw new Error(JSON.stringify(operation.error));
      return good('GET', `zones/${ZONE}/instances/${changes?.name ?? 'm1'}`);
    },
    status: (name = 'm1') => simulator.instances().find((instance) => instance.name === name)?.status,
  };
}
