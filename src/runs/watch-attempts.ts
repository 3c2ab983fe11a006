import { lstat } from 'node:fs/promises';
import type { BackendStatus } from '../backends/port.ts';
import type { Clock } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { BUILT_IN_MONITORS } from '../core/monitors.ts';
import type { StageRun } from '../core/rows.ts';
import type { Heartbeat, Memory, RankHeartbeat } from './monitors/monitor.ts';
import { type Watched, watch } from './monitors/watch.ts';
import { workSeen } from './work-seen.ts';

/** Deadline and stop are kept beside the program; the supervisor steps in when that has failed by so much. */
const SLACK_MS = 5_000;

/** Looks at running attempts for the monitors, and remembers what they know. One per supervisor. */
export type AttemptWatch = {
  /** What is to be done about the attempt now, and what is to be told. `earlierMs`: how long those before it ran. */
  look(
    run: StageRun,
    seen: Pick<BackendStatus, 'endedRanks'> & { earlierMs?: number },
  ): Promise<Omit<Watched, 'memory'>>;
  /** How long it was seen to run, by this supervisor, in milliseconds. */
  ranMs(run: StageRun): number;
  /** Whether it may be asked to stop: it has not been by this supervisor, or long ago. */
  mayAsk(run: StageRun): boolean;
  asked(run: StageRun): void;
  /** Forgets every attempt that is not among these. */
  keepOnly(runs: readonly StageRun[]): void;
};

export function createAttemptWatch(deps: { clock: Clock; layout: Layout }): AttemptWatch {
  const memories = new Map<string, Memory>();
  const askedAt = new Map<string, number>();
  return {
    look: async (run, { endedRanks = [], earlierMs = 0 }) => {
      const { heartbeatTimeoutSeconds, nodes, timeoutSeconds, stopGraceSeconds } = run.plan.compute;
      const ranks = Array.from({ length: nodes }, (_, rank) => rank).filter(
        (rank) => !endedRanks.includes(rank),
      );
      const { stall } = run.plan.compute.monitors ?? BUILT_IN_MONITORS;
      const isWatched = stall.action !== 'off' && stall.afterSeconds !== null;
      const { memory, ...seen } = watch(memories.get(keyOf(run)), {
        heartbeats: heartbeatTimeoutSeconds === null ? [] : await heartbeatsOf(deps.layout, run, ranks),
        heartbeatTimeoutSeconds,
        limitMs: (timeoutSeconds + stopGraceSeconds) * 1000 - earlierMs + SLACK_MS,
        stall,
        work: isWatched ? await workSeen(deps.layout, run, ranks) : null,
        at: deps.clock.monotonic(),
      });
      memories.set(keyOf(run), memory);
      return seen;
    },
    ranMs: (run) => memories.get(keyOf(run))?.ranMs ?? 0,
    mayAsk: (run) => {
      const before = askedAt.get(keyOf(run));
      const patienceMs = run.plan.compute.stopGraceSeconds * 1000 + SLACK_MS;
      return before === undefined || deps.clock.monotonic() - before > patienceMs;
    },
    asked: (run) => {
      askedAt.set(keyOf(run), deps.clock.monotonic());
    },
    keepOnly: (runs) => {
      const kept = new Set(runs.map(keyOf));
      for (const known of [memories, askedAt]) {
        for (const key of known.keys()) if (!kept.has(key)) known.delete(key);
      }
    },
  };
}

function keyOf(run: StageRun): string {
  return `${run.id}/${run.attempt}`;
}

function heartbeatsOf(layout: Layout, run: StageRun, ranks: number[]): Promise<RankHeartbeat[]> {
  const folders = layout.attempt(run.id, run.attempt);
  return Promise.all(
    ranks.map(async (rank) => ({ rank, heartbeat: await readHeartbeat(folders.rank(rank).heartbeat) })),
  );
}

/** The folder belongs to the stage: a link in it is no heartbeat, wherever it leads. */
async function readHeartbeat(file: string): Promise<Heartbeat> {
  try {
    const stat = await lstat(file);
    if (!stat.isFile()) return { kind: 'unreadable', why: 'it is no file' };
    return { kind: 'beat', mtimeMs: stat.mtimeMs };
  } catch (error) {
    const errno = errnoOf(error) ?? 'unknown';
    return errno === 'ENOENT' ? { kind: 'missing' } : { kind: 'unreadable', why: errno };
  }
}
