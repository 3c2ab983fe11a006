import type { Locate, Path, Place } from '../config/problem.ts';
import type { ProfileBook } from '../config/profiles.ts';
import type { Cause } from '../core/causes.ts';
import type { JsonObject } from '../core/json.ts';
import type { MonitorSettings } from '../core/monitors.ts';
import { formatVersion } from '../core/names.ts';
import type { SignalType } from '../core/signals.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';

/** An output of a stage, as inputs name it. */
export type SignalSource = { stage: string; signal: string };
/** Registered data; version null: the newest there is when a call is planned. */
export type DatasetSource = { dataset: string; version: number | null };

export type StageInput = { name: string; type: SignalType; from: SignalSource | DatasetSource };

/** The stage that makes an input, where one does. */
export function producerOf(input: { from: SignalSource | DatasetSource }): SignalSource | undefined {
  return 'stage' in input.from ? input.from : undefined;
}

/** `preprocess.features`, `digits` or `digits@v2`. */
export function sourceText(from: SignalSource | DatasetSource): string {
  if ('stage' in from) return `${from.stage}.${from.signal}`;
  return from.version === null ? from.dataset : `${from.dataset}@${formatVersion(from.version)}`;
}

export type Stage = {
  name: string;
  description: string | null;
  /** First word `python` means the backend's interpreter. */
  command: string[];
  /** What it runs in, where it names that itself. */
  image: string | null;
  inputs: StageInput[];
  outputs: PlannedOutput[];
  /** False: never reuse an earlier run. */
  cache: boolean;
  retries: StageRetries;
};

/** What a stage says of restarts; null: the default holds. */
export type StageRetries = { maxRestarts: number | null; on: readonly Cause[] | null };

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
  /** Where a key of a stage stands. */
  locate(stage: string, path: Path): Place;
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
  profiles: ProfileBook;
  datasets: DatasetLookup;
  /** `defaults.monitors`: what a stage leaves out. Null: not known, and nothing is judged by it. */
  monitors: MonitorSettings | null;
};

/** Registered data, by name. */
export type DatasetLookup = {
  has(name: string, version: number | null): boolean;
  names(): readonly string[];
};
