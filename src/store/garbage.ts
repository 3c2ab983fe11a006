import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

/** What `gc` asks the store: what is needed, and since when something is not. Times are ISO text. */

/** Stands for the time of the last use of what is in use. */
export const IN_USE = '9999';

export type EndedRun = {
  runId: string;
  state: RunState;
  /** The newest attempt. */
  attempt: number;
  endedAt: string;
};

/**
 * Of a run all of whose folders must stay: it is open, its backend may still hold it, an open call tries it again, an
 * open run is to start with its stage checkpoints, or its version or its record is tagged.
 */
const HELD = `(r.ended_at IS NULL
  OR EXISTS (SELECT 1 FROM run_attempts a WHERE a.run_id = r.id AND a.released_at IS NULL)
  OR EXISTS (SELECT 1 FROM pipeline_runs p WHERE p.retry_of = r.id AND p.ended_at IS NULL)
  OR r.id IN (SELECT s.plan_json ->> '$.startFrom.runId' FROM stage_runs s
               WHERE s.state NOT IN ('completed', 'failed', 'terminated', 'canceled')
                 AND s.plan_json ->> '$.startFrom.runId' IS NOT NULL)
  OR EXISTS (SELECT 1 FROM tags t WHERE t.workspace_name = r.workspace_name AND t.version = r.version)
  OR EXISTS (SELECT 1 FROM tags t JOIN records e ON e.id = t.record_id
              WHERE e.pipeline_run_id = r.pipeline_run_id
                 OR (e.kind = 'checkpoint' AND e.workspace_name = r.workspace_name AND e.version = r.version)))`;

/** Runs whose folders nothing holds. */
export function releasableRuns(db: Db): EndedRun[] {
  return db
    .prepare<EndedRun>(
      `SELECT r.id AS runId, r.state, r.attempt, r.ended_at AS endedAt FROM stage_runs r WHERE NOT ${HELD}
       ORDER BY r.ended_at`,
    )
    .all();
}

export function isRunHeld(db: Db, runId: string): boolean {
  const row = db
    .prepare<{ held: number }>(`SELECT ${HELD} AS held FROM stage_runs r WHERE r.id = ?`)
    .get(runId);
  return row?.held !== 0;
}

type LastUse = { key: string; at: string };

function toMap(rows: readonly LastUse[]): Map<string, string> {
  return new Map(rows.map(({ key, at }) => [key, at]));
}

/** When runs last used each environment, by its key; `IN_USE` where one does. */
export function environmentUses(db: Db): Map<string, string> {
  return toMap(
    db
      .prepare<LastUse>(
        `SELECT plan_json ->> '$.environmentKey' AS key, max(coalesce(ended_at, '${IN_USE}')) AS at
           FROM stage_runs GROUP BY 1`,
      )
      .all(),
  );
}

/** The same for the files of versions, by tree. */
export function treeUses(db: Db): Map<string, string> {
  return toMap(
    db
      .prepare<LastUse>(
        `SELECT v.tree_sha AS key, max(coalesce(r.ended_at, '${IN_USE}')) AS at
           FROM stage_runs r JOIN workspace_versions v
             ON v.workspace_name = r.workspace_name AND v.version = r.version GROUP BY 1`,
      )
      .all(),
  );
}

/** The same for content that runs read, by hash. */
export function inputUses(db: Db): Map<string, string> {
  return toMap(
    db
      .prepare<LastUse>(
        `SELECT i.hash AS key, max(coalesce(r.ended_at, '${IN_USE}')) AS at
           FROM run_inputs i JOIN stage_runs r ON r.id = i.run_id WHERE i.hash IS NOT NULL GROUP BY 1`,
      )
      .all(),
  );
}

export type OpenUse = { environment: string } | { tree: string } | { input: string };

/** Whether a run that has not ended needs something. To be asked in the transaction that takes it away. */
export function isInOpenUse(db: Db, use: OpenUse): boolean {
  const open = 'r.ended_at IS NULL';
  const [sql, value] =
    'environment' in use
      ? [
          `SELECT 1 AS hit FROM stage_runs r WHERE ${open} AND plan_json ->> '$.environmentKey' = ?`,
          use.environment,
        ]
      : 'tree' in use
        ? [
            `SELECT 1 AS hit FROM stage_runs r JOIN workspace_versions v
               ON v.workspace_name = r.workspace_name AND v.version = r.version
              WHERE ${open} AND v.tree_sha = ?`,
            use.tree,
          ]
        : [
            `SELECT 1 AS hit FROM stage_runs r JOIN run_inputs i ON i.run_id = r.id WHERE ${open} AND i.hash = ?`,
            use.input,
          ];
  return db.prepare(`${sql} LIMIT 1`).get(value) !== undefined;
}

export type NeededContent = { hash: string; kind: 'file' | 'folder' };

/**
 * All content that a row speaks for: outputs of runs (records and the cache live by them), what runs have read, and
 * sources, also those deleted after `deletedAfter`.
 */
export function neededContent(db: Db, deletedAfter: string): NeededContent[] {
  return db
    .prepare<NeededContent>(
      `SELECT hash, kind FROM signal_lineage
        UNION SELECT hash, kind FROM sources s
               WHERE s.deleted_at IS NULL OR s.deleted_at > ? OR EXISTS (SELECT 1 FROM run_inputs i
                     WHERE i.from_source = s.name AND i.from_source_version = s.version)
        UNION SELECT hash, 'file' FROM run_inputs WHERE hash IS NOT NULL`,
    )
    .all(deletedAfter);
}

/** Bytes of stored outputs and sources, each content once. */
export function storedBytes(db: Db): number {
  const row = db
    .prepare<{ bytes: number | null }>(
      `SELECT sum(size) AS bytes FROM (SELECT hash, kind, max(size) AS size FROM (
         SELECT hash, kind, size FROM signal_lineage
         UNION ALL SELECT hash, kind, size FROM sources WHERE deleted_at IS NULL) GROUP BY hash, kind)`,
    )
    .get();
  return row?.bytes ?? 0;
}
