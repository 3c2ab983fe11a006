import { isoTime } from '../core/clock.ts';
import type { StageRun } from '../core/rows.ts';
import type { StagePlan } from '../core/stage-plan.ts';
import { isStored } from '../data/stored-content.ts';
import type { Db } from '../store/database.ts';
import { endRun } from '../store/run-events.ts';
import { inputsOfRun, insertOutputs, outputsOfRun } from '../store/signals.ts';
import { getStageRun, newestCompletedRun, setCacheDecision } from '../store/stage-runs.ts';
import { cacheKey, explainDifference, type InputIdentities, inputIdentity } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';
import { settleRun } from './settle.ts';

/** `hit` is the run that did the work, never one that was itself reused. */
export type CacheDecision = { key: string; hit: StageRun | null; reason: string };

/** Whether an earlier run can stand for this one, and why or why not. Reads only. */
export function decideCache(
  deps: Pick<RunsDeps, 'db' | 'storage'>,
  request: { plan: StagePlan; inputs: InputIdentities; workspace: string },
): CacheDecision {
  const { db } = deps;
  const { plan, inputs } = request;
  const key = cacheKey(plan, inputs);
  if (!plan.cache) return { key, hit: null, reason: 'reuse is off for this stage or call' };
  const found = newestCompletedRun(db, { cacheKey: key });
  if (found) {
    const hit = originalOf(db, found);
    if (!outputsOfRun(db, hit.id).every((output) => isStored(deps.storage, output))) {
      return { key, hit: null, reason: `what ${hit.id} stored is no longer there` };
    }
    return { key, hit, reason: `same command, config, inputs, code and environment as ${hit.id}` };
  }
  return { key, hit: null, reason: missReason(db, request) };
}

/** The run that executed; a reused run names it. */
function originalOf(db: Db, run: StageRun): StageRun {
  return (run.cachedFrom === null ? undefined : getStageRun(db, run.cachedFrom)) ?? run;
}

function missReason(
  db: Db,
  request: { plan: StagePlan; inputs: InputIdentities; workspace: string },
): string {
  const { stage, replicate = 0 } = request.plan;
  const last = newestCompletedRun(db, { workspace: request.workspace, stage, replicate });
  if (!last && replicate > 0) return `replicate ${replicate} of this stage has not completed yet`;
  if (!last) return 'no completed run of this stage in the workspace yet';
  const then = { plan: last.plan, inputs: knownInputs(db, last.id) };
  const differences = explainDifference(request, then);
  if (differences.length === 0) return `nothing changed since ${last.id}, but it ran with reuse off`;
  return `changed since ${last.id}: ${differences.join(', ')}`;
}

/** Of a run's inputs those that are known. */
function knownInputs(db: Db, runId: string): InputIdentities {
  const known = inputsOfRun(db, runId).filter((input) => input.hash !== null);
  return Object.fromEntries(
    known.map(({ name, type, hash }) => [name, inputIdentity({ type, hash: hash ?? '' })]),
  );
}

/**
 * Decides about reuse for a stored, pending run whose inputs are known, and completes it where there is a hit.
 * To be called in the transaction that found it ready. Returns true when the run is done with.
 */
export function reuseIfPossible(deps: Pick<RunsDeps, 'db' | 'clock' | 'storage'>, run: StageRun): boolean {
  const { db } = deps;
  const decision = decideCache(deps, {
    plan: run.plan,
    inputs: knownInputs(db, run.id),
    workspace: run.workspace,
  });
  setCacheDecision(db, {
    runId: run.id,
    cacheKey: decision.key,
    reason: decision.reason,
    cachedFrom: decision.hit?.id ?? null,
  });
  if (!decision.hit) return false;
  const at = isoTime(deps.clock.now());
  insertOutputs(
    db,
    outputsOfRun(db, decision.hit.id).map((output) => ({ ...output, runId: run.id, createdAt: at })),
  );
  endRun(db, { runId: run.id, cause: 'cached', source: 'supervisor', at, detail: { from: decision.hit.id } });
  settleRun(deps, run.id);
  return true;
}
