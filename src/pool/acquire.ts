import { isoTime } from '../core/clock.ts';
import type { JobKey, Worker } from '../core/rows.ts';
import type { WorkerEnd } from '../core/worker-lifecycle.ts';
import { applyWorkerChanges } from '../store/worker-changes.ts';
import { getWorker, placeWorker, workersOfJob } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix } from './documents.ts';
import { noteBegun } from './has-begun.ts';
import { nameJob } from './name-job.ts';
import { type CreateAnswer, newPlaceSearch, type Place, type PlaceSearch } from './port.ts';
import { type JobRequest, takeWorker } from './take-worker.ts';
import { unfitForJob } from './unfit.ts';

/** How often a job that waits for its machine looks at the row of it; the rows change with each look at the machines. */
const LOOK_MS = 1_000;

export type Acquired =
  | { kind: 'acquired'; workerId: string }
  | { kind: 'no_place'; message: string; lasting: boolean }
  /** One machine after the other came up and did not come to begin it. `workerId`: the last; `why`: a sentence. */
  | { kind: 'unfit'; workerId: string; why: string }
  | { kind: 'canceled' };

/** `again`: that worker is not to be had after all, and can never begin the job. */
type Brought = { kind: 'brought' } | { kind: 'again' } | Exclude<Acquired, { kind: 'acquired' }>;

/**
 * Brings a job to a machine and resolves when the machine has begun it. Where a machine is lost before that, another one
 * is taken, unless that came to nothing too often: to the caller it is one launch. May be called again after any crash; the row says how far it came.
 */
export async function acquire(
  deps: PoolDeps,
  request: JobRequest,
  { signal }: { signal: AbortSignal },
): Promise<Acquired> {
  const search = newPlaceSearch();
  while (!signal.aborted) {
    const unfit = unfitForJob(deps.db, request);
    if (unfit !== undefined) return { kind: 'unfit', ...unfit };
    const taken = takeWorker(deps, request);
    if (taken.kind === 'begun') return { kind: 'acquired', workerId: taken.workerId };
    if (taken.kind === 'wait') {
      await deps.clock.sleep(LOOK_MS, { signal });
      continue;
    }
    // kill point: pool/taken
    const { worker, isResumed } = taken;
    const brought = await bring(deps, { worker, request, isResumed, search, signal });
    if (brought.kind === 'again') continue;
    if (brought.kind !== 'brought') return brought;
    const begun = await hasBegun(deps, { workerId: worker.id, request, signal });
    if (begun) return { kind: 'acquired', workerId: worker.id };
  }
  return { kind: 'canceled' };
}

type Bringing = {
  worker: Worker;
  request: JobRequest;
  isResumed: boolean;
  search: PlaceSearch;
  signal: AbortSignal;
};

/** The job is named before a machine is asked for: whenever that comes up, it finds what to do. */
async function bring(deps: PoolDeps, of: Bringing): Promise<Brought> {
  const { worker, isResumed, signal } = of;
  if (worker.lease?.claimedAt != null) return { kind: 'brought' };
  // Whoever named the job before may not have lived to see that it was begun, and the machine may be gone since.
  if (isResumed && (await deps.mail.hasClaimed(claimOf(of), { signal }))) return broughtAsBegun(deps, worker);
  if (!(await nameJob(deps, { worker, job: of.request }, { signal }))) return settle(deps, of, 'left');
  if (worker.state !== 'launching') return { kind: 'brought' };
  const answer = await askForMachine(deps, of);
  // kill point: pool/machine-asked
  if (answer.kind === 'created') return { kind: 'brought' };
  if (signal.aborted) return { kind: 'canceled' };
  if (answer.kind === 'unclear') return settle(deps, of, 'no_place');
  if (answer.kind === 'no_place') {
    // Nobody of that name can begin the job.
    giveUp(deps, worker, 'no_place');
  }
  return answer;
}

/** The machine is not to be relied on: whether it began the job all the same decides. */
async function settle(deps: PoolDeps, of: Bringing, reason: WorkerEnd): Promise<Brought> {
  const { worker, signal } = of;
  if ((await deps.mail.callOff(claimOf(of), { signal })) === 'claimed') return broughtAsBegun(deps, worker);
  giveUp(deps, worker, reason);
  return { kind: 'again' };
}

function claimOf({ worker, request }: Bringing) {
  return { worker: worker.id, number: worker.jobNumber, prefix: attemptPrefix(request) };
}

function broughtAsBegun(deps: PoolDeps, worker: Worker): Brought {
  noteBegun(deps, worker);
  return { kind: 'brought' };
}

function giveUp({ db, clock }: PoolDeps, worker: Worker, reason: WorkerEnd): void {
  applyWorkerChanges(db, [{ worker, event: 'delete', reason, calledOff: true }], isoTime(clock.now()));
}

/** Somebody has decided meanwhile that the worker is to go. */
class NotWanted extends Error {}

async function askForMachine(
  { db, provider, clock, policy }: PoolDeps,
  { worker, request, search, signal }: Bringing,
): Promise<CreateAnswer | { kind: 'again' }> {
  const { id } = worker;
  const { profile, zones, models, capacityWaitSeconds, maxSeconds } = request;
  const { zone, model, placeNumber: number } = worker;
  const last = zone === null || model === null ? null : { zone, model, number };
  const onPlace = (place: Place): number => {
    const placed = placeWorker(db, id, { ...place, at: isoTime(clock.now()) });
    if (placed === undefined) throw new NotWanted();
    return placed;
  };
  try {
    return await provider.create(
      {
        id,
        profile,
        zones,
        models,
        last,
        capacityWaitSeconds,
        search,
        maxSeconds: worker.pooled ? maxSeconds + policy.keptSeconds : maxSeconds,
        singleUse: !worker.pooled,
      },
      { signal, onPlace },
    );
  } catch (error) {
    if (error instanceof NotWanted) return { kind: 'again' };
    throw error;
  }
}

/** Waits until the machine has begun the job (true) or never will (false, also where the caller gave up). */
async function hasBegun(
  { db, clock }: PoolDeps,
  of: { workerId: string; request: JobKey; signal: AbortSignal },
): Promise<boolean> {
  const { workerId, request, signal } = of;
  while (!signal.aborted) {
    const lease = getWorker(db, workerId)?.lease;
    const isHere = lease?.runId === request.runId && lease.attempt === request.attempt;
    if (isHere && lease.claimedAt !== null) return true;
    if (!isHere) return workersOfJob(db, request).at(-1)?.outcome !== 'called_off';
    await clock.sleep(LOOK_MS, { signal });
  }
  return false;
}
