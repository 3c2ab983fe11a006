import { isoTime } from '../core/clock.ts';
import type { JobKey, Worker } from '../core/rows.ts';
import { applyWorkerChanges, type WorkerChange } from '../store/worker-changes.ts';
import { workerOfJob } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix } from './documents.ts';
import type { CallOptions } from './port.ts';

/**
 * Takes a job from the worker that has it. One that never began is called off, and the machine lives on where the pool
 * keeps it. One that has begun is over where its result document is there (`ended`), else the machine goes with it.
 * Harmless where no worker has it.
 */
export async function releaseJob(
  deps: PoolDeps,
  job: JobKey & { ended: boolean },
  options: CallOptions = {},
): Promise<void> {
  const { db, mail, clock } = deps;
  const worker = workerOfJob(db, job);
  const lease = worker?.lease;
  if (!worker || !lease) return;
  const change = await changeOf();
  applyWorkerChanges(db, [{ worker, ...change }], isoTime(clock.now()));

  async function changeOf(): Promise<Omit<WorkerChange, 'worker'>> {
    if (job.ended) return { event: 'drain', claimed: true };
    if (lease?.claimedAt === null && worker !== undefined) {
      const of = { worker: worker.id, number: lease.number, prefix: attemptPrefix(job) };
      if ((await mail.callOff(of, options)) === 'called_off') return calledOff(worker);
    }
    return { event: 'delete', reason: 'run_stopped' };
  }
}

function calledOff(worker: Worker): Omit<WorkerChange, 'worker'> {
  const calledOff = true;
  if (worker.state === 'busy') return { event: 'drain', calledOff };
  // One that does not run yet was asked for in vain: nobody is to pay for it.
  const isWorthKeeping = worker.pooled && worker.runningAt !== null;
  return isWorthKeeping ? { calledOff } : { event: 'delete', reason: 'canceled', calledOff };
}
