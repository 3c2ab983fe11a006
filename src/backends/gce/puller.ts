import { messageOf } from '../../core/errors.ts';
import { attemptPrefix } from '../../pool/documents.ts';
import { pathExists } from '../attempt-files.ts';
import type { RunHandle } from '../port.ts';
import type { GceDeps } from './options.ts';
import { type Known, nothingKnown, pullAttempt } from './pull-attempt.ts';
import type { Pulled } from './pull-result.ts';
import { roomOf } from './room.ts';

/** After what failed it is tried again so soon, then twice as long after each failure. */
const AGAIN_MS = 2_000;
const LONGEST_MS = 60_000;
/** A fetch that takes longer than so many usual pauses is slow. */
const SLOW_SYNCS = 2;

type Attempt = Pick<RunHandle, 'runId' | 'attempt'>;
type Going = {
  known: Known;
  work: Promise<void> | undefined;
  /** When the one under way began, and when the last one ended; undefined before the first. */
  beganAt: number;
  endedAt: number | undefined;
  error: string | undefined;
  waits: string | undefined;
  failures: number;
  /** Since when it is known that nothing more is sent. */
  overSince: number | undefined;
  /** When the last one began that found no result. */
  foundNone: number | undefined;
};

/** Brings here what machines send, beside the looks of the supervisor, which never wait for it. One per process. */
export type Puller = {
  /**
   * Sees to it that the attempt is looked at now and then, often while it is starting, at once where it is over. `error`: why
   * the last try failed. `waits`: why something that is large is not here yet, though the rest is. `isEmpty`: it is over, and
   * a look that began afterwards found no result. `isSlow`: one takes so long that what is here says nothing of now.
   */
  poke(
    attempt: Attempt,
    of: { isOver: boolean; isStarting: boolean },
  ): { error: string | undefined; waits: string | undefined; isEmpty: boolean; isSlow: boolean };
  forget(attempt: Attempt): void;
  /** Ends what is under way, and waits for its end: whoever comes next writes the same files. */
  close(): Promise<void>;
};

export function createPuller(deps: GceDeps): Puller {
  const attempts = new Map<string, Going>();
  const ending = new AbortController();
  const goingOf = (attempt: Attempt): Going => {
    const going = attempts.get(attemptPrefix(attempt)) ?? newGoing();
    attempts.set(attemptPrefix(attempt), going);
    return going;
  };
  const start = (attempt: Attempt, going: Going): void => {
    const began = deps.clock.monotonic();
    going.beganAt = began;
    going.work = pullOnce(deps, { attempt, known: going.known, signal: ending.signal })
      .then(({ isHere, waits }) => {
        if (waits !== undefined && going.waits === undefined)
          deps.log.warn(
            { run: attempt.runId, waits },
            'not everything that a machine has sent has room here',
          );
        const foundNone = isHere || waits !== undefined ? undefined : began;
        Object.assign(going, { error: undefined, waits, failures: 0, foundNone });
      })
      .catch((error: unknown) => {
        if (ending.signal.aborted) return;
        going.error = messageOf(error);
        going.failures += 1;
        deps.log.warn({ run: attempt.runId, err: error }, 'what a machine has sent could not be fetched');
      })
      .finally(() => {
        going.endedAt = deps.clock.monotonic();
        going.work = undefined;
      });
  };
  return {
    poke: (attempt, { isOver, isStarting }) => {
      const going = goingOf(attempt);
      const now = deps.clock.monotonic();
      if (isOver) going.overSince ??= now;
      const { overSince, foundNone, endedAt, error, waits, failures } = going;
      const isEmpty = overSince !== undefined && foundNone !== undefined && foundNone >= overSince;
      const syncMs = deps.defaults.logSyncSeconds * 1000;
      const usualMs = waits === undefined && (isOver || isStarting) ? AGAIN_MS : syncMs;
      const pauseMs = failures === 0 ? usualMs : Math.min(AGAIN_MS * 2 ** (failures - 1), LONGEST_MS);
      const isFirst =
        failures === 0 && (endedAt === undefined || (overSince !== undefined && endedAt < overSince));
      const isDue = isFirst || now - (endedAt ?? 0) >= pauseMs;
      if (going.work === undefined && !isEmpty && isDue && !ending.signal.aborted) start(attempt, going);
      const isSlow = going.work !== undefined && now - going.beganAt > SLOW_SYNCS * syncMs;
      return { error, waits, isEmpty, isSlow };
    },
    forget: (attempt) => {
      attempts.delete(attemptPrefix(attempt));
    },
    close: async () => {
      ending.abort();
      await Promise.all([...attempts.values()].map(({ work }) => work));
    },
  };
}

function newGoing(): Going {
  return {
    known: nothingKnown(),
    work: undefined,
    beganAt: 0,
    endedAt: undefined,
    error: undefined,
    waits: undefined,
    failures: 0,
    overSince: undefined,
    foundNone: undefined,
  };
}

async function pullOnce(
  deps: GceDeps,
  { attempt, known, signal }: { attempt: Attempt; known: Known; signal: AbortSignal },
): Promise<Pulled> {
  const folders = deps.layout.attempt(attempt.runId, attempt.attempt);
  if (await pathExists(folders.result)) return { isHere: true, waits: undefined };
  const { bucket } = await deps.rented();
  const prefix = attemptPrefix(attempt);
  return pullAttempt({ bucket, prefix, folders, known, room: roomOf(deps) }, { signal });
}
