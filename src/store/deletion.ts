import type { Db } from './database.ts';

/**
 * Hides a workspace under another name, in one transaction of the caller's. Foreign keys take its versions, runs,
 * records, tags and thoughts along; what refers to it without one is changed here. The submission keys lose their
 * meaning: a workspace that gets the free name later may make equal calls, and those are calls of their own.
 */
export function hideWorkspace(db: Db, change: { name: string; hidden: string; at: string }): void {
  const { name, hidden, at } = change;
  db.prepare('UPDATE workspaces SET name = ?, deleted_at = ? WHERE name = ?').run(hidden, at, name);
  db.prepare(
    "UPDATE pipeline_runs SET submission_key = submission_key || ' of ' || ? WHERE workspace_name = ?",
  ).run(hidden, hidden);
  db.prepare('UPDATE audit SET workspace = ? WHERE workspace = ?').run(hidden, name);
}

/** The oldest pipeline run of a workspace that has not ended. */
export function openPipelineRunOf(db: Db, workspace: string): string | undefined {
  const row = db
    .prepare<{ id: string }>(
      `SELECT pipeline_run_id AS id FROM stage_runs
        WHERE workspace_name = ? AND state NOT IN ('completed', 'failed', 'terminated', 'canceled')
        ORDER BY created_at LIMIT 1`,
    )
    .get(workspace);
  return row?.id;
}
