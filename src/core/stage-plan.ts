import type { JsonObject } from './json.ts';
import type { SignalType } from './signals.ts';

/** Where an input's data comes from, decided when the run is submitted. */
export type InputOrigin =
  /** A stage of the same call: the content is known when that run completes. */
  | { kind: 'stage'; stage: string; signal: string }
  /** An earlier completed run of the workspace. `stale`: its code, config or inputs have changed since. */
  | { kind: 'run'; runId: string; stage: string; signal: string; hash: string; stale: boolean };

export type PlannedInput = { name: string; type: SignalType; origin: InputOrigin };
export type PlannedOutput = { name: string; type: SignalType };

/** Amounts and limits of one stage, after defaults, stage config and override. Seconds and bytes. */
export type ComputeSettings = {
  backend: string;
  profile: string;
  nodes: number;
  timeoutSeconds: number;
  stopGraceSeconds: number;
  /** Bytes, or null for no limit. */
  memoryBytes: number | null;
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
  /** Literal values by name. Secrets are never here. */
  environment: Record<string, string>;
  inputs: PlannedInput[];
  outputs: PlannedOutput[];
  /** Stages of the same call it waits for. */
  needs: string[];
  /** False where the stage says `cache: false` or the call says `use_cache: false`. */
  cache: boolean;
  /** Hash of the version's files without configs/, pipeline.yaml and pipelines/. */
  codeHash: string;
  /** Identity of what the stage runs in: interpreter and requirements, or image. */
  environmentKey: string;
};
