import type { Clock } from '../core/clock.ts';
import type { StageRun } from '../core/rows.ts';
import { passed } from './monitors/passed.ts';

/** Finds claimed runs that do not come to run. One per supervisor: a new one gives them the whole time again. */
export type LaunchWatch = {
  /** Ids of those that have been on their way for longer than they may. */
  look(open: readonly Pick<StageRun, 'id' | 'attempt' | 'state'>[]): Set<string>;
  /** Nobody could see whether a run has begun: it is given the whole time again. */
  restart(run: { id: string }): void;
};

const ON_THEIR_WAY: ReadonlySet<string> = new Set(['preparing', 'building', 'launching']);

/** Time is counted from look to look, as the monitors of running attempts count it. */
export function createLaunchWatch(clock: Clock, limitSeconds: number): LaunchWatch {
  let known = new Map<string, { lookedAt: number; waitedMs: number }>();
  return {
    look: (open) => {
      const at = clock.monotonic();
      const late = new Set<string>();
      const seen: typeof known = new Map();
      for (const { id, attempt, state } of open) {
        if (!ON_THEIR_WAY.has(state)) continue;
        const before = known.get(`${id}/${attempt}`);
        const waitedMs = before ? before.waitedMs + passed(before.lookedAt, at) : 0;
        seen.set(`${id}/${attempt}`, { lookedAt: at, waitedMs });
        if (waitedMs > limitSeconds * 1000) late.add(id);
      }
      known = seen;
      return late;
    },
    restart: ({ id }) => {
      for (const key of known.keys()) if (key.startsWith(`${id}/`)) known.delete(key);
    },
  };
}
