import type { StopReason } from '../../backends/port.ts';
import type { MonitorSettings, Notice } from '../../core/monitors.ts';

/**
 * What watches a running attempt. A monitor is a pure rule: it remembers something from look to look, and from that
 * says whether the attempt is to be stopped, and why, or what is to be told. Time is the receiver's own monotonic clock;
 * what a program writes (the time of a file above all) is compared with itself only.
 */
export type Monitor = {
  remember(memory: Memory, seen: Observation): Memory;
  judge(memory: Memory, seen: Observation): Verdict | undefined;
};

export type Verdict = { kind: 'stop'; finding: Finding } | { kind: 'notice'; notice: Notice };

/** Why the attempt is to be stopped now. */
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
  stall: MonitorSettings['stall'];
  /** Another text than at the last look: something came of it since. Null where nobody asks. */
  work: string | null;
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
  /** How long somebody has been looking and nothing came of it. */
  still: { work: string; ms: number; lookedAt: number } | null;
};

export type RankSilence = {
  lookedAt: number;
  /** How long somebody has been looking and saw no new beat. */
  silentMs: number;
  /** The newest beat; null before the first. */
  beatMs: number | null;
  now: Heartbeat;
};
