import { isoTime } from '../core/clock.ts';
import type { JobKey, Worker } from '../core/rows.ts';
import { applyWorkerChanges } from '../store/worker-changes.ts';
import { workerOfJob } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix } from './documents.ts';
import type { CallOptions } from './port.ts';

/**
 * Whether the machine that has a job has begun it: by its claim, where nobody has seen it begin. False where no machine has
 * the job. Rejects where the bucket does not answer: then nobody knows.
 */
export async function hasBegun(
  deps: Pick<PoolDeps, 'db' | 'clock' | 'mail'>,
  job: JobKey,
  options: CallOptions,
): Promise<boolean> {
  const worker = workerOfJob(deps.db, job);
  const lease = worker?.lease ?? null;
  if (worker === undefined || lease === null) return false;
  if (lease.claimedAt !== null) return true;
  const of = { worker: worker.id, number: lease.number, prefix: attemptPrefix(lease) };
  if (!(await deps.mail.hasClaimed(of, options))) return false;
  noteBegun(deps, worker);
  return true;
}

/** At once: the letter that says so may never come. */
export function noteBegun({ db, clock }: Pick<PoolDeps, 'db' | 'clock'>, worker: Worker): void {
  const begun = { worker, claimed: true as const };
  const change = worker.state === 'launching' ? { ...begun, event: 'start' as const } : begun;
  applyWorkerChanges(db, [change], isoTime(clock.now()));
}
