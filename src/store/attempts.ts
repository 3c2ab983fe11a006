import type { Cause, StopReason } from '../core/causes.ts';
import type { JsonObject } from '../core/json.ts';
import type { RunAttempt } from '../core/rows.ts';
import type { Db } from './database.ts';

type Row = {
  run_id: string;
  attempt: number;
  external_id: string;
  handle_json: string | null;
  raw_state: string | null;
  absent_since: string | null;
  absent_count: number;
  stop_requested_at: string | null;
  stop_reason: string | null;
  exit_code: number | null;
  signal: string | null;
  cause: string | null;
  result_json: string | null;
  metrics_offset: number;
  launched_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  released_at: string | null;
};

function parse(text: string | null): JsonObject | null {
  return text === null ? null : (JSON.parse(text) as JsonObject);
}

function toAttempt(row: Row): RunAttempt {
  return {
    runId: row.run_id,
    attempt: row.attempt,
    externalId: row.external_id,
    handle: parse(row.handle_json),
    rawState: row.raw_state,
    absentSince: row.absent_since,
    absentCount: row.absent_count,
    stopRequestedAt: row.stop_requested_at,
    stopReason: row.stop_reason as StopReason | null,
    exitCode: row.exit_code,
    signal: row.signal,
    cause: row.cause as Cause | null,
    result: parse(row.result_json),
    metricsOffset: row.metrics_offset,
    launchedAt: row.launched_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    releasedAt: row.released_at,
  };
}

export type AttemptKey = { runId: string; attempt: number };

/** Recorded before the backend is asked; an attempt that is already there stays as it is. */
export function recordAttempt(db: Db, attempt: AttemptKey & { externalId: string }): void {
  db.prepare('INSERT OR IGNORE INTO run_attempts (run_id, attempt, external_id) VALUES (?, ?, ?)').run(
    attempt.runId,
    attempt.attempt,
    attempt.externalId,
  );
}

export function getAttempt(db: Db, key: AttemptKey): RunAttempt | undefined {
  const row = db
    .prepare<Row>('SELECT * FROM run_attempts WHERE run_id = ? AND attempt = ?')
    .get(key.runId, key.attempt);
  return row && toAttempt(row);
}

export function attemptsOfRun(db: Db, runId: string): RunAttempt[] {
  return db
    .prepare<Row>('SELECT * FROM run_attempts WHERE run_id = ? ORDER BY attempt')
    .all(runId)
    .map(toAttempt);
}

/**
 * How long completed runs of a stage took, in seconds: the attempt that completed, from its launch to its end. Of the
 * newest `limit` that were executed.
 */
export function durationsOfStage(db: Db, of: { workspace: string; stage: string; limit: number }): number[] {
  return db
    .prepare<{ from_time: string; ended_at: string }>(
      `SELECT coalesce(a.launched_at, a.started_at) AS from_time, a.ended_at
       FROM stage_runs r JOIN run_attempts a ON a.run_id = r.id AND a.attempt = r.attempt
       WHERE r.workspace_name = ? AND r.stage_name = ? AND r.state = 'completed' AND a.ended_at IS NOT NULL
         AND coalesce(a.launched_at, a.started_at) IS NOT NULL
       ORDER BY r.created_at DESC LIMIT ?`,
    )
    .all(of.workspace, of.stage, of.limit)
    .map((row) => Math.max(0, (Date.parse(row.ended_at) - Date.parse(row.from_time)) / 1000));
}

export function setAttemptHandle(db: Db, key: AttemptKey, set: { handle: JsonObject; at: string }): void {
  db.prepare(
    'UPDATE run_attempts SET handle_json = ?, launched_at = coalesce(launched_at, ?) WHERE run_id = ? AND attempt = ?',
  ).run(JSON.stringify(set.handle), set.at, key.runId, key.attempt);
}

