import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

/** Stages of a pipeline run in its order, without their plans: history reads many. */
export function stageStates(db: Db, pipelineRunId: string): { stage: string; state: RunState }[] {
  return db
    .prepare<{ stage: string; state: RunState }>(
      'SELECT stage_name AS stage, state FROM stage_runs WHERE pipeline_run_id = ? ORDER BY position',
    )
    .all(pipelineRunId);
}

export type LastMetric = { stage: string; name: string; last: number | null };

/** Last values that a pipeline run logged, those of its last stage first; null is NaN. A reused run has its original's. */
export function lastMetrics(
  db: Db,
  query: { pipelineRunId: string; name?: string | undefined; stage?: string | undefined; limit: number },
): LastMetric[] {
  const { name = null, stage = null } = query;
  return db
    .prepare<LastMetric>(
      `SELECT s.stage_name AS stage, ms.name, ms.last FROM stage_runs s
         JOIN metric_summaries ms ON ms.run_id = coalesce(s.cached_from, s.id)
        WHERE s.pipeline_run_id = ? AND (? IS NULL OR ms.name = ?) AND (? IS NULL OR s.stage_name = ?)
        ORDER BY s.position DESC, ms.name LIMIT ?`,
    )
    .all(query.pipelineRunId, name, name, stage, stage, query.limit);
}
