import { isoTime } from '../../src/core/clock.ts';
import type { Worker } from '../../src/core/rows.ts';
import type { Db } from '../../src/store/database.ts';
import { applyWorkerChanges, type WorkerChange } from '../../src/store/worker-changes.ts';
import { addWorker, getWorker, placeWorker } from '../../src/store/workers.ts';

/** Rows of rented machines as the pool writes them, at seconds after a time that a test knows. */
export const POOL_START = Date.parse('2026-01-01T00:00:00.000Z');

export function poolTime(seconds: number): string {
  return isoTime(POOL_START + seconds * 1000);
}

export type Rented = {
  runId: string;
  at?: number;
  profile?: string;
  pooled?: boolean;
  pricePerHour?: number | null;
};

/** A machine that was asked for, with its first job. */
export function rent(db: Db, id: string, rented: Rented): void {
  const { runId, at: seconds = 0, profile = 'cpu-small', pooled = true, pricePerHour = 0.36 } = rented;
  const at = poolTime(seconds);
  addWorker(db, { id, pooled, profile, shape: profile, job: { runId, attempt: 1 }, at });
  placeWorker(db, id, { zone: 'us-central1-a', model: 'spot', pricePerHour, at });
}

/** What happens to it at a time. */
export function happen(db: Db, id: string, change: Omit<WorkerChange, 'worker'>, seconds: number): void {
  applyWorkerChanges(db, [{ worker: workerOf(db, id), ...change }], poolTime(seconds));
}

export function workerOf(db: Db, id: string): Worker {
  const worker = getWorker(db, id);
  if (worker === undefined) throw new Error(`no worker ${id}`);
  return worker;
}

/** Its machine runs and begins the job that it has. */
export function begin(db: Db, id: string, seconds: number): void {
  const event = workerOf(db, id).state === 'launching' ? { event: 'start' as const } : {};
  happen(db, id, { ...event, claimed: true, sighting: { running: true } }, seconds);
}

/** Its job is over and nothing is left of it. */
export function finish(db: Db, id: string, seconds: number): void {
  happen(db, id, { event: 'drain', claimed: true }, seconds);
  happen(db, id, { event: 'rest' }, seconds);
}

/** It is given another job. */
export function giveJob(db: Db, id: string, of: { runId: string; at: number }): void {
  happen(db, id, { event: 'assign', job: { runId: of.runId, attempt: 1 } }, of.at);
}

/** Nobody finds it any more. */
export function vanish(db: Db, id: string, seconds: number): void {
  happen(db, id, { event: 'vanish', reason: 'vanished' }, seconds);
}
