import type { StopReason } from '../backends/port.ts';

/**
 * What watches a running attempt. A monitor is a pure rule: it remembers something from look to look, and from that
 * says whether the attempt is to be stopped, and why. Time is the receiver's own monotonic clock; what a program
 * writes (the time of a file above all) is compared with itself only. `MONITORS` is asked in order; the first finding
 * stands.
 */
export type Finding = {
  reason: Extract<StopReason, 'heartbeat' | 'monitor' | 'timeout'>;
  because?: { rank: number; message: string };
};

/** One look at a running attempt. */
export type Observation = {
  /** Milliseconds of the receiver's monotonic clock. */
  at: number;
  /** Null: none is expected. */
  heartbeatTimeoutSeconds: number | null;
  /** How long it may run. */
  limitMs: number;
  /** Of every rank, where heartbeats are expected. */
  heartbeats: readonly RankHeartbeat[];
};

export type RankHeartbeat = { rank: number; heartbeat: Heartbeat };
export type Heartbeat =
  /** `mtimeMs` only tells one beat from the next. */
  { kind: 'beat'; mtimeMs: number } | { kind: 'missing' } | { kind: 'unreadable'; why: string };

/** What the monitors know of an attempt between two looks. */
export type Memory = {
  heartbeats: ReadonlyMap<number, RankSilence>;
  /** How long it was seen to run. */
  ranMs: number;
  lookedAt: number;
};

type RankSilence = {
  lookedAt: number;
  /** How long somebody has been looking and saw no new beat. */
  silentMs: number;
  /** The newest beat; null before the first. */
  beatMs: number | null;
  now: Heartbeat;
};

/**
 * No more than this is added to a time from one look to the next: when the looker itself slept (a stopped process,
 * a suspended machine), the program may have slept too.
 */
const LONGEST_LOOK_MS = 10_000;

type Monitor = {
  remember(memory: Memory, seen: Observation): Memory;
  judge(memory: Memory, seen: Observation): Finding | undefined;
};

/** Silence counts from the first look at the running rank, so a rank has the whole time for its first beat. */
const heartbeatMonitor: Monitor = {
  remember: (memory, { at, heartbeats }) => ({
    ...memory,
    heartbeats: new Map(
      heartbeats.map(({ rank, heartbeat }) => [
        rank,
        listen(memory.heartbeats.get(rank), { at, now: heartbeat }),
      ]),
    ),
  }),
  judge: ({ heartbeats }, { heartbeatTimeoutSeconds: limit }) => {
    if (limit === null) return undefined;
    for (const [rank, silence] of heartbeats) {
      if (silence.silentMs <= limit * 1000) continue;
      return { reason: 'heartbeat', because: { rank, message: silenceSentence(rank, silence, limit) } };
    }
    return undefined;
  },
};

/**
 * The maximum runtime, counted from look to look: the wall clock jumps, and a machine that slept did not run. It is
 * kept beside the program; this is for where that failed.
 */
const runtimeMonitor: Monitor = {
  remember: (memory, { at }) => ({
    ...memory,
    ranMs: memory.ranMs + passed(memory.lookedAt, at),
    lookedAt: at,
  }),
  judge: ({ ranMs }, { limitMs }) => (ranMs > limitMs ? { reason: 'timeout' } : undefined),
};

const MONITORS: readonly Monitor[] = [runtimeMonitor, heartbeatMonitor];

/** One look: what to remember for the next, and the first finding. */
export function watch(
  memory: Memory | undefined,
  seen: Observation,
): { memory: Memory; finding: Finding | undefined } {
  let next: Memory = memory ?? { heartbeats: new Map(), ranMs: 0, lookedAt: seen.at };
  for (const monitor of MONITORS) next = monitor.remember(next, seen);
  const finding = MONITORS.map((monitor) => monitor.judge(next, seen)).find((found) => found !== undefined);
  return { memory: next, finding };
}

function listen(before: RankSilence | undefined, { at, now }: { at: number; now: Heartbeat }): RankSilence {
  const beatMs = now.kind === 'beat' ? now.mtimeMs : (before?.beatMs ?? null);
  if (before === undefined || beatMs !== before.beatMs) return { lookedAt: at, silentMs: 0, beatMs, now };
  return { lookedAt: at, silentMs: before.silentMs + passed(before.lookedAt, at), beatMs, now };
}

/** Milliseconds from one look to the next, as far as they count. */
export function passed(from: number, to: number): number {
  return Math.min(Math.max(0, to - from), LONGEST_LOOK_MS);
}

function silenceSentence(rank: number, { now, beatMs }: RankSilence, limit: number): string {
  if (now.kind === 'unreadable') {
    return `The heartbeat of rank ${rank} could not be read for ${limit} s (${now.why}).`;
  }
  if (now.kind === 'beat') return `The heartbeat of rank ${rank} stopped: no new one came for ${limit} s.`;
  return beatMs === null
    ? `The heartbeat of rank ${rank} is missing: none came within ${limit} s of its start.`
    : `The heartbeat of rank ${rank} is missing: its file was removed and none came for ${limit} s.`;
}
