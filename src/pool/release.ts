import { isoTime } from '../core/clock.ts';
import type { JobKey, Worker } from '../core/rows.ts';
import { applyWorkerChanges, type WorkerChange } from '../store/worker-changes.ts';
import { workerOfJob } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix } from './documents.ts';
import { elapsed } from './elapsed.ts';
import { nameJob } from './name-job.ts';
import type { CallOptions } from './port.ts';

type Ending = JobKey & { ended: boolean };
type Change = Omit<WorkerChange, 'worker'>;

export type Release = (job: Ending, options: CallOptions) => Promise<void>;

const STOPPED = { event: 'delete', reason: 'run_stopped' } as const satisfies Change;

/**
 * Takes a job from the worker that has it. One that never began is called off, and the machine lives on where the pool
 * keeps it. One that has begun is over where its result document is there (`ended`), else the machine goes with it. Where the
 * bucket cannot say whether it has begun, the caller is told and tries again; when that was so for `callOffSeconds`, the
 * machine goes too, for then its deletion is the only thing that is sure to reach it. Harmless where no worker has the job.
 */
export function createRelease(deps: PoolDeps): Release {
  const { db, mail, clock, log, policy } = deps;
  // By attempt: how long the bucket has not answered.
  const waits = new Map<string, { at: number; ms: number }>();

  return async (job, options) => {
    const key = `${job.runId}/${job.attempt}`;
    // Again where somebody moved the worker meanwhile: who asked once will not ask again.
    for (let worker = workerOfJob(db, job); worker?.lease != null; worker = workerOfJob(db, job)) {
      const change = job.ended
        ? ({ event: 'drain', claimed: true } as const)
        : await stopping(worker, { key, options });
      applyWorkerChanges(db, [{ worker, ...change }], isoTime(clock.now()));
      // kill point: pool/job-released
    }
    waits.delete(key);
  };

  async function stopping(worker: Worker, of: { key: string; options: CallOptions }): Promise<Change> {
    const { lease } = worker;
    if (lease === null || lease.claimedAt !== null) return STOPPED;
    const called = { worker: worker.id, number: lease.number, prefix: attemptPrefix(lease) };
    const begun = clock.monotonic();
    try {
      if ((await mail.callOff(called, of.options)) === 'claimed') return { ...STOPPED, claimed: true };
      // kill point: pool/called-off
      // A machine rests when it has seen that there is nothing to do, so it must have something to see.
      if (worker.state === 'busy') await nameJob(deps, { worker, job: lease }, of.options);
      return calledOff(worker);
    } catch (error) {
      if (of.options.signal?.aborted || waited(of.key, begun) < policy.callOffSeconds) throw error;
      log.warn(
        { worker: worker.id, err: error },
        'a machine is given up, for its job could not be called off',
      );
      return STOPPED;
    }
  }

  /** Seconds without an answer, this call included. */
  function waited(key: string, begun: number): number {
    const before = waits.get(key);
    const now = clock.monotonic();
    const ms = (before === undefined ? 0 : before.ms + elapsed(before.at, begun)) + elapsed(begun, now);
    waits.set(key, { at: now, ms });
    return ms / 1000;
  }
}

function calledOff(worker: Worker): Change {
  const calledOff = true;
  if (worker.state === 'busy') return { event: 'drain', calledOff };
  // One that does not run yet was asked for in vain: nobody is to pay for it.
  const isWorthKeeping = worker.pooled && worker.runningAt !== null;
  return isWorthKeeping ? { calledOff } : { event: 'delete', reason: 'canceled', calledOff };
}
