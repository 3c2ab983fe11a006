import { messageOf } from '../../core/errors.ts';
import { attemptPrefix } from '../../pool/documents.ts';
import { pathExists } from '../attempt-files.ts';
import type { RunHandle } from '../port.ts';
import type { GceDeps } from './options.ts';
import { type Known, nothingKnown, pullAttempt } from './pull-attempt.ts';

/** After what failed it is tried again so soon. */
const AGAIN_MS = 2_000;

type Attempt = Pick<RunHandle, 'runId' | 'attempt'>;
type Going = {
  known: Known;
  work: Promise<void> | undefined;
  /** When the last one ended; undefined before the first. */
  endedAt: number | undefined;
  error: string | undefined;
  /** Since when it is known that nothing more is sent. */
  overSince: number | undefined;
  /** When the last one began that found no result. */
  foundNone: number | undefined;
};

/** Brings here what machines send, beside the looks of the supervisor, which never wait for it. One per process. */
export type Puller = {
  /**
   * Sees to it that the attempt is looked at now and then, often while it is starting, at once where it is over. `error`: why the
   * last try failed.
   * `isEmpty`: it is over, and a look that began afterwards found no result.
   */
  poke(
    attempt: Attempt,
    of: { isOver: boolean; isStarting: boolean },
  ): { error: string | undefined; isEmpty: boolean };
  forget(attempt: Attempt): void;
};

export function createPuller(deps: GceDeps): Puller {
  const attempts = new Map<string, Going>();
  const goingOf = (attempt: Attempt): Going => {
    const going = attempts.get(keyOf(attempt)) ?? {
      known: nothingKnown(),
      work: undefined,
      endedAt: undefined,
      error: undefined,
      overSince: undefined,
      foundNone: undefined,
    };
    attempts.set(keyOf(attempt), going);
    return going;
  };
  const start = (attempt: Attempt, going: Going): void => {
    const began = deps.clock.monotonic();
    going.work = pullOnce(deps, attempt, going.known)
      .then((isHere) => {
        going.error = undefined;
        going.foundNone = isHere ? undefined : began;
      })
      .catch((error: unknown) => {
        going.error = messageOf(error);
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
      const { overSince, foundNone, endedAt, error } = going;
      const isEmpty = overSince !== undefined && foundNone !== undefined && foundNone >= overSince;
      const isSoon = isOver || isStarting || error !== undefined;
      const pauseMs = isSoon ? AGAIN_MS : deps.defaults.logSyncSeconds * 1000;
      const isFirst = endedAt === undefined || (overSince !== undefined && endedAt < overSince);
      const isDue = isFirst || now - endedAt >= pauseMs;
      if (going.work === undefined && !isEmpty && isDue) start(attempt, going);
      return { error, isEmpty };
    },
    forget: (attempt) => {
      attempts.delete(keyOf(attempt));
    },
  };
}

/** True where the result is here. */
async function pullOnce(deps: GceDeps, attempt: Attempt, known: Known): Promise<boolean> {
  const folders = deps.layout.attempt(attempt.runId, attempt.attempt);
  if (await pathExists(folders.result)) return true;
  const { bucket } = await deps.rented();
  return pullAttempt({ bucket, prefix: attemptPrefix(attempt), folders, known }, {});
}

function keyOf({ runId, attempt }: Attempt): string {
  return `${runId}/${attempt}`;
}
