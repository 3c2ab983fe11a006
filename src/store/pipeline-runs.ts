import type { JsonObject } from '../core/json.ts';
import type { PipelineRun, PipelineRunState } from '../core/rows.ts';
import type { Db } from './database.ts';

type Row = {
  id: string;
  workspace_name: string;
  version: number;
  pipeline_name: string;
  submission_key: string;
  state: string;
  reason: string;
  request_json: string;
  max_parallel: number | null;
  goldfish_version: string;
  created_at: string;
  ended_at: string | null;
  group_name: string | null;
  retry_of: string | null;
};

function toPipelineRun(row: Row): PipelineRun {
  return {
    id: row.id,
    workspace: row.workspace_name,
    version: row.version,
    pipeline: row.pipeline_name,
    submissionKey: row.submission_key,
    state: row.state as PipelineRunState,
    reason: row.reason,
    request: JSON.parse(row.request_json) as JsonObject,
    maxParallel: row.max_parallel,
    goldfishVersion: row.goldfish_version,
    createdAt: row.created_at,
    endedAt: row.ended_at,
    group: row.group_name,
    retryOf: row.retry_of,
  };
}

export function insertPipelineRun(db: Db, run: PipelineRun): void {
  db.prepare(
    `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason, request_json,
       max_parallel, goldfish_version, created_at, ended_at, group_name, retry_of)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    run.id,
    run.workspace,
    run.version,
    run.pipeline,
    run.submissionKey,
    run.state,
    run.reason,
    JSON.stringify(run.request),
    run.maxParallel,
    run.goldfishVersion,
    run.createdAt,
    run.endedAt,
    run.group,
    run.retryOf,
  );
}

export function getPipelineRun(db: Db, id: string): PipelineRun | undefined {
  const row = db.prepare<Row>('SELECT * FROM pipeline_runs WHERE id = ?').get(id);
  return row && toPipelineRun(row);
}

/**
 * The newest pipeline run of this key that is active or completed: the one an equal call returns. One that is being
 * canceled is not: who asks again after a cancel wants it done.
 */
export function findLivePipelineRun(db: Db, submissionKey: string): PipelineRun | undefined {
  const row = db
    .prepare<Row>(
      `SELECT p.* FROM pipeline_runs p
       WHERE p.submission_key = ? AND p.state IN ('pending', 'running', 'completed') AND NOT EXISTS (
         SELECT 1 FROM stage_runs r WHERE r.pipeline_run_id = p.id AND r.cancel_cause IS NOT NULL)
       ORDER BY p.created_at DESC, p.rowid DESC LIMIT 1`,
    )
    .get(submissionKey);
  return row && toPipelineRun(row);
}

/** Newest first. */
export function listPipelineRuns(db: Db, filter: { workspace?: string; limit: number }): PipelineRun[] {
  const newest = 'ORDER BY created_at DESC, rowid DESC LIMIT ?';
  const rows =
    filter.workspace === undefined
      ? db.prepare<Row>(`SELECT * FROM pipeline_runs ${newest}`).all(filter.limit)
      : db
          .prepare<Row>(`SELECT * FROM pipeline_runs WHERE workspace_name = ? ${newest}`)
          .all(filter.workspace, filter.limit);
  return rows.map(toPipelineRun);
}

export function setPipelineRunState(
  db: Db,
  change: { id: string; state: PipelineRunState; endedAt: string | null },
): void {
  db.prepare('UPDATE pipeline_runs SET state = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL').run(
    change.state,
    change.endedAt,
    change.id,
  );
}

/** Ids that begin with a prefix, at most `limit`. */
export function pipelineRunIdsLike(db: Db, prefix: string, limit: number): string[] {
  return db
    .prepare<{ id: string }>('SELECT id FROM pipeline_runs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?')
    .all(prefix, `${prefix}g`, limit)
    .map((row) => row.id);
}
