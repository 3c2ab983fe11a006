import { lstat } from 'node:fs/promises';
import type { BackendStatus } from '../backends/port.ts';
import type { Clock } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import type { StageRun } from '../core/rows.ts';
import { type Finding, type Heartbeat, type Memory, type RankHeartbeat, watch } from './monitors.ts';

/** Looks at running attempts for the monitors, and remembers what they know. One per supervisor. */
export type AttemptWatch = {
  /** What is to be done about the attempt now; undefined: nothing. */
  look(run: StageRun, status: Pick<BackendStatus, 'endedRanks'>): Promise<Finding | undefined>;
  /** Forgets every attempt that is not among these. */
  keepOnly(runs: readonly StageRun[]): void;
};

export function createAttemptWatch(deps: { clock: Clock; layout: Layout }): AttemptWatch {
  const memories = new Map<string, Memory>();
  return {
    look: async (run, { endedRanks = [] }) => {
      const { heartbeatTimeoutSeconds, nodes } = run.plan.compute;
      const ranks = Array.from({ length: nodes }, (_, rank) => rank).filter(
        (rank) => !endedRanks.includes(rank),
      );
      const { memory, finding } = watch(memories.get(keyOf(run)), {
        heartbeats: heartbeatTimeoutSeconds === null ? [] : await heartbeatsOf(deps.layout, run, ranks),
        heartbeatTimeoutSeconds,
        at: deps.clock.monotonic(),
      });
      memories.set(keyOf(run), memory);
      return finding;
    },
    keepOnly: (runs) => {
      const kept = new Set(runs.map(keyOf));
      for (const key of memories.keys()) if (!kept.has(key)) memories.delete(key);
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
