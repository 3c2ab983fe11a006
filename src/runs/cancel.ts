import { isoTime } from '../core/clock.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';
import { endRun } from '../store/run-events.ts';
import { getStageRun, requestCancel, runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';
import { settleRun } from './settle.ts';

export type CancelOutcome = {
  runId: string;
  stage: string;
  state: RunState;
  /**
   * `canceled`: ended here and now, it held nothing. `stopping`: the supervisor stops it. `finishing`: its program has
   * ended, and it ends as that says once its outputs are stored. `over`: it had ended before.
   */
  outcome: 'canceled' | 'stopping' | 'finishing' | 'over';
};

/**
 * Cancels a run or every run of a pipeline run. A run that waits ends at once; one that holds something of a
 * backend is marked, and the supervisor stops it and ends it when it is stopped. Repeating it is harmless.
 */
export function cancelRuns(
  deps: Pick<RunsDeps, 'db' | 'clock'>,
  request: { target: string; reason: string },
): { targetId: string; runs: CancelOutcome[] } {
  const { db } = deps;
  return db.write(() => {
    const found = findRun(db, request.target);
    const members = found.kind === 'run' ? [found.run] : runsOfPipelineRun(db, found.run.id);
    const open = new Set(members.filter((run) => !isTerminal(run.state)).map((run) => run.id));
    // The last stage first: what is canceled by the caller is not then canceled because of its producer.
    for (const id of [...open].reverse()) cancelOne(deps, id, request.reason);
    const runs = members.map(({ id, stage }) => {
      const state = getStageRun(db, id)?.state ?? 'canceled';
      return { runId: id, stage, state, outcome: open.has(id) ? outcomeIn(state) : 'over' } as const;
    });
    return { targetId: found.run.id, runs };
  });
}

function outcomeIn(state: RunState): CancelOutcome['outcome'] {
  if (isTerminal(state)) return 'canceled';
  return state === 'finishing' ? 'finishing' : 'stopping';
}

function cancelOne(deps: Pick<RunsDeps, 'db' | 'clock'>, runId: string, reason: string): void {
  const { db } = deps;
  const run = getStageRun(db, runId);
  if (!run || isTerminal(run.state)) return;
  requestCancel(db, { runId, cause: 'user', reason });
  if (run.state !== 'pending') return;
  endRun(db, {
    runId,
    cause: 'user',
    source: 'caller',
    at: isoTime(deps.clock.now()),
    patch: { errorMessage: `Canceled: ${reason}` },
  });
  settleRun(deps, runId);
}
