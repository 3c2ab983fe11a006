import type { JsonObject } from '../core/json.ts';
import type { JobKey, ProvisioningModel, Worker, WorkerJob } from '../core/rows.ts';
import type { JobOutcome, WorkerEnd, WorkerState } from '../core/worker-lifecycle.ts';
import type { Db } from './database.ts';

type Row = {
  id: string;
  state: string;
  pooled: number;
  profile: string;
  shape: string;
  zone: string | null;
  model: string | null;
  price_per_hour: number | null;
  job_number: number;
  assignment_generation: string | null;
  letter_generation: string | null;
  letter_at: string | null;
  letter_json: string | null;
  created_at: string;
  state_at: string;
  placed_at: string | null;
  place_number: number;
  running_at: string | null;
  absent_since: string | null;
  absent_count: number;
  end_reason: string | null;
  gone_at: string | null;
  // Of the job that has not ended.
  number: number | null;
  run_id: string | null;
  attempt: number | null;
  warm: number | null;
  assigned_at: string | null;
  claimed_at: string | null;
};

function toWorker(row: Row): Worker {
  const { number, run_id: runId, attempt, assigned_at: assignedAt } = row;
  const hasJob = number !== null && runId !== null && attempt !== null && assignedAt !== null;
  return {
    id: row.id,
    state: row.state as WorkerState,
    pooled: row.pooled === 1,
    profile: row.profile,
    shape: row.shape,
    zone: row.zone,
    model: row.model as ProvisioningModel | null,
    pricePerHour: row.price_per_hour,
    lease: hasJob
      ? { number, runId, attempt, warm: row.warm === 1, assignedAt, claimedAt: row.claimed_at }
      : null,
    jobNumber: row.job_number,
    assignmentGeneration: row.assignment_generation,
    letter: row.letter_json === null ? null : (JSON.parse(row.letter_json) as JsonObject),
    letterGeneration: row.letter_generation,
    letterAt: row.letter_at,
    createdAt: row.created_at,
    stateAt: row.state_at,
    placedAt: row.placed_at,
    placeNumber: row.place_number,
    runningAt: row.running_at,
    absentSince: row.absent_since,
    absentCount: row.absent_count,
    endReason: row.end_reason as WorkerEnd | null,
    goneAt: row.gone_at,
  };
}

const SELECT = `SELECT w.*, j.number, j.run_id, j.attempt, j.warm, j.assigned_at, j.claimed_at
  FROM workers w LEFT JOIN worker_jobs j ON j.worker_id = w.id AND j.ended_at IS NULL`;

/** All that may be there, oldest first. */
export function livingWorkers(db: Db): Worker[] {
  return db.prepare<Row>(`${SELECT} WHERE w.state <> 'gone' ORDER BY w.created_at, w.id`).all().map(toWorker);
}

/** Those of the ids whose machines are gone. */
export function goneAmong(db: Db, ids: readonly string[]): string[] {
  if (ids.length === 0) return [];
  return db
    .prepare<{ id: string }>(
      `SELECT id FROM workers WHERE state = 'gone' AND id IN (SELECT value FROM json_each(?))`,
    )
    .all(JSON.stringify(ids))
    .map(({ id }) => id);
}

export function getWorker(db: Db, id: string): Worker | undefined {
  const row = db.prepare<Row>(`${SELECT} WHERE w.id = ?`).get(id);
  return row && toWorker(row);
}

/** The worker that has a job now. */
export function workerOfJob(db: Db, job: JobKey): Worker | undefined {
  const row = db.prepare<Row>(`${SELECT} WHERE j.run_id = ? AND j.attempt = ?`).get(job.runId, job.attempt);
  return row && toWorker(row);
}

type JobRow = {
  worker_id: string;
  number: number;
  run_id: string;
  attempt: number;
  warm: number;
  assigned_at: string;
  claimed_at: string | null;
  ended_at: string | null;
  outcome: string | null;
  reason: string | null;
};

function toWorkerJob(row: JobRow): WorkerJob {
  return {
    workerId: row.worker_id,
    number: row.number,
    runId: row.run_id,
    attempt: row.attempt,
    warm: row.warm === 1,
    assignedAt: row.assigned_at,
    claimedAt: row.claimed_at,
    endedAt: row.ended_at,
    outcome: row.outcome as JobOutcome | null,
    reason: row.reason as WorkerEnd | null,
  };
}

/**
 * Every worker that an attempt was given to, the newest last: those before it never began it. The one that has it, or has
 * begun it, is the newest, whatever the times say: the clock may have been set back in between.
 */
export function workersOfJob(db: Db, job: JobKey): WorkerJob[] {
  return db
    .prepare<JobRow>(
      `SELECT * FROM worker_jobs WHERE run_id = ? AND attempt = ?
       ORDER BY ended_at IS NULL, outcome IS NOT 'called_off', ended_at, assigned_at`,
    )
    .all(job.runId, job.attempt)
    .map(toWorkerJob);
}

export type NewWorker = Pick<Worker, 'id' | 'pooled' | 'profile' | 'shape'> & { job: JobKey; at: string };

/** A worker is born with a job, in one transaction with whatever made sure that there is room for it. */
export function addWorker(db: Db, worker: NewWorker): void {
  const { id, pooled, profile, shape, job, at } = worker;
  db.write(() => {
    db.prepare(
      `INSERT INTO workers (id, state, pooled, profile, shape, job_number, created_at, state_at)
       VALUES (?, 'launching', ?, ?, ?, 1, ?, ?)`,
    ).run(id, pooled ? 1 : 0, profile, shape, at, at);
    db.prepare(
      `INSERT INTO worker_jobs (worker_id, number, run_id, attempt, warm, assigned_at) VALUES (?, 1, ?, ?, 0, ?)`,
    ).run(id, job.runId, job.attempt, at);
    db.prepare(
      `INSERT INTO worker_events (worker_id, event, to_state, created_at) VALUES (?, 'reserve', 'launching', ?)`,
    ).run(id, at);
  });
}

/** Before a machine is asked for. The number of the place among all that were tried; undefined where none is wanted any more. */
export function placeWorker(
  db: Db,
  id: string,
  place: { zone: string; model: ProvisioningModel; pricePerHour: number | null; at: string },
): number | undefined {
  return db
    .prepare<{ n: number }>(
      `UPDATE workers SET zone = ?, model = ?, price_per_hour = ?, placed_at = ?, place_number = place_number + 1
       WHERE id = ? AND state = 'launching' RETURNING place_number AS n`,
    )
    .get(place.zone, place.model, place.pricePerHour, place.at, id)?.n;
}

/** What names its job was written. A generation of an earlier job of the worker does not replace the newer one. */
export function noteAssignment(db: Db, id: string, of: { jobNumber: number; generation: string }): void {
  db.prepare('UPDATE workers SET assignment_generation = ? WHERE id = ? AND job_number = ?').run(
    of.generation,
    id,
    of.jobNumber,
  );
}

/** How many machines the pool has or may have. */
export function countPooled(db: Db): number {
  return (
    db.prepare<{ n: number }>(`SELECT count(*) AS n FROM workers WHERE pooled = 1 AND state <> 'gone'`).get()
      ?.n ?? 0
  );
}
