import { checkShape, describe, unknownName } from '../config/check-shape.ts';
import type { Path, ProblemList } from '../config/problem.ts';
import type { YamlFile } from '../config/yaml-file.ts';
import { isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { isName } from '../core/names.ts';
import type { SignalType } from '../core/signals.ts';
import type { StageRetries } from './pipeline.ts';
import {
  LATER_SIGNAL_KEYS,
  LATER_STAGE_KEYS,
  MAX_STAGES,
  OUTPUT_TYPES,
  outputSchema,
  pipelineSchema,
  stageSchema,
} from './pipeline-schema.ts';
import { type InputDraft, type Reading, readInputs, signalsOf, typeHint } from './read-inputs.ts';

/**
 * A pipeline as far as it could be read: what has a problem is left out, so that the rest can still be checked.
 * Nothing here is known to fit together yet.
 */
export type PipelineDraft = { name: string | undefined; description: string | null; stages: StageDraft[] };

export type StageDraft = {
  at: Path;
  name: string | undefined;
  description: string | null;
  /** Undefined where it is left out, or where it could not be read. */
  command: string[] | undefined;
  commandGiven: boolean;
  image: string | null;
  inputs: InputDraft[];
  /** Undefined where an output's type could not be read. */
  outputs: Map<string, SignalType | undefined>;
  /** False where outputs have problems of their own, so that a missing one is no news. */
  outputsKnown: boolean;
  cache: boolean;
  retries: StageRetries;
};

const HINT = 'Look at the pipeline of a new workspace for the format.';

export function readPipeline(yaml: YamlFile, problems: ProblemList): PipelineDraft {
  const value = yaml.root?.value ?? null;
  const reading = { locate: yaml.locate, problems };
  if (value === null) {
    problems.add(yaml.locate([]), {
      message: 'The pipeline is empty.',
      hint: 'List its stages under the key "stages".',
    });
    return { name: undefined, description: null, stages: [] };
  }
  const stages = isJsonObject(value) ? value['stages'] : undefined;
  const asMapping = isJsonObject(stages) ? 'Write the stages as a list: each begins with "- name: …".' : HINT;
  checkShape(pipelineSchema, { value, at: [], ...reading, hint: asMapping });
  return {
    name: isJsonObject(value) ? nameIn(value) : undefined,
    description: isJsonObject(value) ? textIn(value, 'description') : null,
    stages: Array.isArray(stages)
      ? stages.slice(0, MAX_STAGES).map((stage, index) => readStage(reading, stage, ['stages', index]))
      : [],
  };
}

function nameIn(value: JsonObject): string | undefined {
  const name = value['name'];
  return typeof name === 'string' && isName(name) ? name : undefined;
}

function textIn(value: JsonObject, key: string): string | null {
  const text = value[key];
  return typeof text === 'string' ? text : null;
}

function readStage(reading: Reading, value: Json, at: Path): StageDraft {
  checkShape(stageSchema, { value, at, ...reading, hint: HINT, later: LATER_STAGE_KEYS });
  const stage = isJsonObject(value) ? value : {};
  if (stage['kind'] !== undefined) checkKind(reading, stage['kind'], [...at, 'kind']);
  const outputs = readOutputs(reading, stage['outputs'], [...at, 'outputs']);
  return {
    at,
    name: nameIn(stage),
    description: textIn(stage, 'description'),
    command: stageSchema.shape.command.safeParse(stage['command']).data,
    commandGiven: stage['command'] !== undefined,
    image: stageSchema.shape.image.safeParse(stage['image']).data ?? null,
    inputs: readInputs(reading, stage['inputs'], [...at, 'inputs']),
    outputs,
    outputsKnown: stageSchema.shape.outputs.safeParse(stage['outputs']).success,
    cache: stage['cache'] !== false,
    retries: retriesIn(stage['retries']),
  };
}

function retriesIn(value: Json | undefined): StageRetries {
  const read = stageSchema.shape.retries.safeParse(value).data;
  return { maxRestarts: read?.max_restarts ?? null, on: read?.on ?? null };
}

function checkKind(reading: Reading, kind: Json, at: Path): void {
  if (kind === 'task') return;
  if (kind === 'map' || kind === 'service') {
    reading.problems.add(reading.locate(at), {
      message: `The stage kind "${kind}" is reserved for a later version.`,
      hint: 'Use "kind: task", or leave the key out.',
      allowed: ['task'],
    });
    return;
  }
  const typed = typeof kind === 'string' ? kind : describe(kind);
  reading.problems.add(reading.locate(at), unknownName('stage kind', typed, ['task']));
}

function readOutputs(
  reading: Reading,
  value: Json | undefined,
  at: Path,
): Map<string, SignalType | undefined> {
  const outputs = new Map<string, SignalType | undefined>();
  for (const [name, signal, path] of signalsOf(reading, value, at)) {
    const type = typeof signal === 'string' ? signal : isJsonObject(signal) ? signal['type'] : undefined;
    if (type === 'dataset') {
      const typeAt = typeof signal === 'string' ? path : [...path, 'type'];
      reading.problems.add(reading.locate(typeAt), {
        message: 'The type "dataset" stands on inputs only.',
        hint: 'Use file or directory.',
        allowed: [...OUTPUT_TYPES],
      });
    } else {
      const check = {
        value: signal,
        at: path,
        ...reading,
        hint: typeHint(OUTPUT_TYPES),
        later: LATER_SIGNAL_KEYS,
      };
      if (typeof signal === 'string') checkShape(outputSchema.shape.type, check);
      else checkShape(outputSchema, check);
    }
    outputs.set(
      name,
      OUTPUT_TYPES.find((known) => known === type),
    );
  }
  return outputs;
}
