/** How long a pool waits for what, in seconds in which it could look; see worker-watch.ts. */
export type PoolPolicy = {
  /** Whether machines are kept at all. */
  enabled: boolean;
  /** The pool never has, or asks for, more; 0 keeps none. */
  maxInstances: number;
  /** A machine without work is kept for so long; 0 ends it after its first run. */
  idleTimeoutSeconds: number;
  /** Profiles whose machines are kept; null: all. */
  profiles: readonly string[] | null;
  /** From the asking for a machine to its first letter, the search for a place included. */
  launchSeconds: number;
  /** From the naming of a job, or the first letter where that is later, to the letter that says that it was begun. */
  pickUpSeconds: number;
  /** From the end of a job to the letter that says that nothing of it is left. */
  drainSeconds: number;
  /** A machine that runs and was not heard of for so long is given up. */
  watchdogSeconds: number;
  /** A job that is to be taken back is called off; where the bucket does not answer for so long, the machine goes instead. */
  callOffSeconds: number;
  /** Lists may not show a new machine for so long, and a machine that nobody knows yet may be somebody's for so long. */
  visibilitySeconds: number;
  /** What lists do not show is gone when they have not shown it so often, over so many seconds. */
  absences: number;
  absentSeconds: number;
  /** A kept machine is ended so long after its first run could have been, however busy it is. */
  keptSeconds: number;
};

export const USUAL_POLICY = {
  pickUpSeconds: 120,
  drainSeconds: 300,
  watchdogSeconds: 300,
  callOffSeconds: 60,
  visibilitySeconds: 120,
  absences: 3,
  absentSeconds: 15,
  keptSeconds: 24 * 60 * 60,
} as const satisfies Partial<PoolPolicy>;

/** Whether machines of a profile are kept. */
export function keeps(policy: PoolPolicy, profile: string): boolean {
  return (
    policy.enabled &&
    policy.maxInstances > 0 &&
    policy.idleTimeoutSeconds > 0 &&
    (policy.profiles === null || policy.profiles.includes(profile))
  );
}
