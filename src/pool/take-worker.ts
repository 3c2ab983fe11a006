import { isoTime } from '../core/clock.ts';
import type { JobKey, ProvisioningModel, Worker } from '../core/rows.ts';
import { applyWorkerChanges } from '../store/worker-changes.ts';
import {
  addWorker,
  countPooled,
  getWorker,
  livingWorkers,
  workerOfJob,
  workersOfJob,
} from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { lastLetterOf } from './letters.ts';
import { keeps } from './policy.ts';

/** A job and what kind of machine can do it. */
export type JobRequest = JobKey & {
  profile: string;
  /** Machines of equal shape can do the same work. */
  shape: string;
  zones: readonly string[];
  models: readonly ProvisioningModel[];
  /** Digests of images it wants; a machine that holds them comes first. */
  images: readonly string[];
  capacityWaitSeconds: number;
  maxSeconds: number;
};

export type Taken =
  /** A machine that rests was given the job; or (`isResumed`) it has a worker already, perhaps of an earlier life of this program. */
  | { kind: 'worker'; worker: Worker; isResumed: boolean }
  /** A machine that can do it is about to be free: cheaper than another one. */
  | { kind: 'wait' }
  /** It was begun before. */
  | { kind: 'begun'; workerId: string };

/**
 * Finds a worker for a job and gives it the lease, or reserves room for a new one, in one transaction: neither two jobs
 * for one worker nor two workers for one job, nor more workers than the pool may have. A full pool means a machine for
 * this job alone.
 */
export function takeWorker(deps: PoolDeps, request: JobRequest): Taken {
  const { db, policy } = deps;
  return db.write((): Taken => {
    const has = workerOfJob(db, request);
    if (has) return { kind: 'worker', worker: has, isResumed: true };
    const last = workersOfJob(db, request).at(-1);
    if (last !== undefined && last.outcome !== 'called_off')
      return { kind: 'begun', workerId: last.workerId };
    const isKept = keeps(policy, request.profile);
    const fitting = isKept ? livingWorkers(db).filter((worker) => fits(deps, worker, request)) : [];
    const idle = fitting.filter(({ state }) => state === 'idle_ready').sort(byWorth(request.images))[0];
    if (idle) return { kind: 'worker', worker: assign(deps, idle, request), isResumed: false };
    if (fitting.some(isSoonFree)) return { kind: 'wait' };
    const id = deps.ids.worker();
    const { profile, shape } = request;
    const pooled = isKept && countPooled(db) < policy.maxInstances;
    addWorker(db, { id, pooled, profile, shape, job: request, at: isoTime(deps.clock.now()) });
    // kill point: pool/half-reserved
    return { kind: 'worker', worker: mustGet(deps, id), isResumed: false };
  });
}

function assign(deps: PoolDeps, worker: Worker, job: JobKey): Worker {
  const { runId, attempt } = job;
  applyWorkerChanges(
    deps.db,
    [{ worker, event: 'assign', job: { runId, attempt } }],
    isoTime(deps.clock.now()),
  );
  // kill point: pool/half-leased
  return mustGet(deps, worker.id);
}

function mustGet({ db }: PoolDeps, id: string): Worker {
  const worker = getWorker(db, id);
  if (!worker) throw new Error(`the worker ${id} was written and is not there`);
  return worker;
}

function fits({ clock, policy }: PoolDeps, worker: Worker, request: JobRequest): boolean {
  const { shape, zones, models, maxSeconds } = request;
  const { zone, model, placedAt } = worker;
  if (!worker.pooled || worker.shape !== shape) return false;
  // It must live as long as the job may take.
  const age = placedAt === null ? 0 : (clock.now() - Date.parse(placedAt)) / 1000;
  if (age + maxSeconds > policy.keptSeconds) return false;
  return zone !== null && model !== null && zones.includes(zone) && models.includes(model);
}

function isSoonFree({ state, lease }: Worker): boolean {
  return state === 'draining' || (state === 'launching' && lease === null);
}

/** Those that hold the images first; then the one that rested shortest, so that the others may run out. */
function byWorth(images: readonly string[]): (one: Worker, other: Worker) => number {
  const lacks = (worker: Worker): number => {
    const held = lastLetterOf(worker)?.images ?? [];
    return images.filter((image) => !held.includes(image)).length;
  };
  return (one, other) => lacks(one) - lacks(other) || other.stateAt.localeCompare(one.stateAt);
}
