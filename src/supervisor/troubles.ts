import type { Clock } from '../core/clock.ts';

/** Pauses before failed work is tried again; each is twice the one before. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;
/** How long a launch is tried again that something passing keeps from starting: an engine that starts anew, say. */
const LAUNCH_PATIENCE_MS = 60_000;

/** What fails of the work on runs, by their ids. Milliseconds of the monotonic clock. */
export type Troubles = {
  /**
   * Work has failed; how long to pause before it is tried again. `unseen`: nobody could look whether the run has begun, so
   * this is no time in which it was seen not to.
   */
  note(id: string, options: { unseen: boolean }): number;
  /** It has succeeded. */
  over(id: string): void;
  /** Whether a launch that fails for something passing is to be tried again. */
  isPatient(id: string): boolean;
};

export function createTroubles(clock: Pick<Clock, 'monotonic'>): Troubles {
  /** Since when it was seen to fail, and how often it did. */
  const known = new Map<string, { since: number; tries: number }>();
  return {
    note: (id, { unseen }) => {
      const now = clock.monotonic();
      const { since, tries } = known.get(id) ?? { since: now, tries: 0 };
      known.set(id, { since: unseen ? now : since, tries: tries + 1 });
      return Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS);
    },
    over: (id) => {
      known.delete(id);
    },
    isPatient: (id) => {
      const trouble = known.get(id);
      return trouble === undefined || clock.monotonic() - trouble.since < LAUNCH_PATIENCE_MS;
    },
  };
}
