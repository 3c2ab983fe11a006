import { isoTime } from '../core/clock.ts';
import type { JobKey, ProvisioningModel, Worker } from '../core/rows.ts';
import { WORKER_STATES, type WorkerEnd, type WorkerState } from '../core/worker-lifecycle.ts';
import type { Db } from '../store/database.ts';
import { LEAST_BILLED_SECONDS, type StartSum, startsByProfile, sumRented } from '../store/pool-report.ts';
import { livingWorkers } from '../store/workers.ts';
import { lastLetterOf } from './letters.ts';
import type { PoolPolicy } from './policy.ts';

type PoolLimits = Pick<PoolPolicy, 'maxInstances' | 'idleTimeoutSeconds' | 'profiles'>;
/** Which machines are kept. */
export type KeptPolicy = PoolLimits & Pick<PoolPolicy, 'enabled'>;

/** A machine that may be there. */
export type WorkerReport = {
  id: string;
  state: WorkerState;
  /** Since when it is in its state. */
  stateAt: string;
  profile: string;
  zone: string | null;
  model: ProvisioningModel | null;
  /** False: for one run. */
  pooled: boolean;
  job: JobKey | null;
  ageSeconds: number;
  pricePerHour: number | null;
  /** Until now; null where its price is not known. */
  cost: number | null;
  /** Since it was heard of last; null: never. */
  letterAgeSeconds: number | null;
  /** How many images it holds, and the driver of its accelerators, as it told last; null: nothing was told of them. */
  images: number | null;
  driver: string | null;
  endReason: WorkerEnd | null;
};

/** Times in seconds, money in US dollars. What was saved and what was paid are estimates. */
export type PoolReport = {
  /** Whether any machine is kept for the next run. */
  enabled: boolean;
  limits: PoolLimits;
  /** How many are in each state, but for those that are gone. */
  counts: Record<string, number>;
  workers: WorkerReport[];
  /** Jobs that machines have begun, and how many of them on a machine that was there already. */
  starts: number;
  warmStarts: number;
  /** 0..1; null where there was none. */
  hitRate: number | null;
  /** Null where no profile has begun jobs of both kinds. */
  secondsSaved: number | null;
  /** Null where no price is known. */
  moneySaved: number | null;
  /** Rented in all, and what they have cost until now; null where no price is known. */
  machines: number;
  cost: number | null;
};

/** What the pool is and has been, as of `now` (milliseconds). Reads only, with three statements. */
export function poolReport(db: Db, { policy, now }: { policy: KeptPolicy; now: number }): PoolReport {
  return db.read(() => {
    const workers = livingWorkers(db);
    const starts = startsByProfile(db);
    const rented = sumRented(db, isoTime(now));
    const all = startsIn(starts);
    const warmStarts = startsIn(starts.filter(({ warm }) => warm));
    const { maxInstances, idleTimeoutSeconds, profiles } = policy;
    return {
      enabled: policy.enabled && maxInstances > 0 && idleTimeoutSeconds > 0 && profiles?.length !== 0,
      limits: { maxInstances, idleTimeoutSeconds, profiles },
      counts: countStates(workers),
      workers: workers.map((worker) => reportOf(worker, now)),
      starts: all,
      warmStarts,
      hitRate: all === 0 ? null : warmStarts / all,
      ...savingsOf(starts),
      machines: rented.machines,
      cost: rented.machines > 0 && rented.priced === 0 ? null : rented.cost,
    };
  });
}

function startsIn(sums: readonly StartSum[]): number {
  return sums.reduce((sum, { starts }) => sum + starts, 0);
}

function countStates(workers: readonly Worker[]): Record<string, number> {
  const living = WORKER_STATES.filter((state) => state !== 'gone');
  return Object.fromEntries(
    living.map((state) => [state, workers.filter((worker) => worker.state === state).length]),
  );
}

function reportOf(worker: Worker, now: number): WorkerReport {
  const { id, state, stateAt, profile, zone, model, pooled, lease, pricePerHour, endReason } = worker;
  const letter = lastLetterOf(worker);
  return {
    id,
    state,
    stateAt,
    profile,
    zone,
    model,
    pooled,
    job: lease && { runId: lease.runId, attempt: lease.attempt },
    ageSeconds: secondsSince(worker.createdAt, now),
    pricePerHour,
    cost: costOf(worker, now),
    letterAgeSeconds: worker.letterAt === null ? null : secondsSince(worker.letterAt, now),
    images: letter?.images.length ?? null,
    driver: letter?.driver ?? null,
    endReason,
  };
}

/** As `sumRented` counts it; one that nobody saw costs nothing yet. */
function costOf(worker: Worker, now: number): number | null {
  const { pricePerHour, placedAt, runningAt, letterAt, absentSince } = worker;
  if (pricePerHour === null) return null;
  if (placedAt === null || (runningAt === null && letterAt === null)) return 0;
  const absentAt = absentSince === null ? null : runningAt === null ? letterAt : absentSince;
  const until = absentAt === null ? now : Date.parse(absentAt);
  return (Math.max(LEAST_BILLED_SECONDS, secondsSince(placedAt, until)) / 3600) * pricePerHour;
}

/** The clock of whoever wrote a row may be ahead of ours. */
function secondsSince(time: string, now: number): number {
  return Math.max(0, (now - Date.parse(time)) / 1000);
}

/** For each warm start: what the median cold start of its profile takes longer than the median warm one. */
function savingsOf(starts: readonly StartSum[]): Pick<PoolReport, 'secondsSaved' | 'moneySaved'> {
  const saved = starts.flatMap((warm) => {
    const cold = warm.warm && starts.find((one) => !one.warm && one.profile === warm.profile);
    if (!cold) return [];
    const each = Math.max(0, cold.seconds - warm.seconds);
    return [
      { seconds: each * warm.starts, money: warm.prices === null ? null : (each * warm.prices) / 3600 },
    ];
  });
  return {
    secondsSaved: sumKnown(saved.map(({ seconds }) => seconds)),
    moneySaved: sumKnown(saved.map(({ money }) => money)),
  };
}

function sumKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
