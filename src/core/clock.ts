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

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, options) =>
    new Promise((resolve) => {
      const signal = options?.signal;
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    }),
};

/** ISO 8601 UTC with milliseconds: the only form of a time in rows and results. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
