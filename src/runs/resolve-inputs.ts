import { GoldfishError } from '../core/errors.ts';
import type { InputOrigin } from '../core/stage-plan.ts';
import type { ResolvedStage } from '../pipeline/resolve-pipeline.ts';
import { outputsOfRun } from '../store/signals.ts';
import { newestCompletedRun } from '../store/stage-runs.ts';
import { cacheKey, type InputHashes } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';
import { toStagePlan, type VersionIdentity } from './stage-plan-of.ts';

type Search = {
  deps: Pick<RunsDeps, 'db'>;
  workspace: string;
  /** As the call named it; absent: the default one. */
  pipeline?: string | undefined;
  /** Every stage of the pipeline as this version has it, without overrides. */
  all: ReadonlyMap<string, ResolvedStage>;
  identity: VersionIdentity;
};

/**
 * The newest completed run that made a signal, for an input whose producer is not part of the call.
 * Errors: INPUT_UNAVAILABLE, with the call that makes it as the fix.
 */
export function earlierOrigin(
  search: Search,
  want: { stage: string; input: string; from: { stage: string; signal: string } },
): InputOrigin {
  const { from } = want;
  const run = newestCompletedRun(search.deps.db, { workspace: search.workspace, stage: from.stage });
  const output =
    run && outputsOfRun(search.deps.db, run.id).find((candidate) => candidate.name === from.signal);
  if (!run || !output) {
    throw new GoldfishError('INPUT_UNAVAILABLE', {
      message: `Input "${want.input}" of ${want.stage} needs "${from.signal}" of ${from.stage}, and no completed run of ${from.stage} has made it.`,
      hint: `Run ${from.stage} first, or include it in stages.`,
      details: { stage: want.stage, input: want.input, producer: from.stage, signal: from.signal },
      fix: {
        tool: 'run',
        arguments: {
          workspace: search.workspace,
          stages: makersOf(search, from.stage),
          ...(search.pipeline === undefined ? {} : { pipeline: search.pipeline }),
          reason: `Make ${from.signal}, which ${want.stage} needs`,
        },
      },
    });
  }
  const stale = isStale(search, from.stage, new Map());
  return { kind: 'run', runId: run.id, stage: from.stage, signal: from.signal, hash: output.hash, stale };
}

/** A stage and those of its producers that have not made what it needs either, in the order of the pipeline. */
function makersOf(search: Search, stage: string): string[] {
  const wanted = new Set([stage]);
  const queue = [stage];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const input of search.all.get(name)?.inputs ?? []) {
      const producer = input.from.stage;
      if (wanted.has(producer) || hasMade(search, input.from)) continue;
      wanted.add(producer);
      queue.push(producer);
    }
  }
  return [...search.all.keys()].filter((name) => wanted.has(name));
}

function hasMade(search: Search, from: { stage: string; signal: string }): boolean {
  const { db } = search.deps;
  const run = newestCompletedRun(db, { workspace: search.workspace, stage: from.stage });
  return run !== undefined && outputsOfRun(db, run.id).some((output) => output.name === from.signal);
}

/** Whether the newest run of a stage is no longer what this version would compute. */
function isStale(search: Search, stage: string, known: Map<string, boolean>): boolean {
  const before = known.get(stage);
  if (before !== undefined) return before;
  const stale = judgeStale(search, stage, known);
  known.set(stage, stale);
  return stale;
}

function judgeStale(search: Search, stage: string, known: Map<string, boolean>): boolean {
  const { db } = search.deps;
  const definition = search.all.get(stage);
  const run = newestCompletedRun(db, { workspace: search.workspace, stage });
  if (!definition || !run) return true;
  if (definition.inputs.some((input) => isStale(search, input.from.stage, known))) return true;
  const hashes: InputHashes = {};
  for (const input of definition.inputs) {
    const producer = newestCompletedRun(db, { workspace: search.workspace, stage: input.from.stage });
    const output = producer && outputsOfRun(db, producer.id).find((made) => made.name === input.from.signal);
    if (!output) return true;
    hashes[input.name] = output.hash;
  }
  const now = toStagePlan({ stage: definition, identity: search.identity, origins: [], reuse: true });
  return cacheKey(now, hashes) !== run.cacheKey;
}
