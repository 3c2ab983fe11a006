import { type Cause, eventOfCause } from '../core/causes.ts';
import type { JsonObject } from '../core/json.ts';
import type { Failure, RunEvent } from '../core/rows.ts';
import {
  type EventSource,
  isTerminal,
  judgeEvent,
  type RunEventName,
  type RunState,
  type Verdict,
} from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

/** What may be written together with a change of state. The first error stays: a later one does not replace it. */
export type RunPatch = {
  exitCode?: number | null;
  signal?: string | null;
  errorMessage?: string;
  failure?: Failure;
};

export type RunChange = {
  runId: string;
  source: EventSource;
  /** ISO time of the event. */
  at: string;
  detail?: JsonObject;
  patch?: RunPatch;
  /** Where known: an event of another attempt than the current one is refused. */
  attempt?: number;
};

/** Moves a run along its lifecycle. The only writer of `stage_runs.state`. */
export function applyRunEvent(
  db: Db,
  change: RunChange & {
    event: Exclude<RunEventName, 'complete' | 'fail' | 'terminate' | 'cancel'>;
  },
): Verdict {
  return transition(db, { ...change, cause: null });
}

/** Leads a run back to pending as its next attempt. */
export function restartRun(db: Db, change: RunChange & { notBefore: string }): Verdict {
  return db.write(() => {
    const verdict = transition(db, { ...change, event: 'restart', cause: null });
    if (verdict.kind === 'moved') {
      db.prepare('UPDATE stage_runs SET not_before = ? WHERE id = ?').run(change.notBefore, change.runId);
    }
    return verdict;
  });
}

/** Something was noticed of a run, which changes no state. The current attempt's only: of another, nobody needs to hear. */
export function noteRun(
  db: Db,
  note: Pick<RunChange, 'runId' | 'at' | 'detail'> & { attempt: number },
): void {
  db.prepare(
    `INSERT INTO run_events (run_id, attempt, event, from_state, to_state, source, detail_json, created_at)
     SELECT id, attempt, 'finding', state, state, 'supervisor', ?, ? FROM stage_runs WHERE id = ? AND attempt = ?`,
  ).run(JSON.stringify(note.detail ?? {}), note.at, note.runId, note.attempt);
}

/** Ends a run for a cause; the cause decides the state. */
export function endRun(db: Db, change: RunChange & { cause: Cause }): Verdict {
  return transition(db, { ...change, event: eventOfCause(change.cause) });
}

function transition(db: Db, change: RunChange & { event: RunEventName; cause: Cause | null }): Verdict {
  return db.write(() => {
    const row = db
      .prepare<{ state: RunState; attempt: number }>('SELECT state, attempt FROM stage_runs WHERE id = ?')
      .get(change.runId);
    if (!row) return { kind: 'refused', why: 'no such run' };
    if (change.attempt !== undefined && change.attempt !== row.attempt) {
      return { kind: 'refused', why: `attempt ${change.attempt} is not the current one` };
    }
    const verdict = judgeEvent(row.state, change.event);
    if (verdict.kind !== 'moved') return verdict;
    const attempt = change.event === 'restart' ? row.attempt + 1 : row.attempt;
    const patch = change.patch ?? {};
    db.prepare(
      `UPDATE stage_runs SET state = ?, attempt = ?, cause = ?,
         exit_code = coalesce(?, exit_code), signal = coalesce(?, signal),
         error_message = coalesce(error_message, ?), failure_json = coalesce(failure_json, ?),
         started_at = CASE WHEN ? THEN coalesce(started_at, ?) ELSE started_at END,
         ended_at = ?
       WHERE id = ?`,
    ).run(
      verdict.to,
      attempt,
      change.cause,
      patch.exitCode ?? null,
      patch.signal ?? null,
      patch.errorMessage ?? null,
      patch.failure ? JSON.stringify(patch.failure) : null,
      verdict.to === 'running' ? 1 : 0,
      change.at,
      isTerminal(verdict.to) ? change.at : null,
      change.runId,
    );
    const detail = change.cause ? { ...change.detail, cause: change.cause } : (change.detail ?? {});
    db.prepare(
      `INSERT INTO run_events (run_id, attempt, event, from_state, to_state, source, detail_json, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      change.runId,
      row.attempt,
      change.event,
      row.state,
      verdict.to,
      change.source,
      JSON.stringify(detail),
      change.at,
    );
    return verdict;
  });
}

type Row = {
  seq: number;
  run_id: string;
  attempt: number;
  event: string;
  from_state: string | null;
  to_state: string;
  source: string;
  detail_json: string;
  created_at: string;
};

function toRunEvent(row: Row): RunEvent {
  return {
    seq: row.seq,
    runId: row.run_id,
    attempt: row.attempt,
    event: row.event as RunEvent['event'],
    fromState: row.from_state as RunState | null,
    toState: row.to_state as RunState,
    source: row.source as EventSource,
    detail: JSON.parse(row.detail_json) as JsonObject,
    createdAt: row.created_at,
  };
}

export function eventsOfRun(db: Db, runId: string): RunEvent[] {
  return db.prepare<Row>('SELECT * FROM run_events WHERE run_id = ? ORDER BY seq').all(runId).map(toRunEvent);
}

export function getRunEvent(db: Db, seq: number): RunEvent | undefined {
  const row = db.prepare<Row>('SELECT * FROM run_events WHERE seq = ?').get(seq);
  return row && toRunEvent(row);
}

/** Events of some runs after a sequence number, in order. */
export function eventsAfter(db: Db, query: { seq: number; runIds: readonly string[] }): RunEvent[] {
  return db
    .prepare<Row>(
      `SELECT e.* FROM run_events e WHERE e.seq > ? AND e.run_id IN (SELECT value FROM json_each(?)) ORDER BY e.seq`,
    )
    .all(query.seq, JSON.stringify(query.runIds))
    .map(toRunEvent);
}

/** The sequence number of the newest event; 0 when there is none. */
export function newestEventSeq(db: Db): number {
  return db.prepare<{ seq: number | null }>('SELECT max(seq) AS seq FROM run_events').get()?.seq ?? 0;
}
