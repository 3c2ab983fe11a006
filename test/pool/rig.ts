import { createGceProvider } from '../../src/backends/gce/gce-provider.ts';
import { GCE_PROFILES } from '../../src/config/gce-profiles.ts';
import type { Ids } from '../../src/core/ids.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { JobKey, ProvisioningModel, Worker } from '../../src/core/rows.ts';
import type { KeepConsole } from '../../src/pool/deps.ts';
import { attemptPrefix } from '../../src/pool/documents.ts';
import { createMail, type Mail } from '../../src/pool/mail.ts';
import { type PoolPolicy, USUAL_POLICY } from '../../src/pool/policy.ts';
import { createPool, type Pool } from '../../src/pool/pool.ts';
import type { MachineList, Place, WorkerProvider } from '../../src/pool/port.ts';
import type { JobRequest } from '../../src/pool/take-worker.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { livingWorkers } from '../../src/store/workers.ts';
import { scriptedMachine } from '../gce-simulator/scripted-machine.ts';
import { createSimulator, type Simulator } from '../gce-simulator/simulator.ts';
import { clockOf, createManualTime, type ManualTime } from '../gce-simulator/time.ts';
import { createMemoryStorage, type MemoryStorage } from '../support/memory-storage.ts';
import { MACHINE_SETTINGS, simulatedCompute } from '../support/simulated-compute.ts';
import { type Deed, scriptedWorker, type WorkerWorld } from './scripted-worker.ts';

export const ZONES = ['us-central1-a', 'us-central1-b'];
const TICK_MS = 1_000;
/** US dollars an hour: no two places cost the same, so that a bill tells which of them was paid for. */
const PRICES: Readonly<Record<string, Readonly<Record<ProvisioningModel, number>>>> = {
  'us-central1-a': { standard: 2.1, spot: 0.7 },
  'us-central1-b': { standard: 3.7, spot: 0.9 },
  // Of a machine that is where none is rented any more.
  'us-central1-c': { standard: 4.3, spot: 1.1 },
};

export type JobState = 'open' | 'canceled' | 'done' | 'lost' | 'no_place' | 'unfit';
export type Job = JobKey & {
  seconds: number;
  state: JobState;
  isWanted: boolean;
  workers: string[];
  /** Why it was not begun. */
  message?: string;
};

/** What a test may want otherwise of a job's machine. */
type Wish = Pick<JobRequest, 'zones' | 'models' | 'capacityWaitSeconds' | 'maxSeconds' | 'images'>;

/**
 * The pool on a real store, with the adapter of Compute Engine on the simulator, workers that only let time pass, and a
 * supervisor that can die between any two steps. Nothing here takes real time.
 */
export type Rig = {
  sim: Simulator;
  time: ManualTime;
  storage: MemoryStorage;
  db: Db;
  /** How machines behave; a test may change it. */
  world: WorkerWorld;
  deeds: Deed[];
  jobs: Job[];
  policy: PoolPolicy;
  /** What was kept of machines that were lost. */
  consoles: Parameters<KeepConsole>[0][];
  /** Errors of the supervisor's own work: things that no fault explains. */
  defects: unknown[];
  /** What lists showed to a supervisor that lived to see it. */
  looks: RigLook[];
  /** By worker: when the place that it has now was committed. True time. */
  placedAt: ReadonlyMap<string, number>;
  /** By worker: when a letter of it was read last. True time. */
  heardAt: ReadonlyMap<string, number>;
  /** Machines that booted once more. */
  reboots: number;
  submit(options?: Partial<Wish> & { seconds?: number }): Job;
  cancel(job: Job): void;
  /** The supervisor is gone in the middle of whatever it does; nothing of it happens any more. */
  crash(): void;
  /** Another one takes over. */
  start(): void;
  isAlive(): boolean;
  /** How many there have been. */
  lives: number;
  /** The supervisor does nothing, as on a machine that is suspended, until it is awake again. */
  isAsleep: boolean;
  /** The wall clock of the supervisor is ahead of the true time by so many milliseconds. */
  clockAheadMs: number;
  /** One look of the supervisor that lives, or of one that does nothing else. */
  look(): Promise<void>;
  /** Lets simulated seconds pass. */
  pass(seconds: number): Promise<void>;
  /** Until the condition holds. Throws where it does not within an hour. */
  until(condition: () => boolean, seconds?: number): Promise<void>;
  workers(): Worker[];
  inserts(): number;
  dispose(): void;
};

export type RigLook = MachineList & { at: number };

