import type { Notice } from '../../core/monitors.ts';
import { heartbeatMonitor } from './heartbeat.ts';
import type { Finding, Memory, Monitor, Observation } from './monitor.ts';
import { runtimeMonitor } from './runtime.ts';
import { stallMonitor } from './stall.ts';

/** Asked in order. */
const MONITORS: readonly Monitor[] = [runtimeMonitor, heartbeatMonitor, stallMonitor];

export type Watched = {
  /** For the next look. */
  memory: Memory;
  /** The first reason to stop. */
  finding: Finding | undefined;
  /** Whatever is to be told, at every look at which it holds. */
  notices: Notice[];
};

/** One look at a running attempt. */
export function watch(memory: Memory | undefined, seen: Observation): Watched {
  let next: Memory = memory ?? { heartbeats: new Map(), ranMs: 0, lookedAt: seen.at, still: null };
  for (const monitor of MONITORS) next = monitor.remember(next, seen);
  const verdicts = MONITORS.flatMap((monitor) => monitor.judge(next, seen) ?? []);
  const [finding] = verdicts.flatMap((verdict) => (verdict.kind === 'stop' ? [verdict.finding] : []));
  const notices = verdicts.flatMap((verdict) => (verdict.kind === 'notice' ? [verdict.notice] : []));
  return { memory: next, finding, notices };
}
