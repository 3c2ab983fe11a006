import type { JsonObject } from '../core/json.ts';
import type { Source } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

type Row = {
  name: string;
  version: number;
  uri: string;
  description: string;
  kind: string;
  hash: string;
  size: number;
  fingerprint: string;
  storage_location: string;
  metadata_json: string;
  from_run_id: string | null;
  from_signal: string | null;
  created_at: string;
  deleted_at: string | null;
};

function toSource(row: Row): Source {
  return {
    name: row.name,
    version: row.version,
    uri: row.uri,
    description: row.description,
    kind: row.kind as Source['kind'],
    hash: row.hash,
    size: row.size,
    fingerprint: row.fingerprint as Source['fingerprint'],
    storageLocation: row.storage_location,
    metadata: JSON.parse(row.metadata_json) as JsonObject,
    fromRunId: row.from_run_id,
    fromSignal: row.from_signal,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
  };
}

export function insertSource(db: Db, source: Source): void {
  db.prepare(
    `INSERT INTO sources (name, version, uri, description, kind, hash, size, fingerprint, storage_location,
       metadata_json, from_run_id, from_signal, created_at, deleted_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    source.name,
    source.version,
    source.uri,
    source.description,
    source.kind,
    source.hash,
    source.size,
    source.fingerprint,
    source.storageLocation,
    JSON.stringify(source.metadata),
    source.fromRunId,
    source.fromSignal,
    source.createdAt,
    source.deletedAt,
  );
}

/** What `name` without a version means. Deleted ones do not count. */
export function newestSource(db: Db, name: string): Source | undefined {
  const row = db
    .prepare<Row>('SELECT * FROM sources WHERE name = ? AND deleted_at IS NULL ORDER BY version DESC LIMIT 1')
    .get(name);
  return row && toSource(row);
}

/** A version that is not deleted. */
export function getSource(db: Db, name: string, version: number): Source | undefined {
  const source = recordedSource(db, { name, version });
  return source?.deletedAt === null ? source : undefined;
}

/** A version whether it is deleted or not: what a run has read stays known. */
export function recordedSource(db: Db, of: { name: string; version: number }): Source | undefined {
  const row = db
    .prepare<Row>('SELECT * FROM sources WHERE name = ? AND version = ?')
    .get(of.name, of.version);
  return row && toSource(row);
}

/** Numbers of deleted versions are not used again. */
export function nextSourceVersion(db: Db, name: string): number {
  const row = db
    .prepare<{ next: number }>('SELECT coalesce(max(version), 0) + 1 AS next FROM sources WHERE name = ?')
    .get(name);
  return row?.next ?? 1;
}

export type ListedSource = { source: Source; versions: number };

/** The newest version of each name with the number of its versions, by name. */
export function listSources(db: Db, page: { limit: number; after?: string }): ListedSource[] {
  return db
    .prepare<Row & { versions: number }>(
      `SELECT s.*, l.versions FROM (
         SELECT name, max(version) AS version, count(*) AS versions FROM sources
         WHERE deleted_at IS NULL AND name > ? GROUP BY name ORDER BY name LIMIT ?) l
       JOIN sources s ON s.name = l.name AND s.version = l.version ORDER BY s.name`,
    )
    .all(page.after ?? '', page.limit)
    .map((row) => ({ source: toSource(row), versions: row.versions }));
}

/** The versions of one name that are not deleted, newest first. */
export function versionsOfSource(db: Db, name: string): Source[] {
  return db
    .prepare<Row>('SELECT * FROM sources WHERE name = ? AND deleted_at IS NULL ORDER BY version DESC')
    .all(name)
    .map(toSource);
}

/** Every name that can be used, sorted. */
export function listSourceNames(db: Db): string[] {
  return db
    .prepare<{ name: string }>('SELECT DISTINCT name FROM sources WHERE deleted_at IS NULL ORDER BY name')
    .all()
    .map((row) => row.name);
}

/** Hides every version of a name; the rows stay for what has read them. Returns how many there were. */
export function deleteSourceVersions(db: Db, deleted: { name: string; at: string }): number {
  return db
    .prepare('UPDATE sources SET deleted_at = ? WHERE name = ? AND deleted_at IS NULL')
    .run(deleted.at, deleted.name);
}

export type SourceConsumer = {
  runId: string;
  workspace: string;
  version: number;
  stage: string;
  input: string;
  sourceVersion: number;
  state: RunState;
  /** Not ended yet. */
  open: boolean;
};

/** Runs that read a source, those that have not ended first, then the newest. */
export function sourceConsumers(
  db: Db,
  of: { name: string; version?: number; limit: number },
): SourceConsumer[] {
  return db
    .prepare<Omit<SourceConsumer, 'open'> & { open: number }>(
      `SELECT r.id AS runId, r.workspace_name AS workspace, r.version, r.stage_name AS stage, i.name AS input,
              i.from_source_version AS sourceVersion, r.state, r.ended_at IS NULL AS open
         FROM run_inputs i JOIN stage_runs r ON r.id = i.run_id
        WHERE i.from_source = ? AND (? IS NULL OR i.from_source_version = ?)
        ORDER BY r.ended_at IS NOT NULL, r.rowid DESC, i.name LIMIT ?`,
    )
    .all(of.name, of.version ?? null, of.version ?? null, of.limit)
    .map((row) => ({ ...row, open: row.open === 1 }));
}

/** How many runs read a source, and how many of them have not ended. */
export function countSourceConsumers(
  db: Db,
  of: { name: string; version?: number },
): { runs: number; open: number } {
  const row = db
    .prepare<{ runs: number; open: number }>(
      `SELECT count(DISTINCT r.id) AS runs, count(DISTINCT CASE WHEN r.ended_at IS NULL THEN r.id END) AS open
         FROM run_inputs i JOIN stage_runs r ON r.id = i.run_id
        WHERE i.from_source = ? AND (? IS NULL OR i.from_source_version = ?)`,
    )
    .get(of.name, of.version ?? null, of.version ?? null);
  return row ?? { runs: 0, open: 0 };
}
