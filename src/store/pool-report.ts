import type { JobKey, ProvisioningModel } from '../core/rows.ts';
import type { WorkerState } from '../core/worker-lifecycle.ts';
import type { Db } from './database.ts';

/** What people and agents are told of rented machines. Each is one statement, however many there were. */

export type RentedSum = {
  /** Machines that were seen running or heard of. */
  machines: number;
  /** Those of them whose price is known. */
  priced: number;
  /** What these cost until now. US dollars. */
  cost: number;
};

/** A machine that was on for a moment is billed for so long. */
export const LEAST_BILLED_SECONDS = 60;

/**
 * From the asking for a machine until it was not found any more, which is a little more than is billed; that it is gone is
 * certain only some looks later. One that no list ever showed running is counted until it was heard of last.
 */
export function sumRented(db: Db, at: string): RentedSum {
  const row = db
    .prepare<RentedSum>(
      `SELECT count(*) AS machines, count(price_per_hour) AS priced,
              total(max(?, unixepoch(coalesce(iif(absent_since IS NULL OR running_at IS NOT NULL, absent_since, letter_at),
                                              gone_at, ?), 'subsec') - unixepoch(placed_at, 'subsec'))
                    / 3600.0 * price_per_hour) AS cost
         FROM workers
        WHERE placed_at IS NOT NULL AND (running_at IS NOT NULL OR letter_at IS NOT NULL)`,
    )
    .get(LEAST_BILLED_SECONDS, at);
  return row ?? { machines: 0, priced: 0, cost: 0 };
}

export type StartSum = {
  profile: string;
  /** On machines that were there already. */
  warm: boolean;
  /** Jobs that were begun. */
  starts: number;
  /** From the giving of a job to its beginning: the median. */
  seconds: number;
  /** Prices per hour of the machines of all these jobs together; null where none is known. */
  prices: number | null;
};

type StartRow = Omit<StartSum, 'warm'> & { warm: number };

/** How long jobs waited for their beginning. One that never began is not counted. */
export function startsByProfile(db: Db): StartSum[] {
  return db
    .prepare<StartRow>(
      `WITH begun AS (
         SELECT w.profile, j.warm, w.price_per_hour AS price,
                unixepoch(j.claimed_at, 'subsec') - unixepoch(j.assigned_at, 'subsec') AS seconds
           FROM worker_jobs j JOIN workers w ON w.id = j.worker_id
          WHERE j.claimed_at IS NOT NULL
       ), ranked AS (
         SELECT profile, warm, price, seconds,
                row_number() OVER (PARTITION BY profile, warm ORDER BY seconds) AS place,
                count(*) OVER (PARTITION BY profile, warm) AS starts
           FROM begun
       )
       SELECT profile, warm, starts, sum(price) AS prices,
              avg(CASE WHEN place IN ((starts + 1) / 2, (starts + 2) / 2) THEN seconds END) AS seconds
         FROM ranked GROUP BY profile, warm, starts ORDER BY profile, warm`,
    )
    .all()
    .map((row) => ({ ...row, warm: row.warm === 1 }));
}

export type JobOnMachine = JobKey & {
  workerId: string;
  profile: string;
  zone: string | null;
  model: ProvisioningModel | null;
  warm: boolean;
  /** From the giving of the job to its beginning; null while it has not begun. */
  seconds: number | null;
};

type JobRow = Omit<JobOnMachine, 'warm'> & { warm: number };

/** The machine of each attempt of some runs, in the order of the attempts. One that an attempt never began on is none. */
export function jobsOfRuns(db: Db, runIds: readonly string[]): JobOnMachine[] {
  return db
    .prepare<JobRow>(
      `SELECT j.run_id AS runId, j.attempt, j.worker_id AS workerId, w.profile, w.zone, w.model, j.warm,
              unixepoch(j.claimed_at, 'subsec') - unixepoch(j.assigned_at, 'subsec') AS seconds
         FROM json_each(?) ids JOIN worker_jobs j ON j.run_id = ids.value JOIN workers w ON w.id = j.worker_id
        WHERE j.outcome IS NOT 'called_off'
        ORDER BY j.run_id, j.attempt`,
    )
    .all(JSON.stringify(runIds))
    .map((row) => ({ ...row, warm: row.warm === 1 }));
}

export type OverdueWorker = {
  id: string;
  state: WorkerState;
  /** Since when it is without work, or its deletion was asked for. */
  since: string;
};

/** Machines that are paid for and have had no work since a time, or are still there though they were to go; oldest first. */
export function overdueWorkers(db: Db, before: { withoutWork: string; deleting: string }): OverdueWorker[] {
  return db
    .prepare<OverdueWorker>(
      `SELECT id, state, since FROM (
         SELECT w.id, w.state,
                max(w.state_at, coalesce((SELECT max(j.ended_at) FROM worker_jobs j WHERE j.worker_id = w.id),
                                         w.state_at)) AS since
           FROM workers w
          WHERE w.state <> 'gone' AND w.placed_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM worker_jobs j WHERE j.worker_id = w.id AND j.ended_at IS NULL)
       )
        WHERE since <= CASE state WHEN 'deleting' THEN ? ELSE ? END
        ORDER BY since, id`,
    )
    .all(before.deleting, before.withoutWork);
}

/** Workers that somebody asked to be cleaned up and that are gone, since a time. */
export function cleanedUpSince(db: Db, since: string): string[] {
  return db
    .prepare<{ id: string }>(
      `SELECT id FROM workers WHERE state = 'gone' AND end_reason = 'cleanup' AND gone_at >= ? ORDER BY gone_at, id`,
    )
    .all(since)
    .map(({ id }) => id);
}
