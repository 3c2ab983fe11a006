/**
 * The only door to time. Services take a Clock, so that tests own it.
 * `now` is wall time for records; `monotonic` is for durations and survives jumps of the wall clock.
 */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal aborts (it never rejects). */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
};

/** A longer timer of Node's fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, options) => {
    let rest = ms;
    for (; rest > LONGEST_TIMER_MS && !options?.signal?.aborted; rest -= LONGEST_TIMER_MS) {
      await timer(LONGEST_TIMER_MS, options?.signal);
    }
    await timer(rest, options?.signal);
  },
};

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timeout);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timeout = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** ISO 8601 UTC with milliseconds: the only form of a time in rows and results. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
