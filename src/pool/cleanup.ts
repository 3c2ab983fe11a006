import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { Worker, WorkerLease } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import { cleanedUpSince } from '../store/pool-report.ts';
import { applyWorkerChanges } from '../store/worker-changes.ts';
import { getWorker, livingWorkers } from '../store/workers.ts';

/** Earlier clean-ups that are told as done, so that whoever repeats the call learns that they are. */
const TOLD_MS = 60 * 60 * 1000;
/** Ids named in a refusal. */
const MOST_NAMED = 100;
const ID = 'goldfish-';

export type CleanUp = {
  /** Those that are gone: the named one, else those of clean-ups within the last hour. */
  deleted: string[];
  /** Those whose deletion is asked for until nobody finds them. */
  pending: string[];
  /** All others that may be there. */
  remaining: Worker[];
};

/**
 * Marks machines to be deleted: the named one, else every one that has no work. It only writes rows; the supervisor deletes the
 * machines. May be repeated. `at` is now, as ISO time.
 * Errors: INVALID_ARGUMENT for an unknown worker, AMBIGUOUS_ID, CONFLICT for one that has work.
 */
export function cleanUpPool(db: Db, request: { worker?: string | undefined; at: string }): CleanUp {
  const { worker: typed, at } = request;
  return db.write(() => {
    const living = livingWorkers(db);
    const named = typed === undefined ? undefined : findWorker(db, living, typed);
    if (named?.lease) throw hasWork(named.id, named.lease);
    const chosen = named === undefined ? living.filter(({ lease }) => lease === null) : [named];
    // What goes or is gone already has no such event and stays as it is.
    applyWorkerChanges(
      db,
      chosen.map((worker) => ({ worker, event: 'delete', reason: 'cleanup' })),
      at,
    );
    const left = livingWorkers(db);
    return {
      deleted: named === undefined ? cleanedUpSince(db, hourBefore(at)) : goneOnly(named),
      pending: left.filter(({ state }) => state === 'deleting').map(({ id }) => id),
      remaining: left.filter(({ state }) => state !== 'deleting'),
    };
  });
}

function hourBefore(at: string): string {
  return isoTime(Date.parse(at) - TOLD_MS);
}

function goneOnly({ id, state }: Worker): string[] {
  return state === 'gone' ? [id] : [];
}

/** By its id, or a prefix of at least 6 hex of one that may be there, with or without `goldfish-`. */
function findWorker(db: Db, living: readonly Worker[], typed: string): Worker {
  const wanted = typed.startsWith(ID) ? typed : `${ID}${typed}`;
  const exact = getWorker(db, wanted);
  if (exact !== undefined) return exact;
  const isPrefix = /^goldfish-[a-f0-9]{6,11}$/.test(wanted);
  const fitting = isPrefix ? living.filter(({ id }) => id.startsWith(wanted)) : [];
  const [first] = fitting;
  if (first === undefined) throw unknownWorker(typed, living);
  if (fitting.length === 1) return first;
  throw new GoldfishError('AMBIGUOUS_ID', {
    message: `"${clip(typed)}" fits several workers.`,
    hint: 'Use more characters of the id.',
    details: { candidates: fitting.map(({ id }) => id) },
  });
}

function unknownWorker(typed: string, living: readonly Worker[]): GoldfishError {
  const allowed = living.slice(0, MOST_NAMED).map(({ id }) => id);
  const near = nearest(typed, allowed);
  const others = allowed.length === 0 ? 'There is none.' : 'warm_pool_status shows those that are there.';
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `There is no worker "${clip(typed)}".`,
    hint: near === undefined ? others : `Did you mean ${near}?`,
    details: { field: 'worker', allowed },
  });
}

function hasWork(id: string, { runId }: WorkerLease): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `${id} belongs to the run ${runId}, which has not ended.`,
    hint: 'Wait for its end or cancel it, then call this again.',
    details: { worker: id, run_id: runId },
    fix: {
      tool: 'cancel',
      arguments: { target: runId, reason: `End it: its machine ${id} is to be given back` },
    },
  });
}
