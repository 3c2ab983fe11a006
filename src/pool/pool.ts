import type { JobKey, Worker, WorkerJob } from '../core/rows.ts';
import { getWorker, workersOfJob } from '../store/workers.ts';
import { type Acquired, acquire } from './acquire.ts';
import type { PoolDeps } from './deps.ts';
import { hasBegun } from './has-begun.ts';
import type { CallOptions } from './port.ts';
import { createReconcile } from './reconcile.ts';
import { createRelease } from './release.ts';
import type { JobRequest } from './take-worker.ts';

/** Machines that are rented for runs, kept for the next one where that is wanted, and always given back. */
export type Pool = {
  /** Resolves when a machine has begun the job; may be called again after a crash at any point. */
  acquire(request: JobRequest, options: { signal: AbortSignal }): Promise<Acquired>;
  /** The worker that a job was given to last, and what became of it there. */
  find(job: JobKey): { job: WorkerJob; worker: Worker } | undefined;
  /** Whether its machine has begun a job, also where nobody has seen that. Rejects where the bucket does not answer. */
  hasBegun(job: JobKey, options?: CallOptions): Promise<boolean>;
  /**
   * `ended`: its result document is there. Without it the machine of a job that has begun is given up. Rejects, and is to be
   * called again, as long as the bucket does not answer; after `callOffSeconds` of that the machine is given up.
   */
  release(job: JobKey & { ended: boolean }, options?: CallOptions): Promise<void>;
  /** Brings rows and machines together; to be called about once a second while there are any. */
  reconcile(options?: CallOptions): Promise<void>;
};

export function createPool(deps: PoolDeps): Pool {
  const reconcile = createReconcile(deps);
  const release = createRelease(deps);
  return {
    acquire: (request, options) => acquire(deps, request, options),
    find: (key) => {
      const job = workersOfJob(deps.db, key).at(-1);
      const worker = job && getWorker(deps.db, job.workerId);
      return job && worker && { job, worker };
    },
    hasBegun: (job, options = {}) => hasBegun(deps, job, options),
    release: (job, options = {}) => release(job, options),
    reconcile: (options = {}) => reconcile(options),
  };
}
