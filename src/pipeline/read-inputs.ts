import { checkShape, type ShapeCheck } from '../config/check-shape.ts';
import type { Locate, Path, ProblemList } from '../config/problem.ts';
import { isJsonObject, type Json, type JsonObject } from '../core/json.ts';
import { clip, isName, parseVersion } from '../core/names.ts';
import { SIGNAL_TYPES, type SignalType } from '../core/signals.ts';
import type { DatasetSource, SignalSource } from './pipeline.ts';
import { inputSchema, LATER_SIGNAL_KEYS, NAME_RULE } from './pipeline-schema.ts';

export type InputDraft = {
  name: string;
  at: Path;
  from: SignalSource | DatasetSource;
  type: SignalType | undefined;
};

/** What is read, and where its problems go. */
export type Reading = { locate: Locate; problems: ProblemList };

export function readInputs(reading: Reading, value: Json | undefined, at: Path): InputDraft[] {
  const inputs: InputDraft[] = [];
  for (const [name, signal, path] of signalsOf(reading, value, at)) {
    const input = readInput(reading, { name, signal, at: path });
    if (input !== undefined) inputs.push(input);
  }
  return inputs;
}

/** `digits` or `digits@v2`; undefined for anything else. */
export function parseDataset(text: string): DatasetSource | undefined {
  const [name = '', tail, ...more] = text.split('@');
  if (!isName(name) || more.length > 0) return undefined;
  if (tail === undefined) return { dataset: name, version: null };
  const version = parseVersion(tail);
  return version === undefined ? undefined : { dataset: name, version };
}

type Written = { name: string; signal: Json; at: Path };

function readInput(reading: Reading, written: Written): InputDraft | undefined {
  const { name, signal, at } = written;
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
    return readDataset(reading, { ...written, fields });
  }
  const stage = fields['from_stage'];
  if (stage === undefined && (bare || isJsonObject(signal))) {
    problems.add(locate(at, 'key'), {
      message: `The input "${name}" does not say which stage makes it.`,
      hint: 'Write { from_stage: <stage>, signal: <output> }, or { dataset: <name> } for registered data.',
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

function readDataset(reading: Reading, written: Written & { fields: JsonObject }): InputDraft | undefined {
  const { name, at, fields } = written;
  const { locate, problems } = reading;
  const { dataset, type } = fields;
  if (dataset === undefined || dataset === null) {
    problems.add(locate(at, 'key'), {
      message: `The input "${name}" does not say which dataset it is.`,
      hint: 'Write { type: dataset, dataset: <name> }, with the name it was registered under.',
    });
    return undefined;
  }
  const extra = ['from_stage', 'signal'].find((key) => fields[key] !== undefined);
  if (extra !== undefined) {
    problems.add(locate([...at, extra], 'key'), {
      message: `The input "${name}" is a dataset, so no stage makes it.`,
      hint: `Remove "${extra}", or "dataset".`,
    });
  }
  if (type !== undefined && type !== 'dataset' && SIGNAL_TYPES.some((known) => known === type)) {
    problems.add(locate([...at, 'type']), {
      message: `A dataset is read as the type "dataset", not as "${String(type)}".`,
      hint: 'Leave the type out.',
      allowed: ['dataset'],
    });
  }
  // Anything but text was reported by the shape.
  if (typeof dataset !== 'string') return undefined;
  const from = parseDataset(dataset);
  if (from !== undefined) return { name, at, from, type: 'dataset' };
  problems.add(locate([...at, 'dataset']), {
    message: `"${clip(dataset)}" is not the name of a dataset.`,
    hint: 'Write the name of a registered source, or a version of it: digits@v2.',
  });
  return undefined;
}

/** The entries with a usable name; the others are reported at their key. */
export function* signalsOf(
  reading: Reading,
  value: Json | undefined,
  at: Path,
): Generator<[string, Json, Path]> {
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

export function typeHint(types: readonly string[]): string {
  return `The types are ${types.join(', ')}.`;
}
