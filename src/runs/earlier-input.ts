import { GoldfishError } from '../core/errors.ts';
import type { StageRun, StoredOutput } from '../core/rows.ts';
import type { SignalType } from '../core/signals.ts';
import type { InputOrigin } from '../core/stage-plan.ts';
import { isStored } from '../data/stored-content.ts';
import { producerOf, type SignalSource } from '../pipeline/pipeline.ts';
import type { ResolvedInput, ResolvedStage } from '../pipeline/resolve-pipeline.ts';
import { outputsOfRun } from '../store/signals.ts';
import { getSource, newestSource } from '../store/sources.ts';
import { newestCompletedRun } from '../store/stage-runs.ts';
import { cacheKey, type InputIdentities, inputIdentity } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';
import type { Settle } from './settle-compute.ts';
import { toStagePlan } from './stage-plan-of.ts';

export type Search = {
  deps: Pick<RunsDeps, 'db' | 'storage'>;
  workspace: string;
  /** As the call named it; absent: the default one. */
  pipeline?: string | undefined;
  /** Every stage of the pipeline as this version has it, without overrides. */
  all: ReadonlyMap<string, ResolvedStage>;
  settle: Settle;
  codeHash: string;
};

/**
 * The newest completed run that made a signal, for an input whose producer is not part of the call.
 * Errors: INPUT_UNAVAILABLE, with the call that makes it as the fix.
 */
export async function earlierOrigin(
  search: Search,
  want: { stage: string; input: string; type: SignalType; from: SignalSource },
): Promise<InputOrigin> {
  const { from } = want;
  const run = newestRun(search, from.stage);
  const output =
    run && outputsOfRun(search.deps.db, run.id).find((candidate) => candidate.name === from.signal);
  const why = whyNot(search, { run, output, want });
  if (!run || !output || why !== undefined) {
    throw new GoldfishError('INPUT_UNAVAILABLE', {
      message: `Input "${want.input}" of ${want.stage} needs "${from.signal}" of ${from.stage}, and ${why}.`,
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
  const stale = await isStale(search, from.stage, new Map());
  return { kind: 'run', runId: run.id, stage: from.stage, signal: from.signal, hash: output.hash, stale };
}

/** Never a replicate: which of several would be an accident. An override may name one. */
function newestRun({ deps, workspace }: Search, stage: string): StageRun | undefined {
  return newestCompletedRun(deps.db, { workspace, stage, replicate: 0 });
}

/** Why what the newest run made cannot be the input; undefined: it can. */
function whyNot(
  search: Search,
  found: {
    run: StageRun | undefined;
    output: StoredOutput | undefined;
    want: { type: SignalType; from: SignalSource };
  },
): string | undefined {
  const { run, output, want } = found;
  if (!run || !output) return `no completed run of ${want.from.stage} has made it`;
  if (!isStored(search.deps.storage, output)) return `what ${run.id} stored is no longer there`;
  return output.type === want.type ? undefined : `${run.id} stored it as ${output.type}, not as ${want.type}`;
}

/** A stage and those of its producers that have not made what it needs either, in the order of the pipeline. */
function makersOf(search: Search, stage: string): string[] {
  const wanted = new Set([stage]);
  const queue = [stage];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const input of search.all.get(name)?.inputs ?? []) {
      const from = producerOf(input);
      if (from === undefined || wanted.has(from.stage) || hashMade(search, from) !== undefined) continue;
      wanted.add(from.stage);
      queue.push(from.stage);
    }
  }
  return [...search.all.keys()].filter((name) => wanted.has(name));
}

/** Content of a signal as the newest completed run of its producer made it. */
function hashMade(search: Search, from: SignalSource): string | undefined {
  const run = newestRun(search, from.stage);
  return run && outputsOfRun(search.deps.db, run.id).find((output) => output.name === from.signal)?.hash;
}

type Known = Map<string, Promise<boolean>>;

/** Whether the newest run of a stage is no longer what this version would compute. */
function isStale(search: Search, stage: string, known: Known): Promise<boolean> {
  const before = known.get(stage);
  if (before !== undefined) return before;
  const stale = judgeStale(search, stage, known);
  known.set(stage, stale);
  return stale;
}

async function judgeStale(search: Search, stage: string, known: Known): Promise<boolean> {
  const definition = search.all.get(stage);
  const run = newestRun(search, stage);
  if (!definition || !run) return true;
  const inputs: InputIdentities = {};
  for (const input of definition.inputs) {
    const producer = producerOf(input);
    if (producer && (await isStale(search, producer.stage, known))) return true;
    const hash = hashNow(search, input);
    if (hash === undefined) return true;
    inputs[input.name] = inputIdentity({ type: input.type, hash });
  }
  // A backend that cannot run work now says nothing about whether the result is still right.
  const settled = await search.settle(definition.compute).catch(() => undefined);
  if (settled === undefined) return false;
  const { codeHash } = search;
  const now = toStagePlan({ stage: definition, settled, codeHash, origins: [], reuse: true });
  return cacheKey(now, inputs) !== run.cacheKey;
}

function hashNow(search: Search, input: ResolvedInput): string | undefined {
  if ('stage' in input.from) return hashMade(search, input.from);
  const { dataset, version } = input.from;
  const { db } = search.deps;
  return (version === null ? newestSource(db, dataset) : getSource(db, dataset, version))?.hash;
}
