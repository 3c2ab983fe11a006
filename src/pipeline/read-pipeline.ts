import { checkShape, describe, type ShapeCheck, unknownName } from '../config/check-shape.ts';
import type { Locate, Path, ProblemList } from '../config/problem.ts';
import type { YamlFile } from '../config/yaml-file.ts';
import { isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { clip, isName } from '../core/names.ts';
import { SIGNAL_TYPES, type SignalType } from '../core/signals.ts';
import {
  inputSchema,
  LATER_SIGNAL_KEYS,
  LATER_STAGE_KEYS,
  MAX_STAGES,
  NAME_RULE,
  OUTPUT_TYPES,
  outputSchema,
  pipelineSchema,
  stageSchema,
} from './pipeline-schema.ts';

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
  inputs: InputDraft[];
  /** Undefined where an output's type could not be read. */
  outputs: Map<string, SignalType | undefined>;
  /** False where outputs have problems of their own, so that a missing one is no news. */
  outputsKnown: boolean;
  cache: boolean;
};

export type InputDraft = {
  name: string;
  at: Path;
  from: { stage: string; signal: string };
  type: SignalType | undefined;
};

const HINT = 'Look at the pipeline of a new workspace for the format.';

type Reading = { locate: Locate; problems: ProblemList };

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
    inputs: readInputs(reading, stage['inputs'], [...at, 'inputs']),
    outputs,
    outputsKnown: stageSchema.shape.outputs.safeParse(stage['outputs']).success,
    cache: stage['cache'] !== false,
  };
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

/** The entries with a usable name; the others are reported at their key. */
function* signalsOf(reading: Reading, value: Json | undefined, at: Path): Generator<[string, Json, Path]> {
  if (!isJsonObject(value)) return;
  for (const [name, signal] of Object.entries(value)) {
    const path = [...at, name];
    if (isName(name)) yield [name, signal, path];
    else {
      reading.problems.add(reading.locate(path, 'key'), {
        message: `"${clip(name)}" is not a valid signal name.`,
        hint: `Use ${NAME_RULE}.`,
      });
    }
  }
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

function typeHint(types: readonly string[]): string {
  return `The types are ${types.join(', ')}.`;
}

function readInputs(reading: Reading, value: Json | undefined, at: Path): InputDraft[] {
  const inputs: InputDraft[] = [];
  for (const [name, signal, path] of signalsOf(reading, value, at)) {
    const input = readInput(reading, name, signal, path);
    if (input !== undefined) inputs.push(input);
  }
  return inputs;
}

function readInput(reading: Reading, name: string, signal: Json, at: Path): InputDraft | undefined {
  const { locate, problems } = reading;
  const check: ShapeCheck = {
    value: signal,
    at,
    ...reading,
    hint: typeHint(SIGNAL_TYPES),
    later: LATER_SIGNAL_KEYS,
  };
  const bare = typeof signal === 'string';
  if (bare) checkShape(inputSchema.shape.type, check);
  else checkShape(inputSchema, check);
  const fields: JsonObject = bare ? { type: signal } : isJsonObject(signal) ? signal : {};
  if (fields['type'] === 'dataset' || fields['dataset'] !== undefined) {
    const key = fields['dataset'] === undefined ? 'type' : 'dataset';
    const named = typeof fields['dataset'] === 'string' ? ` "${clip(fields['dataset'])}"` : '';
    problems.add(locate(bare ? at : [...at, key]), {
      message: `The dataset${named} is not registered.`,
      hint: 'Registered data arrives in a later version; keep the file in the workspace and read it from there.',
    });
    return undefined;
  }
  const stage = fields['from_stage'];
  if (stage === undefined && (bare || isJsonObject(signal))) {
    problems.add(locate(at, 'key'), {
      message: `The input "${name}" does not say which stage makes it.`,
      hint: 'Write { from_stage: <stage>, signal: <output> }.',
    });
  }
  const from = fields['signal'] ?? name;
  if (typeof stage !== 'string' || typeof from !== 'string') return undefined;
  return {
    name,
    at,
    from: { stage, signal: from },
    type: SIGNAL_TYPES.find((type) => type === fields['type']),
  };
}
