import { unknownName } from '../config/check-shape.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { StageRun, StoredOutput } from '../core/rows.ts';
import type { InputOrigin } from '../core/stage-plan.ts';
import { requireSource } from '../data/delete-source.ts';
import { producerOf } from '../pipeline/pipeline.ts';
import { parseDataset } from '../pipeline/read-inputs.ts';
import type { ResolvedInput } from '../pipeline/resolve-pipeline.ts';
import { outputsOfRun } from '../store/signals.ts';
import type { RunsDeps } from './deps.ts';
import { findStageRun } from './find.ts';

/** A run's id, a source (`digits`, `digits@v2`) or a path; or one output of a run. */
export type InputOverride = string | { runId: string; signal: string };

type Place = { stage: string; input: ResolvedInput };

/**
 * What a call says an input reads, whatever the pipeline says. A path becomes a version of a source: stored where
 * `store` says so, else only told what it would be.
 * Errors: RUN_NOT_FOUND, AMBIGUOUS_ID, SOURCE_NOT_FOUND, PATH_OUTSIDE_ROOT, INPUT_UNAVAILABLE, INVALID_ARGUMENT.
 */
export async function overriddenOrigin(
  deps: Pick<RunsDeps, 'db' | 'sources'>,
  place: Place & { value: InputOverride },
  options: { store: boolean },
): Promise<InputOrigin> {
  const { value } = place;
  if (typeof value !== 'string') return fromRun(deps, place, value);
  if (/^(stage|prun)-/.test(value)) return fromRun(deps, place, { runId: value });
  const named = parseDataset(value);
  const source = named
    ? requireSource(deps.db, named.dataset, named.version ?? undefined)
    : await deps.sources.fromPath(value, options);
  requireKind(place, source.kind, clip(value));
  return { kind: 'source', name: source.name, version: source.version, hash: source.hash };
}

function fromRun(
  deps: Pick<RunsDeps, 'db'>,
  place: Place,
  of: { runId: string; signal?: string },
): InputOrigin {
  const run = findStageRun(deps.db, of.runId);
  if (run.state !== 'completed') throw notCompleted(place, run);
  const output = chooseOutput(place, { run, outputs: outputsOfRun(deps.db, run.id), signal: of.signal });
  const { type } = place.input;
  if (type !== 'dataset' && type !== output.type) {
    throw refusal(place, {
      message: `"${output.name}" of ${run.id} is ${output.type}, and the input wants ${type}.`,
      hint: 'Name another output with { run_id, signal }, or change the type of the input.',
    });
  }
  return {
    kind: 'run',
    runId: run.id,
    stage: run.stage,
    signal: output.name,
    hash: output.hash,
    stale: false,
  };
}

/** The one that is named; else the one the pipeline would take; else one of the input's name; else the only one. */
function chooseOutput(
  place: Place,
  from: { run: StageRun; outputs: readonly StoredOutput[]; signal: string | undefined },
): StoredOutput {
  const { run, outputs, signal } = from;
  const wanted = signal === undefined ? [producerOf(place.input)?.signal, place.input.name] : [signal];
  const names = outputs.map((output) => output.name);
  const found = wanted.flatMap((name) => outputs.find((output) => output.name === name) ?? []);
  const only = signal === undefined && outputs.length === 1 ? outputs : [];
  const [output] = [...found, ...only];
  if (output) return output;
  if (signal !== undefined) {
    const { hint } = unknownName('output', signal, names);
    throw refusal(place, { message: `${run.id} has no output "${clip(signal)}".`, hint }, names);
  }
  const message = `${run.id} (${run.stage}) has no output that is clearly meant.`;
  throw refusal(
    place,
    { message, hint: `Name one: { run_id, signal }, of ${names.join(', ') || 'none'}.` },
    names,
  );
}

function notCompleted({ stage, input }: Place, run: StageRun): GoldfishError {
  return new GoldfishError('INPUT_UNAVAILABLE', {
    message: `Input "${input.name}" of ${stage} is to come from ${run.id}, which is ${run.state}.`,
    hint: 'Only completed runs have outputs; name another one.',
    details: { stage, input: input.name, run_id: run.id, state: run.state },
    fix:
      run.endedAt === null
        ? { tool: 'wait', arguments: { targets: [run.id] } }
        : { tool: 'list_runs', arguments: { stage: run.stage, state: 'completed' } },
  });
}

/** A file cannot stand for a folder, nor the other way round; a dataset may be either. */
function requireKind(place: Place, kind: 'file' | 'folder', what: string): void {
  const { type } = place.input;
  if (type === 'dataset' || (type === 'directory') === (kind === 'folder')) return;
  throw refusal(place, {
    message: `"${what}" is a ${kind}, and the input wants ${type === 'directory' ? 'a folder' : `one file (${type})`}.`,
    hint: 'Name other data, or change the type of the input.',
  });
}

function refusal(
  { stage, input }: Place,
  told: { message: string; hint: string },
  allowed?: string[],
): GoldfishError {
  const details = { field: 'inputs_override', stage, input: input.name, ...(allowed ? { allowed } : {}) };
  return new GoldfishError('INVALID_ARGUMENT', { ...told, details });
}