export type RigOptions = {
  policy?: Partial<PoolPolicy>;
  worker?: Partial<WorkerWorld>;
  /** How the supervisor sees the bucket. */
  bucket?: (storage: MemoryStorage) => ObjectStorage;
};

export function createRig(options: RigOptions = {}): Rig {
  // Nothing here cuts the power, and a disk would take most of the time.
  const db = openDatabase(':memory:', { create: true });
  const deeds: Deed[] = [];
  const jobs: Job[] = [];
  const defects: unknown[] = [];
  const looks: RigLook[] = [];
  const placedAt = new Map<string, number>();
  const heardAt = new Map<string, number>();
  const policy: PoolPolicy = {
    enabled: true,
    maxInstances: 2,
    idleTimeoutSeconds: 300,
    profiles: null,
    launchSeconds: 900,
    ...USUAL_POLICY,
    ...options.policy,
  };
  const world: WorkerWorld = {
    // Filled in below: the simulator's time is needed for it.
    storage: undefined as never,
    deeds,
    seconds: (key) => jobs.find((job) => keyOf(job) === key)?.seconds ?? 1,
    idleSeconds: policy.idleTimeoutSeconds + 120,
    cleanSeconds: 3,
    images: () => [],
    singleUse: (worker) => !isPooled(db, worker),
    deleteSelf: (worker, zone) =>
      void sim.call({
        method: 'DELETE',
        path: `/compute/v1/projects/${sim.project}/zones/${zone}/instances/${worker}`,
      }),
    ...options.worker,
  };
  const time = createManualTime();
  const sim = createSimulator({
    time,
    createMachine: scriptedMachine((guest) => {
      if (guest.boot > 1) rig.reboots += 1;
      scriptedWorker(world)(guest);
    }),
    pricePerHour: ({ zone, model }) => priceOf(zone, model === 'SPOT' ? 'spot' : 'standard'),
  });
  const storage = createMemoryStorage({ now: () => time.now() });
  world.storage = options.worker?.storage ?? storage;
  const calls = simulatedCompute(sim);
  const clock = { ...clockOf(time), now: () => time.now() + rig.clockAheadMs };
  let made = 0;
  // Counted, not drawn: lists are in the order of names, and a seed is to make the same life again.
  const ids: Pick<Ids, 'worker'> = {
    worker: () => {
      made += 1;
      return `goldfish-${made.toString(16).padStart(12, '0')}`;
    },
  };
  const wishes = new Map<Job, Partial<Wish>>();
  let life: Life | undefined;

  const begin = (): Life => {
    const mortality = { dead: false };
    const mortal = <T extends object>(target: T): T => whileAlive(target, mortality);
    const gce = mortal(
      createGceProvider({
        calls: mortal(calls),
        clock: mortal(clock),
        settings: MACHINE_SETTINGS,
        profiles: GCE_PROFILES,
        zones: ZONES,
        pricePerHour: ({ zone, model }) => priceOf(zone, model),
      }),
    );
    const provider: WorkerProvider = {
      ...gce,
      create: (request, call) => {
        const onPlace = (place: Place): number => {
          const number = call.onPlace(place);
          placedAt.set(request.id, time.now());
          return number;
        };
        return gce.create(request, { ...call, onPlace });
      },
      list: async (call) => {
        const list = await gce.list(call);
        looks.push({ ...list, at: time.now() });
        return list;
      },
    };
    const log = loggerInto(defects);
    const keepConsole: KeepConsole = async (of) => {
      if (!mortality.dead) rig.consoles.push(of);
    };
    const letters = mortal(createMail(options.bucket?.(storage) ?? storage));
    const mail: Mail = {
      ...letters,
      read: async (known, call) => {
        const found = await letters.read(known, call);
        for (const { worker } of found.letters) heardAt.set(worker, time.now());
        return found;
      },
    };
    return {
      mortality,
      pool: createPool({ db, clock: mortal(clock), ids, log, provider, mail, policy, keepConsole }),
      going: new Map(),
    };
  };
  const rig: Rig = {
    sim,
    time,
    storage,
    db,
    world,
    deeds,
    jobs,
    policy,
    consoles: [],
    defects,
    looks,
    placedAt,
    heardAt,
    reboots: 0,
    submit: ({ seconds = 60, ...wish } = {}) => {
      const job: Job = {
        runId: `stage-${String(jobs.length + 1).padStart(6, '0')}`,
        attempt: 1,
        seconds,
        state: 'open',
        isWanted: true,
        workers: [],
      };
      wishes.set(job, wish);
      jobs.push(job);
      return job;
    },
    cancel: (job) => {
      job.isWanted = false;
    },
    crash: () => {
      if (life) life.mortality.dead = true;
      life = undefined;
    },
    start: () => {
      rig.crash();
      rig.lives += 1;
      const own = begin();
      life = own;
      const tick = async (): Promise<void> => {
        if (own.mortality.dead) return;
        try {
          if (!rig.isAsleep) {
            await own.pool.reconcile();
            await advanceJobs(own);
          }
        } catch (error) {
          if (!own.mortality.dead) defects.push(error);
        }
        time.after(TICK_MS, () => void tick());
      };
      time.after(0, () => void tick());
    },
    isAlive: () => life !== undefined,
    lives: 0,
    isAsleep: false,
    clockAheadMs: 0,
    look: () => (life ?? begin()).pool.reconcile(),
    pass: (seconds) => time.advance(seconds * 1000),
    until: (condition, seconds = 3600) => time.until(condition, seconds * 1000),
    workers: () => livingWorkers(db),
    inserts: () =>
      sim.calls.records.filter(({ id, status }) => id === 'instances.insert' && status === 200).length,
    dispose: () => {
      rig.crash();
      db.close();
    },
  };
  async function advanceJobs(own: Life): Promise<void> {
    for (const job of jobs) if (job.state === 'open') await advance(own, job);
  }

  async function advance(own: Life, job: Job): Promise<void> {
    const { runId, attempt } = job;
    if (!job.isWanted) {
      own.going.get(job)?.abort();
      await own.pool.release({ runId, attempt, ended: isOver(job) });
      job.state = isOver(job) ? 'done' : 'canceled';
      return;
    }
    if (!own.going.has(job)) {
      const abort = new AbortController();
      own.going.set(job, abort);
      own.pool.acquire(requestOf(job), { signal: abort.signal }).then(
        (answer) => {
          if (answer.kind === 'acquired') job.workers.push(answer.workerId);
          else if (job.state !== 'open') return;
          else if (answer.kind === 'no_place')
            Object.assign(job, { state: answer.kind, message: answer.message });
          else if (answer.kind === 'unfit') Object.assign(job, { state: answer.kind, message: answer.why });
        },
        (error: unknown) => {
          // As the loop of the supervisor does: tried again.
          own.going.delete(job);
          rig.defects.push(error);
        },
      );
    }
    const found = own.pool.find({ runId, attempt });
    if (isOver(job)) {
      await own.pool.release({ runId, attempt, ended: true });
      job.state = 'done';
    } else if (found?.job.outcome === 'lost') job.state = 'lost';
  }

  function isOver(job: Job): boolean {
    return storage.text(`${attemptPrefix(job)}exit.json`) !== undefined;
  }

  function requestOf(job: Job): JobRequest {
    return {
      runId: job.runId,
      attempt: job.attempt,
      profile: 'cpu-small',
      shape: 'cpu-small',
      zones: ZONES,
      images: [],
      models: ['standard'],
      capacityWaitSeconds: 120,
      maxSeconds: 7_200,
      ...wishes.get(job),
    };
  }
  return rig;
}