/** What one look at the backend told. Seeing it again forgets earlier absence. */
export function noteObservation(
  db: Db,
  key: AttemptKey,
  seen: { raw: string; startedAt: string | null; absent: boolean; at: string },
): void {
  const absent = seen.absent ? 1 : 0;
  db.prepare(
    `UPDATE run_attempts SET raw_state = ?, started_at = coalesce(started_at, ?),
       absent_since = CASE WHEN ? THEN coalesce(absent_since, ?) ELSE NULL END,
       absent_count = CASE WHEN ? THEN absent_count + 1 ELSE 0 END
     WHERE run_id = ? AND attempt = ?`,
  ).run(seen.raw, seen.startedAt, absent, seen.at, absent, key.runId, key.attempt);
}

/** The first request stays. */
export function noteStopRequested(db: Db, key: AttemptKey, asked: { at: string; reason: StopReason }): void {
  db.prepare(
    `UPDATE run_attempts SET stop_requested_at = ?, stop_reason = ?
     WHERE run_id = ? AND attempt = ? AND stop_requested_at IS NULL`,
  ).run(asked.at, asked.reason, key.runId, key.attempt);
}

export type AttemptEnd = {
  result: JsonObject | null;
  exitCode: number | null;
  signal: string | null;
  startedAt: string | null;
  endedAt: string;
};

/** The result document as it was read; kept apart from what the run's end means. */
export function recordAttemptEnd(db: Db, key: AttemptKey, end: AttemptEnd): void {
  db.prepare(
    `UPDATE run_attempts SET result_json = coalesce(result_json, ?), exit_code = coalesce(exit_code, ?),
       signal = coalesce(signal, ?), started_at = coalesce(started_at, ?), ended_at = coalesce(ended_at, ?)
     WHERE run_id = ? AND attempt = ?`,
  ).run(
    end.result === null ? null : JSON.stringify(end.result),
    end.exitCode,
    end.signal,
    end.startedAt,
    end.endedAt,
    key.runId,
    key.attempt,
  );
}

/** Why it ended, and when, where no result said so. */
export function setAttemptCause(db: Db, key: AttemptKey, end: { cause: Cause; at: string }): void {
  db.prepare(
    `UPDATE run_attempts SET cause = coalesce(cause, ?), ended_at = coalesce(ended_at, ?)
     WHERE run_id = ? AND attempt = ?`,
  ).run(end.cause, end.at, key.runId, key.attempt);
}

/** When an attempt that left no result ended, as far as anybody can tell. */
export function noteAttemptEnd(db: Db, key: AttemptKey, at: string): void {
  db.prepare('UPDATE run_attempts SET ended_at = coalesce(ended_at, ?) WHERE run_id = ? AND attempt = ?').run(
    at,
    key.runId,
    key.attempt,
  );
}

export function noteReleased(db: Db, key: AttemptKey, at: string): void {
  db.prepare(
    'UPDATE run_attempts SET released_at = coalesce(released_at, ?) WHERE run_id = ? AND attempt = ?',
  ).run(at, key.runId, key.attempt);
}

/** How many attempts still hold something of a backend although their run ended, at this time or later. */
export function unreleasedSince(db: Db, endedSince: string): number {
  const row = db
    .prepare<{ n: number }>(
      `SELECT count(*) AS n FROM run_attempts a JOIN stage_runs r ON r.id = a.run_id
       WHERE a.released_at IS NULL AND r.ended_at >= ?`,
    )
    .get(endedSince);
  return row?.n ?? 0;
}

/** Attempts that hold something of a backend although their run has ended. */
export function unreleasedAttempts(db: Db): RunAttempt[] {
  return db
    .prepare<Row>(
      `SELECT a.* FROM run_attempts a JOIN stage_runs r ON r.id = a.run_id
       WHERE a.released_at IS NULL AND (r.ended_at IS NOT NULL OR a.attempt < r.attempt)`,
    )
    .all()
    .map(toAttempt);
}
