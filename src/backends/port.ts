import type { StopReason } from '../core/causes.ts';
import type { JsonObject } from '../core/json.ts';
import type { SignalType } from '../core/signals.ts';

/**
 * What executes runs. Adapters: process, docker (here), gce (rented). Behaviour is asked of `capabilities`;
 * no code outside an adapter names a backend. Every method may be repeated: the caller's key is run id and attempt.
 */
export type RunBackend = {
  readonly name: string;
  readonly capabilities: BackendCapabilities;
  /** Whether work can be started now, and if not, what is missing. Cheap; never pulls or installs. */
  probe(options?: CallOptions): Promise<BackendProbe>;
  /**
   * Makes what the stage runs in (virtual environment, image) or finds it by key. Progress lines go to `onLine`.
   * Errors: INVALID_CONFIG with file and line where the user's files are at fault; BACKEND_UNAVAILABLE otherwise.
   */
  build(request: BuildRequest, options: CallOptions & { onLine: (text: string) => void }): Promise<Runtime>;
  /** Starts the attempt, or finds it started: at most one execution per (run id, attempt), whatever crashes in between. */
  launch(spec: RunSpec, options?: CallOptions): Promise<RunHandle>;
  /** One answer per handle, in order. A probe that could not look says `unknown` with its error; it never guesses. */
  getStatus(handles: readonly RunHandle[], options?: CallOptions): Promise<BackendStatus[]>;
  /** Asks the attempt to end: stop file, TERM to the whole group, KILL after `graceSeconds`. Resolves when asked, not when ended. */
  terminate(handle: RunHandle, request: StopRequest, options?: CallOptions): Promise<void>;
  /**
   * Ends whatever is left of the attempt (helpers, daemons of their own session, containers) and releases it. Keeps the run
   * folder. `unconfirmed`: nothing of it runs, but what does not run may still be there (its engine does not answer).
   */
  cleanup(handle: RunHandle, options?: CallOptions): Promise<CleanupAnswer>;
};

export type CleanupAnswer = 'released' | 'unconfirmed';

export type CallOptions = { signal?: AbortSignal };

export type BackendCapabilities = {
  gpu: boolean;
  spot: boolean;
  /** What separates a stage from the machine, in the words of the documents. */
  isolation: 'none' | 'namespaces' | 'container' | 'machine';
  maxNodes: number;
  /** The most seconds a stage may ask for, its time limit and its grace together; null: no limit. */
  longestSeconds: number | null;
  /** `local`: log segments appear in the run folder as the program writes; `pulled`: the supervisor fetches them. */
  liveLogs: 'local' | 'pulled';
  hasLaunchDelay: boolean;
  /** For stop and sync only. */
  ackTimeoutSeconds: number;
};

/** `ready`: false where work can start only after something was fetched, which `auto` does not choose. */
/** `passing`: what keeps it from being available may be over in a moment. */
export type BackendProbe = {
  available: boolean;
  ready?: boolean;
  passing?: boolean;
  why: string;
  hint?: string;
};

/** Identity and making of what a stage runs in. `key` equals `StagePlan.environmentKey`. */
export type BuildRequest = {
  key: string;
  /** The read-only checkout of the version. */
  codeDir: string;
  /** Hash of the version's files without configs and pipelines: of all that a Dockerfile may copy. */
  codeHash: string;
  /** What the stage or its profile names; null: the backend's own base. */
  image: string | null;
};

/** What `build` made, as the same backend understands it (interpreter path, image digest). JSON-safe. */
export type Runtime = { key: string; description: string; data: JsonObject };

/** Structured amounts; never strings of a vendor. */
export type Resources = {
  nodes: number;
  /** Bytes, or null for no limit. */
  memoryBytes: number | null;
  /** Processors, or null for no limit. */
  cpus: number | null;
  gpus: number;
  /** Processes and threads, or null for no limit. */
  pidsLimit: number | null;
  /** False: no network but the ranks' own, where the backend can keep it so. */
  network: boolean;
};

export type SpecInput = {
  name: string;
  type: SignalType;
  /** `sha256:<hex>`. */
  hash: string;
  kind: 'file' | 'folder';
  /** Path below the inputs folder (`signalFileName`). */
  fileName: string;
  /** Where the content is on this machine: an object file, or a folder's materialised copy. Never writable by the stage. */
  localPath: string;
};

