import type { Locate, Path } from '../config/problem.ts';
import type { JsonObject } from '../core/json.ts';
import type { SignalType } from '../core/signals.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';

/** An output of a stage, as inputs name it. */
export type SignalSource = { stage: string; signal: string };

export type StageInput = { name: string; type: SignalType; from: SignalSource };

export type Stage = {
  name: string;
  description: string | null;
  /** First word `python` means the backend's interpreter. */
  command: string[];
  inputs: StageInput[];
  outputs: PlannedOutput[];
  /** False: never reuse an earlier run. */
  cache: boolean;
};

/** A pipeline without problems: every input has its producer, there is no cycle, every config can be read. */
export type Pipeline = {
  name: string;
  /** `pipeline.yaml` or `pipelines/<name>.yaml`. */
  file: string;
  description: string | null;
  /** In the order of the file. */
  stages: Stage[];
  /** By stage; stages without a file are left out. */
  configs: ReadonlyMap<string, StageConfigFile>;
};

/** `configs/<stage>.yaml` as it stands, reserved keys included. */
export type StageConfigFile = {
  file: string;
  value: JsonObject;
  locate: Locate;
  /** The text of an unquoted scalar at a path, where there is one. */
  plainAt(path: Path): string | undefined;
};

/** What the pipeline room cannot know by itself. */
export type PipelineLookups = {
  /** Backends a stage may name. */
  backends: readonly string[];
};
