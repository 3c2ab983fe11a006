/**
 * No more than this is added to a time from one look to the next: when the looker itself slept (a stopped process,
 * a suspended machine), the program may have slept too.
 */
const LONGEST_LOOK_MS = 10_000;

/** Milliseconds from one look to the next, as far as they count. */
export function passed(from: number, to: number): number {
  return Math.min(Math.max(0, to - from), LONGEST_LOOK_MS);
}
