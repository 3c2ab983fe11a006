import type { JobKey, Worker } from '../core/rows.ts';
import { WORKER_ENDS, type WorkerEnd } from '../core/worker-lifecycle.ts';
import type { Db } from '../store/database.ts';
import { getWorker, workersOfJob } from '../store/workers.ts';

/** So many machines in a row that do not come to begin a job are no accident: the next one would be no better. */
const MOST = 3;

/** Ends of a machine that came up which are its own: not the provider's, not the pool's. */
const ITS_OWN: readonly (WorkerEnd | null)[] = [
  'failed',
  'never_reported',
  'not_picked_up',
  'silent',
  'stopped',
  'vanished',
];

/** The last machine of a job, and how it ended, where it and those before it came up and went without having begun the job. */
export function unfitForJob(db: Db, job: JobKey): { workerId: string; why: string } | undefined {
  const jobs = workersOfJob(db, job).slice(-MOST);
  const workers = jobs.flatMap(({ workerId, outcome }) => {
    const worker = outcome === 'called_off' ? getWorker(db, workerId) : undefined;
    return worker && isUnfit(worker) ? [worker] : [];
  });
  const last = workers.at(-1);
  if (last === undefined || last.endReason === null || workers.length < MOST) return undefined;
  return { workerId: last.id, why: WORKER_ENDS[last.endReason] };
}

/** One that is fast comes and goes between two lists; its letter shows that it was there. */
function isUnfit({ runningAt, letterAt, endReason }: Worker): boolean {
  return (runningAt ?? letterAt) !== null && ITS_OWN.includes(endReason);
}
