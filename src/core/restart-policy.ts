import { CAUSES, type Cause } from './causes.ts';

/** When a run is started anew by itself: as the next attempt, after these causes. */
export type RestartPolicy = { maxRestarts: number; on: readonly Cause[] };

/** What counts of an attempt that has ended. `ranMs`: null where it is not known. */
export type EndedAttempt = { cause: Cause; ranMs: number | null };

export type RestartVerdict =
  | { kind: 'restart'; afterMs: number }
  /** The run ends, for the cause given or for one that says more. */
  | { kind: 'end'; cause: Cause; why: string | null };

/** Three attempts that each ended within so long of their start are a crash loop. */
const CRASH_LOOP = { attempts: 3, withinMs: 3 * 60_000 };
/** So many machines in a row cannot all be unfit: the check itself does not fit what it runs in. */
const UNFIT_MACHINES = 3;
const FIRST_PAUSE_MS = 5_000;
export const LONGEST_RESTART_PAUSE_MS = 5 * 60_000;

/**
 * Whether a run whose attempt has ended is started anew. `attempts` are all of its ended attempts, oldest first, the
 * one in question last. Restarts that the program had no part in (`free`) neither count nor make a loop.
 */
export function judgeRestart(policy: RestartPolicy, attempts: readonly EndedAttempt[]): RestartVerdict {
  const last = attempts.at(-1);
  if (last === undefined) throw new Error('a restart is judged after an attempt');
  const { cause } = last;
  const how = CAUSES[cause].restart;
  if (how === 'never' || policy.maxRestarts === 0 || !policy.on.includes(cause)) {
    return { kind: 'end', cause, why: null };
  }
  if (how === 'free') return judgeFree(cause, attempts);
  const counted = attempts.filter((attempt) => CAUSES[attempt.cause].restart === 'counted');
  if (counted.length > policy.maxRestarts) {
    return {
      kind: 'end',
      cause,
      why: `It was restarted ${times(policy.maxRestarts)}, as often as it may be.`,
    };
  }
  const newest = counted.slice(-CRASH_LOOP.attempts);
  const isLoop =
    newest.length === CRASH_LOOP.attempts && newest.every(({ ranMs }) => ranMs !== null && isQuick(ranMs));
  if (isLoop) {
    const why = `Three attempts ended within three minutes each, the last as ${cause}.`;
    return { kind: 'end', cause: 'crash_loop', why };
  }
  return { kind: 'restart', afterMs: pauseAfter(counted.length) };
}

function judgeFree(cause: Cause, attempts: readonly EndedAttempt[]): RestartVerdict {
  const before = attempts.findLastIndex((attempt) => attempt.cause !== cause);
  const inARow = attempts.slice(before + 1);
  if (cause === 'preflight_failed' && inARow.length >= UNFIT_MACHINES) {
    const why =
      'Three machines in a row failed it: look at what the check asks for and at the image it runs in.';
    return { kind: 'end', cause, why };
  }
  const quick = inARow.length - 1 - inARow.findLastIndex(({ ranMs }) => !isQuick(ranMs ?? 0));
  return { kind: 'restart', afterMs: quick < 2 ? 0 : pauseAfter(quick - 1) };
}

/** The `nth` pause, from 1: each is twice as long as the one before. */
function pauseAfter(nth: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** (nth - 1), LONGEST_RESTART_PAUSE_MS);
}

function isQuick(ranMs: number): boolean {
  return ranMs < CRASH_LOOP.withinMs;
}

function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`;
}
