import { isoTime } from '../core/clock.ts';
import type { Worker } from '../core/rows.ts';
import type { WorkerEnd } from '../core/worker-lifecycle.ts';
import { applyWorkerChanges, type WorkerChange } from '../store/worker-changes.ts';
import { livingWorkers } from '../store/workers.ts';
import type { PoolDeps } from './deps.ts';
import { attemptPrefix, letterSchema } from './documents.ts';
import { type Judgement, judgeWorker, type Look } from './judge-worker.ts';
import type { NewLetter } from './mail.ts';
import type { CallOptions, MachineList, MachineSight } from './port.ts';

/** A deletion that does not show is asked for again after so long. */
const ASK_AGAIN_MS = 30_000;

export type Reconcile = (options: CallOptions) => Promise<void>;

/**
 * Brings rows and machines together: one question to the provider, one list of letters, one read of the rows; then a
 * judgement for each worker, one transaction for all that changed, and deletions. Nothing else moves a worker that was
 * not just given a job, so what this misses is noticed by the next one.
 */
export function createReconcile(deps: PoolDeps): Reconcile {
  const askedAt = new Map<string, number>();
  const strangers = new Set<string>();

  return async (options) => {
    const workers = livingWorkers(deps.db);
    const [list, letters] = await Promise.all([look(deps, options), readLetters(deps, workers, options)]);
    if (list === undefined) return;
    // A name may have been tried in two zones: the row says which of them counts.
    const machines = new Map(list.machines.map((machine) => [placeOf(machine), machine]));
    const surplus = surplusOf(workers, deps.policy.maxInstances);
    const looks = workers.map((worker): Look => {
      const news = letters.get(worker.id);
      return {
        worker,
        machine: sightOf(worker, machines, list),
        news,
        letter: news?.letter ?? letterSchema.safeParse(worker.letter).data,
        surplus: surplus.has(worker.id),
        now: deps.clock.now(),
        policy: deps.policy,
      };
    });
    const changes = await Promise.all(looks.map((one) => changeOf(deps, one, judgeWorker(one), options)));
    const moved = applyWorkerChanges(deps.db, changes.filter(isChange), isoTime(deps.clock.now()));
    const deleting = workers.filter(({ id, state }, index) => {
      const event = changes[index]?.event;
      return (state === 'deleting' && event === undefined) || (event === 'delete' && moved.has(id));
    });
    await deleteAll(
      deps,
      [...deleting.flatMap((worker) => machines.get(placeOf(worker)) ?? []), ...newStrangers()],
      options,
    );
    forget();

    /** Machines of this project that nobody knows: made by a copy of the project that is no more. Seen twice, they go. */
    function newStrangers(): MachineSight[] {
      const known = new Set(workers.map(placeOf));
      const unknown = [...machines].filter(([place]) => !known.has(place));
      const again = unknown.filter(([place]) => strangers.has(place));
      strangers.clear();
      for (const [place] of unknown) strangers.add(place);
      return again.map(([, machine]) => machine);
    }

    function forget(): void {
      for (const place of askedAt.keys()) if (!machines.has(place)) askedAt.delete(place);
    }
  };

  /** One that cannot be deleted now must not keep the others from it. */
  async function deleteAll(
    of: PoolDeps,
    machines: readonly MachineSight[],
    options: CallOptions,
  ): Promise<void> {
    const now = of.clock.monotonic();
    const due = machines.filter((machine) => {
      const asked = askedAt.get(placeOf(machine));
      return asked === undefined || now - asked >= ASK_AGAIN_MS;
    });
    await Promise.all(
      due.map(async ({ id, zone }) => {
        askedAt.set(placeOf({ id, zone }), now);
        try {
          await of.provider.delete({ id, zone }, options);
        } catch (error) {
          askedAt.delete(placeOf({ id, zone }));
          of.log.warn({ worker: id, err: error }, 'a machine could not be deleted yet');
        }
      }),
    );
  }
}

/** Undefined where the provider does not answer: then nothing is judged, for nothing is known. */
async function look({ provider, log }: PoolDeps, options: CallOptions): Promise<MachineList | undefined> {
  try {
    return await provider.list(options);
  } catch (error) {
    log.warn({ err: error }, 'the machines could not be listed');
    return undefined;
  }
}

/** Without letters machines are still looked at. */
async function readLetters(
  { mail, log }: PoolDeps,
  workers: readonly Worker[],
  options: CallOptions,
): Promise<Map<string, NewLetter>> {
  const known = new Map(workers.map(({ id, letterGeneration }) => [id, letterGeneration]));
  if (known.size === 0) return new Map();
  try {
    return new Map((await mail.read(known, options)).map((letter) => [letter.worker, letter]));
  } catch (error) {
    log.warn({ err: error }, 'the letters of the machines could not be read');
    return new Map();
  }
}

function sightOf(
  worker: Worker,
  machines: ReadonlyMap<string, MachineSight>,
  list: MachineList,
): Look['machine'] {
  const machine = machines.get(placeOf(worker));
  if (machine !== undefined) return machine;
  const { zone } = worker;
  return zone !== null && list.silentZones.includes(zone) ? 'unknown' : 'absent';
}

function placeOf({ zone, id }: { zone: string | null; id: string }): string {
  return `${zone ?? ''}/${id}`;
}

/** Idle machines above what the pool may have, those that rested longest first. */
function surplusOf(workers: readonly Worker[], most: number): Set<string> {
  const kept = workers.filter(({ pooled, state }) => pooled && state !== 'deleting');
  const idle = kept
    .filter(({ state }) => state === 'idle_ready')
    .sort((one, other) => one.stateAt.localeCompare(other.stateAt));
  return new Set(idle.slice(0, Math.max(0, kept.length - most)).map(({ id }) => id));
}

type Change = WorkerChange | undefined;

async function changeOf(
  deps: PoolDeps,
  look: Look,
  judged: Judgement,
  options: CallOptions,
): Promise<Change> {
  const { worker } = look;
  const { settle, sighting, ...rest } = judged;
  try {
    const reason = await explained(deps, worker, judged.reason, options);
    const settled = settle === true ? await settleJob(deps, worker, options) : {};
    return { worker, sighting, ...rest, ...(reason === undefined ? {} : { reason }), ...settled };
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
  return (await mail.callOff(of, options)) === 'called_off' ? { calledOff: true } : { claimed: true };
}

/** Who stopped a machine that nobody here stopped: its provider says. */
async function explained(
  { provider }: PoolDeps,
  { id, zone }: Worker,
  reason: WorkerEnd | undefined,
  options: CallOptions,
): Promise<WorkerEnd | undefined> {
  if (zone === null || (reason !== 'stopped' && reason !== 'vanished')) return reason;
  return (await provider.explain({ id, zone }, options)) === 'preempted' ? 'preempted' : reason;
}

function isChange(change: Change): change is WorkerChange {
  if (change === undefined) return false;
  const { event, claimed, calledOff, sighting = {} } = change;
  return event !== undefined || claimed === true || calledOff === true || Object.keys(sighting).length > 0;
}
