import { isoTime } from '../core/clock.ts';
import { LONGEST_RESTART_PAUSE_MS } from '../core/restart-policy.ts';
import type { StageRun } from '../core/rows.ts';
import { diskShortage } from '../data/disk.ts';
import { isLeaseLost } from '../store/lease.ts';
import { getPipelineRun } from '../store/pipeline-runs.ts';
import { applyRunEvent } from '../store/run-events.ts';
import {
  countHolding,
  getStageRun,
  gpusInUse,
  needsOf,
  newestCompletedRun,
  readyStageRuns,
} from '../store/stage-runs.ts';
import { reuseIfPossible } from './cache.ts';
import type { RunsDeps } from './deps.ts';
import { settlePipelineRun } from './settle.ts';

type Waiting = Pick<
  StageRun,
  'id' | 'pipelineRunId' | 'backend' | 'profile' | 'plan' | 'attempt' | 'notBefore'
>;
type WaitDeps = Pick<RunsDeps, 'db' | 'backends' | 'secrets' | 'config' | 'layout' | 'clock'>;
type AdmitDeps = WaitDeps & Pick<RunsDeps, 'storage' | 'log'>;

/**
 * Claims every run that may start now: its needs are complete, nothing earlier can stand for it, its backend has
 * a free slot and its pipeline run may have one more. Row and slot are claimed in one transaction, and capacity is
 * counted from the rows themselves, so that no slot can leak. Returns what was claimed.
 */
export function admitRuns(deps: AdmitDeps): StageRun[] {
  const claimed: StageRun[] = [];
  let reused: boolean;
  do {
    // A reused run may make its dependents ready at once.
    reused = false;
    for (const ready of readyStageRuns(deps.db)) {
      const outcome = admitAlone(deps, ready);
      if (outcome === 'reused') reused = true;
      else if (outcome !== 'waits') claimed.push(outcome);
    }
  } while (reused);
  return claimed;
}

/** What goes wrong with one run must not keep the others waiting. */
function admitAlone(deps: AdmitDeps, ready: StageRun): StageRun | 'reused' | 'waits' {
  try {
    if (staysWaiting(deps, ready)) return 'waits';
    return deps.db.write(() => admitOne(deps, ready.id));
  } catch (error) {
    if (isLeaseLost(error)) throw error;
    deps.log.error({ run: ready.id, err: error }, 'a run could not be admitted');
    return 'waits';
  }
}

/** A run that was judged before and is held up still: thousands may wait, and each write costs a sync of the disk. */
function staysWaiting(deps: WaitDeps, run: StageRun): boolean {
  if (run.cacheKey === null || waitsFor(deps, run) === null) return false;
  return !run.plan.cache || newestCompletedRun(deps.db, { cacheKey: run.cacheKey }) === undefined;
}

function admitOne(deps: AdmitDeps, runId: string): StageRun | 'reused' | 'waits' {
  const { db } = deps;
  const run = getStageRun(db, runId);
  if (run?.state !== 'pending') return 'waits';
  if (reuseIfPossible(deps, run)) return 'reused';
  if (waitsFor(deps, run)) return 'waits';
  const verdict = applyRunEvent(db, {
    runId,
    event: 'prepare',
    source: 'supervisor',
    at: isoTime(deps.clock.now()),
  });
  if (verdict.kind !== 'moved') return 'waits';
  // kill point: admit/half-claimed
  settlePipelineRun(deps, run.pipelineRunId);
  return getStageRun(db, runId) ?? 'waits';
}

/** `stage`: another run; `pause`: a time that is known; the others end when something outside of the run changes. */
export type Block = {
  kind: 'stage' | 'pause' | 'environment' | 'backend' | 'disk' | 'pipeline_run';
  text: string;
};

/** What a pending run waits for, in words; null when nothing holds it. Reads only. */
export function waitsFor(deps: WaitDeps, run: Waiting): string | null {
  return blockOf(deps, run)?.text ?? null;
}

/** What a pending run waits for first; null when nothing holds it. Reads only. */
export function blockOf(deps: WaitDeps, run: Waiting): Block | null {
  const { db } = deps;
  const upstream = needsOf(db, run.id).filter((need) => need.state !== 'completed');
  if (upstream.length > 0) {
    const text = `stage ${upstream.map((need) => `${need.stage} (${need.id})`).join(', ')}`;
    return { kind: 'stage', text };
  }
  const pause = pauseOf(deps, run);
  if (pause !== null) return { kind: 'pause', text: pause };
  const missing = missingSecrets(deps, run);
  if (missing !== null) return { kind: 'environment', text: missing };
  const capacity = deps.backends.capacity(run.backend);
  const busy = countHolding(db, { backend: run.backend });
  if (busy >= capacity) {
    return { kind: 'backend', text: `backend ${run.backend}: ${busy} of ${capacity} slots busy` };
  }
  const gpus = gpusWanted(deps, run);
  if (gpus !== null) return { kind: 'backend', text: gpus };
  const shortage = diskShortage(deps);
  if (shortage !== null) return { kind: 'disk', text: shortage };
  const limit = getPipelineRun(db, run.pipelineRunId)?.maxParallel ?? null;
  if (limit !== null && countHolding(db, { pipelineRunId: run.pipelineRunId }) >= limit) {
    return { kind: 'pipeline_run', text: `max_parallel: ${limit} runs of this pipeline run are active` };
  }
  return null;
}

/** What a run, or its backend, reads from the environment and has no value there now, in words; null where all has. */
export function missingSecrets(
  deps: Pick<RunsDeps, 'secrets' | 'backends'>,
  run: Pick<StageRun, 'plan' | 'backend'>,
): string | null {
  const names = deps.secrets.missing(Object.values(run.plan.secrets));
  if (names.length > 0) return `environment ${names.join(', ')}`;
  return deps.backends.tending.obstacle(run.backend);
}

/** No longer than a restart waits: the wall clock may have been set back since. */
function pauseOf({ clock }: WaitDeps, { attempt, notBefore }: Waiting): string | null {
  if (notBefore === null) return null;
  const leftMs = Date.parse(notBefore) - clock.now();
  if (leftMs <= 0 || leftMs > LONGEST_RESTART_PAUSE_MS) return null;
  return `the pause before attempt ${attempt}: until ${notBefore}, ${Math.ceil(leftMs / 1000)} s more`;
}

function gpusWanted({ db, backends }: Pick<RunsDeps, 'db' | 'backends'>, run: Waiting): string | null {
  const { gpus, nodes } = run.plan.compute;
  if (gpus === 0) return null;
  const { gpus: all, ownGpus } = backends.limits(run.backend, run.profile);
  if (ownGpus === true) return null;
  const taken = gpusInUse(db, run.backend);
  return taken + gpus * nodes <= all ? null : `backend ${run.backend}: ${taken} of ${all} GPUs busy`;
}
