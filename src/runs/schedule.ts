/** A run that is to end, as far as is known how. Seconds count from now. */
export type Job = {
  id: string;
  backend: string;
  pipelineRunId: string;
  /** Ids of jobs that must have ended. */
  needs: readonly string[];
  /** How long it takes, or what is left of it; null: nobody knows. */
  seconds: number | null;
  /** It has its slot already. */
  holding: boolean;
  /** It does not start before. */
  notBefore: number;
  /** It waits for something of which nobody knows when it comes. */
  stuck: boolean;
};

export type Limits = {
  backend: (name: string) => number;
  pipelineRun: (id: string) => number;
};

type State = { now: number; ends: Map<string, number>; running: Map<Job, number>; jobs: ReadonlySet<string> };

/**
 * When each job ends if all start as soon as they may, in the order given and within the limits. Without those of
 * which that cannot be said: they, or what they wait for, take nobody knows how long.
 */
export function endsOf(jobs: readonly Job[], limits: Limits): ReadonlyMap<string, number> {
  const held = jobs.filter((job) => job.holding);
  const state: State = {
    now: 0,
    ends: new Map(),
    running: new Map(held.map((job) => [job, job.seconds ?? Number.POSITIVE_INFINITY])),
    jobs: new Set(jobs.map(({ id }) => id)),
  };
  let waiting = jobs.filter((job) => !job.holding && !job.stuck);
  for (;;) {
    waiting = waiting.filter((job) => !start(job, state, limits));
    const next = Math.min(
      ...state.running.values(),
      ...waiting.map(({ notBefore }) => (notBefore > state.now ? notBefore : Number.POSITIVE_INFINITY)),
    );
    if (next === Number.POSITIVE_INFINITY) return state.ends;
    state.now = next;
    for (const [job, end] of state.running) {
      if (end > next) continue;
      state.running.delete(job);
      state.ends.set(job.id, end);
    }
  }
}

function start(job: Job, { now, ends, running, jobs }: State, limits: Limits): boolean {
  if (job.notBefore > now) return false;
  if (job.needs.some((need) => jobs.has(need) && !ends.has(need))) return false;
  let ofBackend = 0;
  let ofPipelineRun = 0;
  for (const other of running.keys()) {
    if (other.backend === job.backend) ofBackend += 1;
    if (other.pipelineRunId === job.pipelineRunId) ofPipelineRun += 1;
  }
  if (ofBackend >= limits.backend(job.backend)) return false;
  if (ofPipelineRun >= limits.pipelineRun(job.pipelineRunId)) return false;
  running.set(job, now + (job.seconds ?? Number.POSITIVE_INFINITY));
  return true;
}
