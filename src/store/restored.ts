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
