import type { Worker } from '../core/rows.ts';
import type { WorkerEnd } from '../core/worker-lifecycle.ts';
import type { WorkerChange } from '../store/worker-changes.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix } from './documents.ts';
import type { Judgement } from './judge-worker.ts';
import { type Explain, zoneToAsk } from './losses.ts';
import type { CallOptions } from './port.ts';

type Judged = { worker: Worker; judged: Judgement; explain: Explain };
type Settled = WorkerChange & { worker: Worker };

/** Reasons that are not true of a machine that has begun its job. */
const REFUTED_BY_A_CLAIM: readonly (WorkerEnd | undefined)[] = ['never_reported', 'not_picked_up'];

/** What is to be done of a judgement, once it is certain what became of a job that nobody saw begin. Never throws. */
export async function settleJudgement(
  deps: PoolDeps,
  { worker, judged, explain }: Judged,
  options: CallOptions,
): Promise<Settled> {
  const { settle, sighting, ...rest } = judged;
  const why = zoneToAsk(worker, judged) === null ? 'unknown' : explain(worker);
  if (why === 'later') return { worker, sighting };
  try {
    const settled = settle === true ? await settleJob(deps, worker, options) : {};
    if (settled.claimed === true && REFUTED_BY_A_CLAIM.includes(rest.reason)) {
      const begun = { worker, sighting, claimed: true as const };
      return worker.state === 'launching' ? { ...begun, event: 'start' } : begun;
    }
    return { worker, sighting, ...rest, ...(why === 'preempted' ? { reason: why } : {}), ...settled };
  } catch (error) {
    // As long as it is not certain, the worker keeps its job; the next look tries again.
    deps.log.warn({ worker: worker.id, err: error }, 'it could not be settled what became of a worker');
    return { worker, sighting };
  }
}

/** Whether a job began that nobody saw begin. Afterwards it has begun, or never will. */
async function settleJob(
  { mail }: PoolDeps,
  { id: worker, lease }: Worker,
  options: CallOptions,
): Promise<Pick<WorkerChange, 'claimed' | 'calledOff'>> {
  if (lease === null) return {};
  const of = { worker, number: lease.number, prefix: attemptPrefix(lease) };
  const answer = await mail.callOff(of, options);
  // kill point: pool/settled
  return answer === 'called_off' ? { calledOff: true } : { claimed: true };
}
