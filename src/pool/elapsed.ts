/**
 * No more than this is added to a time from one look to the next: a supervisor that was away itself (a suspended machine,
 * a stopped process) has seen nothing meanwhile. A look that has to wait for two services is shorter.
 */
const LONGEST_LOOK_MS = 30_000;

/** Milliseconds of the monotonic clock from one look to the next, as far as they count. */
export function elapsed(from: number, to: number): number {
  return Math.min(Math.max(0, to - from), LONGEST_LOOK_MS);
}
