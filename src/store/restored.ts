import type { Db } from './database.ts';

/**
 * A restored project is nobody's yet: its slots are empty, no supervisor holds it, and nothing that ran for the
 * project it was copied from belongs to it. Returns the runs that were open when the backup was made.
 */
export function disownRestored(db: Db, at: string): string[] {
  db.prepare('UPDATE slots SET workspace_name = NULL, mounted_at = NULL').run();
  db.prepare('UPDATE supervisor_lease SET pid = NULL, pid_start = NULL, heartbeat_at = NULL').run();
  db.prepare('UPDATE run_attempts SET released_at = ? WHERE released_at IS NULL').run(at);
  return db
    .prepare<{ id: string }>(
      "SELECT id FROM stage_runs WHERE state NOT IN ('completed', 'failed', 'terminated', 'canceled') ORDER BY rowid DESC",
    )
    .all()
    .map((row) => row.id);
}

/** What stored content is in the project's own words: `report of stage-…`, `source digits@v2`; null for a part of a folder. */
export function nameOfContent(db: Db, hash: string): string | null {
  const row = db
    .prepare<{ name: string }>(
      `SELECT signal_name || ' of ' || stage_run_id AS name FROM signal_lineage WHERE hash = ?
        UNION ALL SELECT 'source ' || name || '@v' || version FROM sources WHERE hash = ? LIMIT 1`,
    )
    .get(hash, hash);
  return row?.name ?? null;
}
