import { isoTime } from '../core/clock.ts';
import type { Worker } from '../core/rows.ts';
import { applyWorkerChanges, type WorkerChange } from '../store/worker-changes.ts';
import { goneAmong, livingWorkers } from '../store/workers.ts';
import { createDeletions } from './deletions.ts';
import type { PoolDeps } from './deps.ts';
import { judgeWorker, type Look } from './judge-worker.ts';
import { createLastWords } from './last-words.ts';
import { createLetters, lastLetterOf, type Reading } from './letters.ts';
import { createLosses } from './losses.ts';
import { placeOf } from './place-of.ts';
import type { CallOptions, MachineList, MachineSight } from './port.ts';
import { settleJudgement } from './settle-judgement.ts';
import { createStrangers } from './strangers.ts';
import { createWorkerWatch, type Sight } from './worker-watch.ts';

export type Reconcile = (options: CallOptions) => Promise<void>;

/**
 * Brings rows and machines together: one question to the provider, one list of letters, one read of the rows; then a
 * judgement for each worker; where any is lost, one more question, why; one transaction for all that changed; and deletions.
 * Nothing else moves a worker that was not just given a job, so what this misses is noticed by the next one.
 */
export function createReconcile(deps: PoolDeps): Reconcile {
  const letters = createLetters(deps);
  const watch = createWorkerWatch(deps.clock);
  const losses = createLosses(deps);
  const strangers = createStrangers(deps);
  const deletions = createDeletions(deps);
  const lastWords = createLastWords(deps);
  // Workers that are gone, of which the bucket may still keep something.
  const kept = new Set<string>();

  return async (options) => {
    const workers = livingWorkers(deps.db);
    const zones = [...new Set(workers.flatMap(({ zone }) => zone ?? []))];
    const [list, reading] = await Promise.all([
      look(deps, { ...options, zones }),
      letters.read(workers, options),
    ]);
    if (options.signal?.aborted) return;
    const machines = new Map((list?.machines ?? []).map((machine) => [placeOf(machine), machine]));
    const surplus = surplusOf(workers, deps.policy.maxInstances);
    const sights = workers.map((worker) => sightOf(worker, { machines, list, reading }));
    const looks = watch.look(sights).map((sight): Look => {
      const { worker, news } = sight;
      const letter = news?.letter ?? lastLetterOf(worker);
      return { ...sight, letter, surplus: surplus.has(worker.id), policy: deps.policy };
    });
    const judged = looks.map((one) => ({ worker: one.worker, judged: judgeWorker(one) }));
    const explain = await losses.ask(judged, options);
    const changes = await Promise.all(
      judged.map((one) => settleJudgement(deps, { ...one, explain }, options)),
    );
    await lastWords.keep(changes, { machines, options });
    const moved = applyWorkerChanges(deps.db, changes.filter(isChange), isoTime(deps.clock.now()));
    const deleting = changes.flatMap(({ worker, event }) => {
      const isDue =
        event === undefined ? worker.state === 'deleting' : event === 'delete' && moved.has(worker.id);
      return isDue ? (machines.get(placeOf(worker)) ?? []) : [];
    });
    await deletions.ask([...deleting, ...(list === undefined ? [] : strangersIn(list, workers))], options);
    if (list !== undefined) deletions.forget(list);
    for (const { worker, event } of changes) {
      if (event !== 'vanish' || !moved.has(worker.id)) continue;
      // kill point: pool/gone-noted
      kept.add(worker.id);
    }
    // Of those, too, that an earlier supervisor did not come to.
    for (const id of goneAmong(deps.db, [...reading.others])) kept.add(id);
    await removeKept(options);
  };

  function strangersIn(list: MachineList, workers: readonly Worker[]): MachineSight[] {
    const due = strangers.look(list, new Set(workers.map(placeOf)));
    if (due.length === 0) return due;
    // The rows were read before the list: a machine may have got its row in between.
    const known = new Set(livingWorkers(deps.db).map(placeOf));
    return due.filter((machine) => !known.has(placeOf(machine)));
  }

  /** Else the list of letters would grow with every machine there ever was. */
  async function removeKept(options: CallOptions): Promise<void> {
    await Promise.all(
      [...kept].map(async (worker) => {
        try {
          await deps.mail.remove(worker, options);
          // kill point: pool/letters-removed
          kept.delete(worker);
        } catch (error) {
          deps.log.warn(
            { worker, err: error },
            'what is kept of a worker that is gone could not be removed yet',
          );
        }
      }),
    );
  }
}

/** Undefined where the provider does not answer: then no machine is judged, for nothing is known of any. */
async function look(
  { provider, log }: PoolDeps,
  options: CallOptions & { zones: readonly string[] },
): Promise<MachineList | undefined> {
  try {
    return await provider.list(options);
  } catch (error) {
    log.warn({ err: error }, 'the machines could not be listed');
    return undefined;
  }
}

type Seen = {
  machines: ReadonlyMap<string, MachineSight>;
  list: MachineList | undefined;
  reading: Reading;
};

function sightOf(worker: Worker, { machines, list, reading }: Seen): Sight {
  const { id, zone } = worker;
  const isSilent = list === undefined || (zone !== null && list.silentZones.includes(zone));
  const machine = machines.get(placeOf(worker)) ?? (isSilent ? 'unknown' : 'absent');
  return { worker, machine, news: reading.news.get(id), isReadable: !reading.unread.has(id) };
}

/** Idle machines above what the pool may have, those that rested longest first. */
function surplusOf(workers: readonly Worker[], most: number): Set<string> {
  const kept = workers.filter(({ pooled, state }) => pooled && state !== 'deleting');
  const idle = kept
    .filter(({ state }) => state === 'idle_ready')
    .sort((one, other) => one.stateAt.localeCompare(other.stateAt));
  return new Set(idle.slice(0, Math.max(0, kept.length - most)).map(({ id }) => id));
}

function isChange({ event, claimed, calledOff, sighting = {} }: WorkerChange): boolean {
  return event !== undefined || claimed === true || calledOff === true || Object.keys(sighting).length > 0;
}
