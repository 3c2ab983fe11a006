import type { JsonObject } from '../core/json.ts';
import type { Db } from './database.ts';

/** What a key stands for since its first call. */
export type UsedKey = {
  key: string;
  argumentsHash: string;
  /** As the first call gave them. */
  arguments: JsonObject;
  /** What it was answered with, in the order of the replicates. */
  pipelineRunIds: string[];
  createdAt: string;
};

type Row = { key: string; arguments_hash: string; arguments_json: string; created_at: string };

export function insertUsedKey(db: Db, used: UsedKey): void {
  db.prepare(
    'INSERT INTO idempotency_keys (key, arguments_hash, arguments_json, created_at) VALUES (?, ?, ?, ?)',
  ).run(used.key, used.argumentsHash, JSON.stringify(used.arguments), used.createdAt);
  const insert = db.prepare(
    'INSERT INTO idempotency_key_runs (key, position, pipeline_run_id) VALUES (?, ?, ?)',
  );
  for (const [position, id] of used.pipelineRunIds.entries()) insert.run(used.key, position, id);
}

export function findUsedKey(db: Db, key: string): UsedKey | undefined {
  const row = db.prepare<Row>('SELECT * FROM idempotency_keys WHERE key = ?').get(key);
  if (!row) return undefined;
  const runs = db
    .prepare<{ id: string }>(
      'SELECT pipeline_run_id AS id FROM idempotency_key_runs WHERE key = ? ORDER BY position',
    )
    .all(key);
  return {
    key: row.key,
    argumentsHash: row.arguments_hash,
    arguments: JSON.parse(row.arguments_json) as JsonObject,
    pipelineRunIds: runs.map(({ id }) => id),
    createdAt: row.created_at,
  };
}
