import { isoTime } from '../core/clock.ts';
import { isTerminal, pipelineState } from '../core/run-lifecycle.ts';
import { getPipelineRun, setPipelineRunState } from '../store/pipeline-runs.ts';
import { endRun } from '../store/run-events.ts';
import { resolveInputsFrom } from '../store/signals.ts';
import { directDependents, getStageRun, runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';

/**
 * What the end of a run means for the others, in the transaction that ended it: who waited for it learns the
 * content of its signals, or is canceled because of it; the pipeline run follows. Repeating it changes nothing.
 */
export function settleRun(deps: Pick<RunsDeps, 'db' | 'clock'>, runId: string): void {
  const { db } = deps;
  db.write(() => {
    const run = getStageRun(db, runId);
    if (!run || !isTerminal(run.state)) return;
    if (run.state === 'completed') resolveInputsFrom(db, runId);
    else cancelDependents(deps, runId, run.stage);
    // kill point: settle/half-settled
    settlePipelineRun(deps, run.pipelineRunId);
  });
}

function cancelDependents(deps: Pick<RunsDeps, 'db' | 'clock'>, runId: string, stage: string): void {
  for (const dependent of directDependents(deps.db, runId)) {
    if (isTerminal(dependent.state)) continue;
    endRun(deps.db, {
      runId: dependent.id,
      cause: 'upstream_failed',
      source: 'supervisor',
      at: isoTime(deps.clock.now()),
      detail: { upstream: runId },
      patch: { errorMessage: `Not started: ${stage} (${runId}) did not complete.` },
    });
    cancelDependents(deps, dependent.id, dependent.stage);
  }
}

export function settlePipelineRun(deps: Pick<RunsDeps, 'db' | 'clock'>, pipelineRunId: string): void {
  const { db } = deps;
  const current = getPipelineRun(db, pipelineRunId);
  if (!current || current.endedAt !== null) return;
  const runs = runsOfPipelineRun(db, pipelineRunId);
  const state = pipelineState(runs);
  if (state === current.state) return;
  const over = runs.every((run) => isTerminal(run.state));
  const ends = runs.map((run) => run.endedAt ?? '').sort();
  setPipelineRunState(db, {
    id: pipelineRunId,
    state,
    endedAt: over ? (ends.at(-1) ?? isoTime(deps.clock.now())) : null,
  });
}
