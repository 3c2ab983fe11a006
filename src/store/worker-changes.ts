import type { JsonObject } from '../core/json.ts';
import type { JobKey, Worker } from '../core/rows.ts';
import {
  type JobOutcome,
  LEASES,
  type WorkerEnd,
  type WorkerEventName,
  workerStateAfter,
} from '../core/worker-lifecycle.ts';
import type { Db } from './database.ts';

/** What happens to one worker. Judged by `worker` as it was read: where state or job differ by now, nothing of it is done. */
export type WorkerChange = {
  worker: Pick<Worker, 'id' | 'state' | 'jobNumber'>;
  event?: WorkerEventName;
  /** With `delete` and `vanish`, where nothing was said before. */
  reason?: WorkerEnd;
  /** Its new job, with `assign`. */
  job?: JobKey;
  /** Its job was seen to have begun. */
  claimed?: true;
  /** Its job was called off though its state stays (it is launching). */
  calledOff?: true;
  sighting?: WorkerSighting;
};

/** What one look told of a worker, beside its state. */
export type WorkerSighting = {
  running?: true;
  /** Whether lists show it; absent where they could not tell. */
  absent?: boolean;
  /** A letter that was not known. */
  letter?: { generation: string; content: JsonObject };
};

/** Applies all changes in one transaction, with a number of statements that does not grow with them. Returns whose events took place. */
export function applyWorkerChanges(db: Db, changes: readonly WorkerChange[], at: string): Set<string> {
  if (changes.length === 0) return new Set();
  return db.write(() => {
    noteSightings(db, changes, at);
    const moved = changeStates(db, changes, at);
    const applied = changes.filter(({ event, worker }) => event === undefined || moved.has(worker.id));
    changeJobs(db, applied, at);
    addJobs(db, applied, at);
    return moved;
  });
}

function noteSightings(db: Db, changes: readonly WorkerChange[], at: string): void {
  const seen = changes.flatMap(({ worker, sighting }) => {
    if (sighting === undefined) return [];
    const { running, absent, letter } = sighting;
    return [
      {
        id: worker.id,
        at,
        running: running === true ? 1 : 0,
        absent: absent === undefined ? null : Number(absent),
        generation: letter?.generation ?? null,
        letter: letter === undefined ? null : JSON.stringify(letter.content),
      },
    ];
  });
  if (seen.length === 0) return;
  db.prepare(
    `UPDATE workers SET
       running_at = CASE WHEN c.running = 1 THEN coalesce(running_at, c.at) ELSE running_at END,
       absent_since = CASE c.absent WHEN 1 THEN coalesce(absent_since, c.at) WHEN 0 THEN NULL ELSE absent_since END,
       absent_count = CASE c.absent WHEN 1 THEN absent_count + 1 WHEN 0 THEN 0 ELSE absent_count END,
       letter_generation = coalesce(c.generation, letter_generation),
       letter_at = CASE WHEN c.generation IS NULL THEN letter_at ELSE c.at END,
       letter_json = coalesce(c.letter, letter_json)
     FROM (SELECT value ->> 'id' AS id, value ->> 'at' AS at, value ->> 'running' AS running,
                  value ->> 'absent' AS absent, value ->> 'generation' AS generation, value ->> 'letter' AS letter
           FROM json_each(?)) c
     WHERE workers.id = c.id AND workers.state <> 'gone'`,
  ).run(JSON.stringify(seen));
}

function changeStates(db: Db, changes: readonly WorkerChange[], at: string): Set<string> {
  const events = changes.flatMap(({ worker, event, reason, job }) => {
    if (event === undefined) return [];
    const to = workerStateAfter(worker.state, event);
    if (to === undefined) return [];
    const { id, state: from, jobNumber } = worker;
    const jobs = job === undefined ? 0 : 1;
    return [{ id, at, event, from, to, jobNumber, reason: reason ?? null, jobs }];
  });
  if (events.length === 0) return new Set();
  const moved = db
    .prepare<{ id: string }>(
      `UPDATE workers SET state = c.to_state, state_at = c.at, job_number = workers.job_number + c.jobs,
         end_reason = coalesce(end_reason, c.reason), gone_at = CASE c.to_state WHEN 'gone' THEN c.at END
       FROM (SELECT value ->> 'id' AS id, value ->> 'at' AS at, value ->> 'from' AS from_state,
                    value ->> 'to' AS to_state, value ->> 'jobNumber' AS job_number,
                    value ->> 'reason' AS reason, value ->> 'jobs' AS jobs
             FROM json_each(?)) c
       WHERE workers.id = c.id AND workers.state = c.from_state AND workers.job_number = c.job_number
       RETURNING workers.id AS id`,
    )
    .all(JSON.stringify(events));
  // kill point: pool/half-moved
  const ids = new Set(moved.map(({ id }) => id));
  const written = events.filter(({ id }) => ids.has(id));
  db.prepare(
    `INSERT INTO worker_events (worker_id, event, from_state, to_state, reason, created_at)
     SELECT value ->> 'id', value ->> 'event', value ->> 'from', value ->> 'to', value ->> 'reason',
            value ->> 'at'
     FROM json_each(?)`,
  ).run(JSON.stringify(written));
  return ids;
}

/** A worker that comes to a state without a lease loses the job that it has, in the same transaction. */
function changeJobs(db: Db, changes: readonly WorkerChange[], at: string): void {
  const jobs = changes.flatMap((change) => {
    const outcome = outcomeOf(change);
    if (outcome === undefined && change.claimed === undefined) return [];
    const { id, jobNumber: number } = change.worker;
    const reason = outcome === 'lost' ? (change.reason ?? null) : null;
    const claimed = change.claimed === true ? 1 : 0;
    return [{ id, at, number, claimed, outcome: outcome ?? null, reason }];
  });
  if (jobs.length === 0) return;
  db.prepare(
    `UPDATE worker_jobs SET
       claimed_at = CASE WHEN c.claimed = 1 THEN coalesce(claimed_at, c.at) ELSE claimed_at END,
       ended_at = CASE WHEN c.outcome IS NULL THEN NULL ELSE c.at END, outcome = c.outcome, reason = c.reason
     FROM (SELECT value ->> 'id' AS id, value ->> 'at' AS at, value ->> 'number' AS number,
                  value ->> 'claimed' AS claimed, value ->> 'outcome' AS outcome, value ->> 'reason' AS reason
           FROM json_each(?)) c
     WHERE worker_jobs.worker_id = c.id AND worker_jobs.number = c.number AND worker_jobs.ended_at IS NULL`,
  ).run(JSON.stringify(jobs));
}

function outcomeOf({ worker, event, calledOff }: WorkerChange): JobOutcome | undefined {
  if (calledOff === true) return 'called_off';
  const to = event && workerStateAfter(worker.state, event);
  if (to === undefined || LEASES[to] !== 'never') return undefined;
  return event === 'drain' ? 'done' : 'lost';
}

function addJobs(db: Db, changes: readonly WorkerChange[], at: string): void {
  for (const { worker, event, job } of changes) {
    if (event !== 'assign' || job === undefined) continue;
    db.prepare(
      `INSERT INTO worker_jobs (worker_id, number, run_id, attempt, warm, assigned_at) VALUES (?, ?, ?, ?, 1, ?)`,
    ).run(worker.id, worker.jobNumber + 1, job.runId, job.attempt, at);
  }
}
