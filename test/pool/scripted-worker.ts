import { text } from 'node:stream/consumers';
import { isGoldfishError } from '../../src/core/errors.ts';
import {
  type Assignment,
  assignmentKey,
  assignmentSchema,
  claimKey,
  claimSchema,
  type Letter,
  letterKey,
} from '../../src/pool/documents.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { Guest, Script } from '../gce-simulator/scripted-machine.ts';

/** What a machine did, told outside of everything the product keeps. */
export type Deed = { what: 'begin' | 'end' | 'killed'; worker: string; job: string; at: number };

export type WorkerWorld = {
  storage: ObjectStorage;
  deeds: Deed[];
  /** Seconds a job takes, by `<run>/<attempt>`. */
  seconds: (job: string) => number;
  /** The machine's own rules, in seconds. */
  idleSeconds: number;
  cleanSeconds: number;
  /** Digests of images that a machine holds. */
  images: (worker: string) => string[];
  singleUse: (worker: string) => boolean;
  /** What is wrong with the machine, so that it cannot begin anything. */
  unfit?: (worker: string) => string | undefined;
  /** Asks the provider for its own end, as a machine may. */
  deleteSelf: (worker: string, zone: string) => void;
};

const LOOK_MS = 2_000;
const LETTER_MS = 20_000;
const SHUTDOWN_MS = 1_000;

/**
 * The worker program as far as controller and machine meet: it reads its assignment, claims, executes by letting time
 * pass, leaves the result document, cleans up, rests, and leaves by itself. On simulated time; `runtime/worker` is the real one.
 */
export function scriptedWorker(world: WorkerWorld): Script {
  return (guest) => {
    const worker = createWorker(world, guest);
    guest.onPreempted(() => worker.leave('preempted'));
    guest.onPowerButton(() => {
      worker.leave('asked');
      guest.after(SHUTDOWN_MS, () => guest.halt());
    });
    guest.after(0, worker.look);
    guest.after(0, worker.tell);
  };
}

type Known = { number: number; job: Letter['job']; key: string };

function createWorker({ storage, deeds, ...world }: WorkerWorld, guest: Guest) {
  const name = guest.name;
  const nonce = `${guest.zone}-${name}-${guest.boot}`;
  let phase: Letter['phase'] = 'starting';
  let leaves: Letter['leaves'] = null;
  let idleSince = guest.now();
  let generation = '0';
  let busy = false;
  const known: Known = JSON.parse(guest.disk.get('known') ?? '{"number":0,"job":"none","key":""}');

  const remember = (): void => {
    guest.disk.set('known', JSON.stringify(known));
  };
  const deed = (what: Deed['what']): void => {
    deeds.push({ what, worker: name, job: known.key, at: guest.now() });
  };
  /** Done again until it is done. What was asked for by a machine that is off by then is asked for all the same. */
  const surely = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch {
      guest.after(LOOK_MS, () => void surely(work));
    }
  };
  const write = (): Promise<unknown> => {
    const letter: Letter = {
      schema: 1,
      worker: name,
      boot: guest.boot,
      phase,
      number: known.number,
      job: known.job,
      leaves,
      publicKey: null,
      images: world.images(name),
      driver: null,
      at: new Date(guest.now()).toISOString(),
    };
    return storage.put(letterKey(name), Buffer.from(JSON.stringify(letter)));
  };
  const become = (next: Letter['phase']): void => {
    phase = next;
    if (next === 'idle') idleSince = guest.now();
    remember();
    void surely(write);
  };

  const read = async (): Promise<Assignment | undefined> => {
    const stat = await storage.stat(assignmentKey(name));
    if (!stat) return undefined;
    generation = stat.generation;
    return assignmentSchema.parse(JSON.parse(await text(await storage.get(assignmentKey(name)))));
  };

  const claim = async (job: NonNullable<Assignment['job']>, number: number): Promise<void> => {
    const key = claimKey({ prefix: job.prefix, worker: name, number });
    const document = { schema: 1, by: name, nonce };
    try {
      await storage.put(key, Buffer.from(JSON.stringify(document)), { createOnly: true });
    } catch (error) {
      if (!isConflict(error)) throw error;
      const found = claimSchema.parse(JSON.parse(await text(await storage.get(key))));
      if (found.nonce !== nonce) {
        Object.assign(known, { number, job: 'called_off', key: '' });
        return become('idle');
      }
    }
    Object.assign(known, { number, job: 'claimed', key: `${job.runId}/${job.attempt}` });
    deed('begin');
    guest.print(`goldfish: begins ${known.key}`);
    become('working');
    guest.after(world.seconds(known.key) * 1000, () => finish(job.prefix));
  };

  const writeResult = async (prefix: string, result: object): Promise<void> => {
    try {
      await storage.put(`${prefix}exit.json`, Buffer.from(JSON.stringify(result)), { createOnly: true });
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  };

  const finish = (prefix: string): void => {
    if (phase !== 'working') return;
    deed('end');
    void surely(async () => {
      await writeResult(prefix, { by: name });
      known.job = 'ended';
      become('cleaning');
      guest.after(world.cleanSeconds * 1000, () =>
        world.singleUse(name) ? void leave('single_use') : become('idle'),
      );
    });
  };

  const leave = async (why: NonNullable<Letter['leaves']>): Promise<void> => {
    if (phase === 'leaving') return;
    const wasWorking = phase === 'working';
    if (wasWorking) deed('killed');
    phase = 'leaving';
    leaves = why;
    remember();
    await surely(write);
    if (why !== 'preempted' && why !== 'asked') world.deleteSelf(name, guest.zone);
  };

  /** Nobody can give it work once this is written. Where somebody has meanwhile, it stays. */
  const close = async (number: number): Promise<boolean> => {
    const assignment: Assignment = { schema: 1, worker: name, number, job: null };
    try {
      await storage.put(assignmentKey(name), Buffer.from(JSON.stringify(assignment)), {
        ifGeneration: generation,
      });
      return true;
    } catch {
      return false;
    }
  };

  const look = async (): Promise<void> => {
    guest.after(LOOK_MS, () => void look());
    if (busy || phase === 'leaving' || phase === 'working' || phase === 'cleaning') return;
    busy = true;
    try {
      const assignment = await read();
      const wrong = world.unfit?.(name);
      if (wrong !== undefined) {
        guest.print(`goldfish: ${wrong}`);
        guest.print('goldfish: leaves: failed');
        await leave('failed');
      } else if (assignment?.job && assignment.number > known.number)
        await claim(assignment.job, assignment.number);
      else if (phase === 'starting') become('idle');
      else if (assignment && guest.now() - idleSince > world.idleSeconds * 1000) {
        if (await close(assignment.number)) await leave('idle');
      }
    } catch {
      // The storage is out, or its answer was lost: the next look.
    } finally {
      busy = false;
    }
  };

  const tell = (): void => {
    guest.after(LETTER_MS, tell);
    if (phase !== 'leaving') void surely(write);
  };

  // After a reboot: what ran is dead, and is never run again.
  if (known.job === 'claimed') {
    deed('killed');
    known.job = 'ended';
    void surely(() => writeResult(`runs/${known.key}/`, { lost: true }));
    become('idle');
  }
  return { look: () => void look(), tell, leave: (why: NonNullable<Letter['leaves']>) => void leave(why) };
}

function isConflict(error: unknown): boolean {
  return isGoldfishError(error) && error.code === 'CONFLICT';
}
