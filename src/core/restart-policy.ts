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
  if (how === 'free') return { kind: 'restart', afterMs: 0 };
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
    newest.length === CRASH_LOOP.attempts &&
    newest.every(({ ranMs }) => ranMs !== null && ranMs < CRASH_LOOP.withinMs);
  if (isLoop) {
    const why = `Three attempts ended within three minutes each, the last as ${cause}.`;
    return { kind: 'end', cause: 'crash_loop', why };
  }
  const afterMs = Math.min(FIRST_PAUSE_MS * 2 ** (counted.length - 1), LONGEST_RESTART_PAUSE_MS);
  return { kind: 'restart', afterMs };
}

function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`;
}