export type SpecOutput = { name: string; type: SignalType; fileName: string };

/** Everything a backend needs for one attempt; `attemptDir` and `checkpointsDir` are made by the caller. */
export type RunSpec = {
  runId: string;
  attempt: number;
  workspace: string;
  /** `v3`. */
  version: string;
  stage: string;
  /** The amount of compute by its name; what it means there is the backend's affair. */
  profile: string;
  /** First word `python` means the runtime's interpreter. An argument array, never a shell string. */
  command: string[];
  codeDir: string;
  /** `.goldfish/runs/<run>/<attempt>`, laid out as core/layout.ts says. */
  attemptDir: string;
  checkpointsDir: string;
  /** Free parameters of the stage, for GOLDFISH_CONFIG. */
  config: JsonObject;
  environment: Record<string, string>;
  /** Reach the stage through a pipe; never a file, an argument or a log. */
  secrets: Record<string, string>;
  inputs: SpecInput[];
  outputs: SpecOutput[];
  resources: Resources;
  runtime: Runtime;
  /** What is left of the run's maximum runtime; enforced beside the program, so also while no supervisor lives. */
  timeoutSeconds: number;
  stopGraceSeconds: number;
  /** How long a machine is looked for, where one has to be rented; absent: the backend's own. */
  capacityWaitSeconds?: number;
  /** Connected to once when the attempt starts and once when it ends; best effort. */
  wakeSocket: string | null;
};

/** Found again by run id and attempt alone; `data` is the adapter's own. JSON-safe. */
export type RunHandle = {
  backend: string;
  runId: string;
  attempt: number;
  externalId: string;
  data: JsonObject;
};

/** `because`: whose fault it is, where the one who asks knows; the result document repeats it. */
export type StopRequest = {
  graceSeconds: number;
  reason: StopReason;
  because?: { rank: number; message: string };
};

export type { StopReason };

/**
 * Raw beside normalised. `starting`: asked for, not seen running; also where the program has ended and its results are on
 * their way here. `exited`: the result document is there.
 * `absent`: nothing and no result; only repeated absence is death. `unknown`: could not look.
 */
export type BackendStatus = {
  phase: 'starting' | 'running' | 'exited' | 'absent' | 'unknown';
  /** The backend's own word, for debugging. */
  raw: string;
  startedAt: string | null;
  result: ResultReading | null;
  error: string | null;
  /** Of a running attempt with several ranks those that have ended well; the others are waited for. */
  endedRanks?: readonly number[];
};

/** Missing is not unreadable is not garbled: three facts, three sentences. */
export type ResultReading =
  | { kind: 'read'; result: RunResult }
  | { kind: 'unreadable'; detail: string; errno?: string }
  | { kind: 'garbled'; detail: string };

/**
 * The one authoritative result document (`exit.json`), written last and atomically beside the program.
 * Exactly one of exitCode and signal is a value when the program was started and not lost.
 */
export type RunResult = {
  schema: 1;
  runId: string;
  attempt: number;
  /** False where the program could not be started (missing binary, sandbox refused); `error` says why. */
  started: boolean;
  exitCode: number | null;
  /** `SIGSEGV`, … */
  signal: string | null;
  /** Set where we ended it. */
  stoppedBy: StopReason | null;
  /** True only where the kernel or engine says so. */
  oom: boolean;
  /** Whose end this is, where there are several: the rank that failed first. Outputs are rank 0's. */
  rank: number;
  /** True where what executed it died under it (its engine, its sandbox), so that the end says nothing of the program. */
  lost: boolean;
  error: string | null;
  /** The name of the system's error (`ENOENT`, `ENOSPC`) that kept the program from starting, or the log from being whole. */
  errno?: string | null;
  startedAt: string | null;
  endedAt: string;
  /** By a clock that neither jumps nor counts the machine's sleep; null where nobody measured it. */
  ranSeconds: number | null;
  maxRssBytes: number | null;
  cpuSeconds: number | null;
  /** Bytes written to the log. */
  logBytes: number;
  /** Where something of ours kept the program from starting, or its outputs from being kept: which step. */
  failedStep?: string | null;
};
