import type { Clock } from '../core/clock.ts';
import type { Worker } from '../core/rows.ts';
import { elapsed } from './elapsed.ts';
import type { NewLetter } from './mail.ts';
import type { MachineSight } from './port.ts';

/** What one look showed of a worker. */
export type Sight = {
  worker: Worker;
  /** `unknown`: nobody could say. */
  machine: MachineSight | 'absent' | 'unknown';
  /** A letter that is newer than the one before. */
  news: NewLetter | undefined;
  /** Whether a new letter would have been seen. */
  isReadable: boolean;
};

/** How long a worker has been what it is, in seconds in which it could be looked at. */
export type Ages = {
  /** In its state; a machine that comes up begins anew when its job is called off, and when it is first heard of. */
  state: number;
  /** At the place that was committed last. */
  place: number;
  /** Not shown by lists. */
  absent: number;
  /** Heard of, with a job that it has not claimed. */
  waiting: number;
  /** Not heard of. */
  silent: number;
};

/** One per supervisor: a new one gives all workers the whole time again, and the machine's own rules bound that. */
export type WorkerWatch = { look(sights: readonly Sight[]): (Sight & { ages: Ages })[] };

/** `of`: what is timed; another value begins anew, null stands still. `counts`: whether anybody could look this time. */
type Timed = { of: string | null; counts: boolean };
type Counted = { of: string | null; ms: number };

/**
 * Time is counted from look to look on the monotonic clock, and only where the look could have shown that the time is
 * over: neither an outage of the bucket or of the list, nor a clock that is set, nor a supervisor that was away makes
 * anybody late.
 */
export function createWorkerWatch(clock: Pick<Clock, 'monotonic'>): WorkerWatch {
  let known = new Map<string, Record<keyof Ages, Counted>>();
  let lookedAt: number | undefined;
  return {
    look: (sights) => {
      const at = clock.monotonic();
      const ms = lookedAt === undefined ? 0 : elapsed(lookedAt, at);
      lookedAt = at;
      const before = known;
      known = new Map();
      return sights.map((sight) => {
        const { id } = sight.worker;
        const had = before.get(id);
        const timed = timedOf(sight);
        const counted = mapAges((name) => count(timed[name], { had: had?.[name], ms }));
        known.set(id, counted);
        return { ...sight, ages: mapAges((name) => counted[name].ms / 1000) };
      });
    },
  };
}

function count({ of, counts }: Timed, { had, ms }: { had: Counted | undefined; ms: number }): Counted {
  if (of === null || had === undefined || had.of !== of) return { of, ms: 0 };
  return { of, ms: had.ms + (counts ? ms : 0) };
}

function timedOf({ worker, machine, news, isReadable }: Sight): Record<keyof Ages, Timed> {
  const { state, jobNumber, lease, placeNumber, letterAt, letterGeneration } = worker;
  const isShown = machine !== 'unknown';
  const isSeen = isShown && isReadable;
  const isClaimed = lease?.claimedAt != null;
  const waitsFor = lease !== null && !isClaimed && letterAt !== null ? `${lease.number}` : null;
  return {
    // That a machine rests was seen: whoever sees nothing of it now lets it rest all the same.
    state: {
      of: `${state} ${jobNumber} ${lease === null} ${letterAt === null}`,
      counts: isSeen || state === 'idle_ready',
    },
    place: { of: `${placeNumber}`, counts: isShown },
    absent: { of: typeof machine === 'string' ? `${placeNumber}` : null, counts: isShown },
    waiting: { of: waitsFor, counts: isSeen },
    silent: {
      of: news?.generation ?? letterGeneration ?? (isClaimed ? 'claimed' : null),
      counts: isSeen,
    },
  };
}

function mapAges<T>(value: (name: keyof Ages) => T): Record<keyof Ages, T> {
  return {
    state: value('state'),
    place: value('place'),
    absent: value('absent'),
    waiting: value('waiting'),
    silent: value('silent'),
  };
}