function priceOf(zone: string, model: ProvisioningModel): number {
  const price = PRICES[zone]?.[model];
  if (price === undefined) throw new Error(`nobody knows what ${zone} costs`);
  return price;
}

type Life = { mortality: { dead: boolean }; pool: Pool; going: Map<Job, AbortController> };

export function keyOf({ runId, attempt }: JobKey): string {
  return `${runId}/${attempt}`;
}

function isPooled(db: Db, id: string): boolean {
  return db.prepare<{ pooled: number }>('SELECT pooled FROM workers WHERE id = ?').get(id)?.pooled === 1;
}

const NEVER = new Promise<never>(() => undefined);

/** A part of a process: what it was asked for before its death is done, and nobody learns of it any more. */
function whileAlive<T extends object>(target: T, mortality: { dead: boolean }): T {
  return new Proxy(target, {
    get: (of, name, receiver) => {
      const value: unknown = Reflect.get(of, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (mortality.dead) return NEVER;
        const answer: unknown = value.apply(of, args);
        if (!(answer instanceof Promise)) return answer;
        return answer.then(
          (done: unknown) => (mortality.dead ? NEVER : done),
          (error: unknown) => (mortality.dead ? NEVER : Promise.reject(error)),
        );
      };
    },
  });
}

function loggerInto(defects: unknown[]): Logger {
  const quiet = (): void => undefined;
  const error: Logger['error'] = (fields) => void defects.push(fields);
  return { debug: quiet, info: quiet, warn: quiet, error };
}
