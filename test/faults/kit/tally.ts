import { expect } from 'vitest';
import { keptPromise } from './outcome.ts';
import type { PromiseName } from './promises.ts';

/** Counts, by promise, how often something was tried and what went wrong, and states it all at the end. */
export type Tally = {
  /** One trial; `broken` says how, where it did not hold. */
  count(promise: PromiseName, broken: string | undefined): void;
  /** Every outcome is reported, also those behind one that was not kept; then the test passes or fails. */
  state(about: { fault: string; backend?: string; note?: string }): void;
};

export function createTally(): Tally {
  const trials = new Map<PromiseName, number>();
  const broken: { promise: PromiseName; why: string }[] = [];
  return {
    count: (promise, why) => {
      trials.set(promise, (trials.get(promise) ?? 0) + 1);
      if (why !== undefined) broken.push({ promise, why });
    },
    state: (about) => {
      const failures: unknown[] = [];
      for (const [promise, count] of trials) {
        const held = count - broken.filter((item) => item.promise === promise).length;
        try {
          keptPromise({ ...about, promise, trials: count, held });
        } catch (error) {
          failures.push(error);
        }
      }
      expect(broken, about.fault).toEqual([]);
      expect(failures).toEqual([]);
    },
  };
}
