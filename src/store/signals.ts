import type { RunInput, StoredOutput } from '../core/rows.ts';
import type { SignalType } from '../core/signals.ts';
import type { Db } from './database.ts';

type InputRow = {
  run_id: string;
  name: string;
  signal_type: string;
  from_run_id: string | null;
  from_signal: string | null;
  hash: string | null;
  stale: number;
  from_source: string | null;
  from_source_version: number | null;
};

type OutputRow = {
  stage_run_id: string;
  signal_name: string;
  signal_type: string;
  kind: string;
  hash: string;
  size: number;
  storage_location: string;
  created_at: string;
};

function toInput(row: InputRow): RunInput {
  return {
    runId: row.run_id,
    name: row.name,
    type: row.signal_type as SignalType,
    fromRunId: row.from_run_id,
    fromSignal: row.from_signal,
    fromSource: row.from_source,
    fromSourceVersion: row.from_source_version,
    hash: row.hash,
    stale: row.stale === 1,
  };
}

function toOutput(row: OutputRow): StoredOutput {
  return {
    runId: row.stage_run_id,
    name: row.signal_name,
    type: row.signal_type as SignalType,
    kind: row.kind as StoredOutput['kind'],
    hash: row.hash,
    size: row.size,
    storageLocation: row.storage_location,
    createdAt: row.created_at,
  };
}

export function insertInput(db: Db, input: RunInput): void {
  db.prepare(
    `INSERT INTO run_inputs (run_id, name, signal_type, from_run_id, from_signal, hash, stale, from_source,
       from_source_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    input.runId,
    input.name,
    input.type,
    input.fromRunId,
    input.fromSignal,
    input.hash,
    input.stale ? 1 : 0,
    input.fromSource,
    input.fromSourceVersion,
  );
}

export function inputsOfRun(db: Db, runId: string): RunInput[] {
  return db
    .prepare<InputRow>('SELECT * FROM run_inputs WHERE run_id = ? ORDER BY name')
    .all(runId)
    .map(toInput);
}

/** Tells everyone who waits for a run's signals what their content is. */
export function resolveInputsFrom(db: Db, producerRunId: string): void {
  db.prepare(
    `UPDATE run_inputs SET hash = (SELECT o.hash FROM signal_lineage o
       WHERE o.stage_run_id = run_inputs.from_run_id AND o.signal_name = run_inputs.from_signal)
     WHERE from_run_id = ? AND hash IS NULL`,
  ).run(producerRunId);
}

/** Written once per run, in the transaction that completes it. */
export function insertOutputs(db: Db, outputs: readonly StoredOutput[]): void {
  const insert = db.prepare(
    `INSERT INTO signal_lineage (stage_run_id, signal_name, signal_type, kind, hash, size, storage_location, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  for (const output of outputs) {
    insert.run(
      output.runId,
      output.name,
      output.type,
      output.kind,
      output.hash,
      output.size,
      output.storageLocation,
      output.createdAt,
    );
  }
}

export function outputsOfRun(db: Db, runId: string): StoredOutput[] {
  return db
    .prepare<OutputRow>('SELECT * FROM signal_lineage WHERE stage_run_id = ? ORDER BY signal_name')
    .all(runId)
    .map(toOutput);
}

/** Any stored output with this content. */
export function outputByHash(db: Db, hash: string): StoredOutput | undefined {
  const row = db.prepare<OutputRow>('SELECT * FROM signal_lineage WHERE hash = ? LIMIT 1').get(hash);
  return row && toOutput(row);
}
