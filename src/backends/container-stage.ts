import {
  bind,
  type ContainerOptions,
  containerName,
  containerOptions,
  type Init,
  LABELS,
  type Mount,
  PLACES,
} from './container.ts';
import type { RunSpec } from './port.ts';
import { goldfishEnvironment, type StagePlaces } from './stage-document.ts';
import { rankEnvironment } from './wrapper-spec.ts';

/** Ranks share one network of their own, so the port is free. */
const MASTER = { masterAddress: '127.0.0.1', masterPort: 29500 };

/** Where a stage finds its things in its container. */
export const INSIDE: StagePlaces = {
  inputs: PLACES.inputs,
  outputs: PLACES.outputs,
  control: PLACES.control,
  checkpoints: PLACES.checkpoints,
  config: PLACES.config,
};

/** Paths on the machine whose engine starts the container; nothing else of it is seen inside. */
export type StagePaths = {
  /** What of ours every container reads. */
  runtime: string;
  pythonLibrary: string;
  nodeLibrary: string;
  code: string;
  config: string;
  /** Has a place for each input. */
  inputs: string;
  /** By file name. */
  input: ReadonlyMap<string, string>;
  outputs: string;
  control: string;
  checkpoints: string;
  temp: string;
};

export type StageContainer = {
  spec: RunSpec;
  rank: number;
  paths: StagePaths;
  /** The engine's name for it: an id, or a name with its digest. */
  image: string;
  /** Of the image. */
  pythonPath: string;
  init: Init;
  user: string;
  machineCpus: number;
  /** Of the project, so that its containers are found. */
  project: string;
};

/** The container of one rank: the same here and on a rented machine. */
export function stageContainer(of: StageContainer): ContainerOptions {
  const { spec, rank, image, user, machineCpus, init, project } = of;
  const [first = '', ...rest] = spec.command;
  return containerOptions({
    name: containerName(spec, rank),
    image,
    command: [first === 'python' ? 'python3' : first, ...rest],
    environment: environmentOf(of),
    labels: {
      [LABELS.project]: project,
      [LABELS.run]: spec.runId,
      [LABELS.attempt]: `${spec.attempt}`,
      [LABELS.rank]: `${rank}`,
    },
    user,
    mounts: mountsOf(of.paths),
    resources: spec.resources,
    machineCpus,
    network: rank > 0 ? `container:${containerName(spec, 0)}` : spec.resources.network ? 'bridge' : 'none',
    init,
  });
}

/** Literal values only: the engine keeps what it is given on its disk, in the clear. */
function environmentOf({ spec, pythonPath, rank }: StageContainer): Record<string, string> {
  const own = spec.environment['PYTHONPATH'] ?? pythonPath;
  return {
    HOME: PLACES.temp,
    TMPDIR: PLACES.temp,
    LANG: 'C.UTF-8',
    // The code folder is shared and read-only; output appears in the log as it is printed.
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
    PYTHONNOUSERSITE: '1',
    ...spec.environment,
    PYTHONPATH: [PLACES.code, PLACES.pythonLibrary, ...(own ? [own] : [])].join(':'),
    ...goldfishEnvironment(spec, INSIDE),
    ...rankEnvironment({ rank, nodes: spec.resources.nodes, ...MASTER }),
  };
}

function mountsOf(paths: StagePaths): Mount[] {
  return [
    bind(paths.code, PLACES.code, 'read'),
    bind(paths.runtime, PLACES.runtime, 'read'),
    bind(paths.pythonLibrary, PLACES.pythonLibrary, 'read'),
    bind(paths.nodeLibrary, PLACES.nodeLibrary, 'read'),
    bind(paths.config, PLACES.config, 'read'),
    bind(paths.inputs, PLACES.inputs, 'read'),
    ...[...paths.input].map(([fileName, path]) => bind(path, `${PLACES.inputs}/${fileName}`, 'read')),
    bind(paths.outputs, PLACES.outputs, 'write'),
    bind(paths.control, PLACES.control, 'write'),
    bind(paths.checkpoints, PLACES.checkpoints, 'write'),
    bind(paths.temp, PLACES.temp, 'write'),
  ];
}
