import type { JsonObject } from './json.ts';
import type { MonitorSettings } from './monitors.ts';
import type { RestartPolicy } from './restart-policy.ts';
import type { SignalType } from './signals.ts';

/** Where an input's data comes from, decided when the run is submitted. */
export type InputOrigin =
  /** A stage of the same call: the content is known when that run completes. */
  | { kind: 'stage'; stage: string; signal: string }
  /** An earlier completed run of the workspace. `stale`: its code, config or inputs have changed since. */
  | { kind: 'run'; runId: string; stage: string; signal: string; hash: string; stale: boolean }
  /** A version of a registered source. */
  | { kind: 'source'; name: string; version: number; hash: string };

export type PlannedInput = { name: string; type: SignalType; origin: InputOrigin };
export type PlannedOutput = { name: string; type: SignalType };

/** A stage checkpoint by the name of its folder; `hash`: of its manifest, which names every file by content. */
export type PlannedCheckpoint = { id: string; name: string; step: number | null; hash: string };

/** Amounts and limits of one stage, after defaults, stage config and override. Seconds and bytes. */
export type ComputeSettings = {
  backend: string;
  profile: string;
  nodes: number;
  timeoutSeconds: number;
  stopGraceSeconds: number;
  /** Bytes, or null for no limit. */
  memoryBytes: number | null;
  /** Processors, or null for no limit. */
  cpus: number | null;
  gpus: number;
  /** Processes and threads, or null for no limit. */
  pidsLimit: number | null;
  /** Whether the stage may reach the network, where the backend can keep it from it. */
  network: boolean;
  /** A run that gives no sign of life for so long is stopped; null: none is expected. */
  heartbeatTimeoutSeconds: number | null;
  /** How long a place for its machine is looked for. Absent where the backend has none to look for. */
  capacityWaitSeconds?: number;
  /** What watches it. Absent where it is what is built in, so that a call that says nothing keeps its identity. */
  monitors?: MonitorSettings;
};

/**
 * Everything needed to execute one stage of one version, as shown by `dry_run`, as stored with the queue row
 * and as handed to the backend: the plan shown = the plan stored = the plan sent. JSON-safe.
 */
export type StagePlan = {
  stage: string;
  /** First word `python` means the backend's interpreter. */
  command: string[];
  /** Merged config without reserved keys: what the stage sees. */
  config: JsonObject;
  compute: ComputeSettings;
  /**
   * Where each of compute and image comes from, by the key a person would write: `built-in`, `goldfish.yaml:12`,
   * `profile big`, `configs/train.yaml:3`, `config_override`, `call`. Decides nothing; absent in plans of 0.1.
   */
  origins?: Record<string, string>;
  /** Literal values by name. Secrets are never here. */
  environment: Record<string, string>;
  /** Secrets by name, and the name each has in the environment it is read from at launch. Values are never here. */
  secrets: Record<string, string>;
  /** The image the stage or its profile names; null: the backend's base image. */
  image: string | null;
  inputs: PlannedInput[];
  outputs: PlannedOutput[];
  /** Stages of the same call it waits for. */
  needs: string[];
  /** False where the stage says `cache: false` or the call says `use_cache: false`. */
  cache: boolean;
  /** When it is started anew by itself. Decides no result; absent in plans of 0.1: never. */
  retries?: RestartPolicy;
  /** Stage checkpoints of another run that it starts with, as if they were its own. Absent: none. */
  startFrom?: { runId: string; checkpoints: PlannedCheckpoint[] };
  /** Which repetition of a call it belongs to: it is executed for itself. Absent: 0, the call itself. */
  replicate?: number;
  /** Hash of the version's files without configs/, pipeline.yaml and pipelines/. */
  codeHash: string;
  /** Identity of what the stage runs in: interpreter and requirements, or image. */
  environmentKey: string;
};
