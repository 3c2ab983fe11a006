import type { Resources } from './port.ts';

/** Where a stage finds things in its container. Programs use the variables, never these names. */
export const PLACES = {
  code: '/app',
  inputs: '/mnt/inputs',
  outputs: '/mnt/outputs',
  control: '/mnt/control',
  checkpoints: '/mnt/checkpoints',
  config: '/mnt/config.json',
  temp: '/tmp',
  runtime: '/goldfish',
  pythonLibrary: '/opt/goldfish/python',
  /** Where Node looks for a package from /app. */
  nodeLibrary: '/node_modules/goldfish',
} as const;

export const LABELS = {
  project: 'goldfish.project',
  run: 'goldfish.run',
  attempt: 'goldfish.attempt',
  rank: 'goldfish.rank',
  /** Of trials: the process that waits for the end, as JSON. */
  maker: 'goldfish.maker',
  /** Of images: the key they were built for. */
  key: 'goldfish.key',
} as const;

export type Mount = { Type: 'bind'; Source: string; Target: string; ReadOnly: boolean };

export type ContainerOptions = {
  name: string;
  Image: string;
  User: string;
  Entrypoint: string[];
  Cmd: string[];
  WorkingDir: string;
  Env: string[];
  Labels: Record<string, string>;
  OpenStdin: boolean;
  StdinOnce: boolean;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  Tty: boolean;
  NetworkDisabled: boolean;
  HostConfig: {
    Mounts: Mount[];
    ReadonlyRootfs: boolean;
    CapDrop: string[];
    SecurityOpt: string[];
    Privileged: boolean;
    NetworkMode: string;
    IpcMode: string;
    ShmSize?: number;
    Memory?: number;
    MemorySwap?: number;
    NanoCpus?: number;
    PidsLimit?: number;
    OomScoreAdj: number;
    Init: boolean;
    Ulimits: { Name: string; Soft: number; Hard: number }[];
    LogConfig: { Type: string; Config: Record<string, string> };
    RestartPolicy: { Name: string };
    DeviceRequests: { Driver: string; Count: number; Capabilities: string[][] }[];
  };
};

/** What starts the program. `python`: runtime/container_init.py, which is also handed the secrets. */
export type Init = 'python' | 'engine' | 'none';

/** Beside the program: the init, which is a process of the container too. */
const INIT_PROCESSES = 1;
const INIT_COMMAND = ['python3', '-I', '-S', '-B', `${PLACES.runtime}/container_init.py`, '--'];

export type ContainerPlan = {
  name: string;
  /** `sha256:<hex>`. */
  image: string;
  command: readonly [string, ...string[]];
  environment: Readonly<Record<string, string>>;
  labels: Readonly<Record<string, string>>;
  /** `1000:1000`. */
  user: string;
  mounts: readonly Mount[];
  resources: Omit<Resources, 'nodes' | 'network'>;
  /** Of the machine: asking for more is refused by the engine. */
  machineCpus: number;
  /** `none`, `bridge`, or `container:<name>` to share another rank's. */
  network: string;
  init: Init;
};

/** A container that is as shut in as the engine can make it; what a stage needs is let in by name. */
export function containerOptions(plan: ContainerPlan): ContainerOptions {
  const { init, resources } = plan;
  const [first, ...rest] = init === 'python' ? [...INIT_COMMAND, ...plan.command] : plan.command;
  return {
    name: plan.name,
    Image: plan.image,
    User: plan.user,
    // An entry point of the image would stand between the stage's command and its words.
    Entrypoint: [first ?? ''],
    Cmd: rest,
    WorkingDir: PLACES.code,
    Env: Object.entries(plan.environment).map(([name, value]) => `${name}=${value}`),
    Labels: { ...plan.labels },
    OpenStdin: init === 'python',
    StdinOnce: init === 'python',
    AttachStdin: init === 'python',
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    NetworkDisabled: false,
    HostConfig: {
      Mounts: [...plan.mounts],
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      Privileged: false,
      NetworkMode: plan.network,
      IpcMode: 'private',
      ...memoryLimits(resources.memoryBytes),
      ...(resources.cpus === null
        ? {}
        : { NanoCpus: Math.round(Math.min(resources.cpus, plan.machineCpus) * 1e9) }),
      ...(resources.pidsLimit === null
        ? {}
        : { PidsLimit: resources.pidsLimit + (init === 'none' ? 0 : INIT_PROCESSES) }),
      // When the machine's memory runs out, the kernel should take the stage and not the supervisor.
      OomScoreAdj: 500,
      Init: init === 'engine',
      Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
      // The run wrapper reads the output while it is written; a second copy on the engine's disk would have no bound.
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
      DeviceRequests:
        resources.gpus === 0 ? [] : [{ Driver: '', Count: resources.gpus, Capabilities: [['gpu']] }],
    },
  };
}

/** No swap beside the memory. Half of it may be shared memory, which counts as memory too; the engine gives 64 MB. */
function memoryLimits(bytes: number | null): { Memory?: number; MemorySwap?: number; ShmSize?: number } {
  return bytes === null ? {} : { Memory: bytes, MemorySwap: bytes, ShmSize: Math.floor(bytes / 2) };
}

export function bind(source: string, target: string, access: 'read' | 'write'): Mount {
  return { Type: 'bind', Source: source, Target: target, ReadOnly: access === 'read' };
}

/** The container of a rank is found by this name alone, whoever crashed in between. */
export function containerName(run: { runId: string; attempt: number }, rank: number): string {
  const name = `goldfish-${run.runId}-${run.attempt}`;
  return rank === 0 ? name : `${name}-r${rank}`;
}
