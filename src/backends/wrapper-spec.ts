/**
 * `spec.json`: what the run wrapper (runtime/run_wrapper.py) is to do. No secrets in it; those come through a pipe.
 * The wrapper refuses any other `schema`.
 */
export type WrapperSpec = {
  schema: 2;
  runId: string;
  attempt: number;
  timeoutSeconds: number;
  stopGraceSeconds: number;
  wakeSocket: string | null;
  ranks: RankSpec[];
};

export type RankSpec = {
  rank: number;
  /** The rank's control folder on this machine. */
  control: string;
  program: ProcessProgram | ContainerProgram;
};

export type ProcessProgram = {
  kind: 'process';
  argv: string[];
  cwd: string;
  environment: Record<string, string>;
  /** Over everything else, secrets included. */
  goldfishEnvironment: Record<string, string>;
  memoryBytes: number | null;
  pidsLimit: number | null;
  cpus: number | null;
  /** The sandbox's command up to `--`. */
  sandbox: string[] | null;
};

/** A container that was created and not started. */
export type ContainerProgram = {
  kind: 'container';
  /** `unix:///var/run/docker.sock` or `http://127.0.0.1:2375`. */
  engine: string;
  /** Name or id. */
  container: string;
  /** Whether its first process is runtime/container_init.py, with its standard input open for one attach. */
  init: boolean;
};

/** What every rank finds in its environment, a single one too. */
export function rankEnvironment(place: {
  rank: number;
  nodes: number;
  masterAddress: string;
  masterPort: number;
}): Record<string, string> {
  return {
    GOLDFISH_RANK: `${place.rank}`,
    GOLDFISH_WORLD_SIZE: `${place.nodes}`,
    GOLDFISH_MASTER_ADDR: place.masterAddress,
    GOLDFISH_MASTER_PORT: `${place.masterPort}`,
  };
}
