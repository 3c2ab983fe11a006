import { describe, expect, it } from 'vitest';
import { BUILT_IN_MONITORS, type Notice } from '../../src/core/monitors.ts';
import type { Finding, Heartbeat, Memory, Observation } from '../../src/runs/monitors/monitor.ts';
import { watch } from '../../src/runs/monitors/watch.ts';

const LIMIT = 60;
const MISSING: Heartbeat = { kind: 'missing' };
const CLOSED: Heartbeat = { kind: 'unreadable', why: 'EACCES' };
const beat = (mtimeMs: number): Heartbeat => ({ kind: 'beat', mtimeMs });

/** A receiver that looks once a second at what each rank shows in that second. */
function watchFor(
  seconds: number,
  show: (second: number) => Heartbeat[],
  options: { limit?: number | null; limitMs?: number; clock?: (second: number) => number } = {},
): { second: number; finding: Finding } | undefined {
  const { limit = LIMIT, limitMs = Number.POSITIVE_INFINITY, clock = (second) => second * 1000 } = options;
  let memory: Memory | undefined;
  for (let second = 0; second <= seconds; second += 1) {
    const heartbeats = show(second).map((heartbeat, rank) => ({ rank, heartbeat }));
    const looked = watch(memory, {
      at: clock(second),
      heartbeatTimeoutSeconds: limit,
      limitMs,
      heartbeats,
      stall: BUILT_IN_MONITORS.stall,
      work: null,
    });
    if (looked.finding) return { second, finding: looked.finding };
    memory = looked.memory;
  }
  return undefined;
}

const found = (message: string, rank = 0): Finding => ({ reason: 'heartbeat', because: { rank, message } });

describe('the heartbeat monitor', () => {
  it('finds nothing while every rank beats within the time', () => {
    expect(watchFor(600, (s) => [beat(s), beat(Math.floor(s / 59))])).toBeUndefined();
  });

  it('finds nothing where no heartbeat is expected', () => {
    expect(watchFor(600, () => [MISSING], { limit: null })).toBeUndefined();
  });

  it('tells a missing, a removed, an unreadable and a stale heartbeat apart, and names the rank', () => {
    expect(watchFor(600, (s) => [beat(s), MISSING])).toEqual({
      second: 61,
      finding: found('The heartbeat of rank 1 is missing: none came within 60 s of its start.', 1),
    });
    expect(watchFor(600, (s) => [beat(s), beat(s), s < 100 ? beat(s) : MISSING])).toEqual({
      second: 160,
      finding: found('The heartbeat of rank 2 is missing: its file was removed and none came for 60 s.', 2),
    });
    expect(watchFor(600, (s) => [s < 100 ? beat(s) : CLOSED])).toEqual({
      second: 160,
      finding: found('The heartbeat of rank 0 could not be read for 60 s (EACCES).'),
    });
    expect(watchFor(600, (s) => [beat(Math.min(s, 100))])).toEqual({
      second: 161,
      finding: found('The heartbeat of rank 0 stopped: no new one came for 60 s.'),
    });
  });

  it('gives a rank the whole time from its start for the first beat', () => {
    expect(watchFor(600, (s) => [s < 60 ? MISSING : beat(s)])).toBeUndefined();
  });

  it('forgives a file that could not be read for a while, and counts no beat before it was seen', () => {
    expect(watchFor(600, (s) => [s % 60 === 0 ? beat(s) : CLOSED])).toBeUndefined();
    expect(watchFor(600, (s) => [s % 2 === 0 ? beat(1) : CLOSED])?.second).toBe(61);
  });

  it('takes any new time of the file for a beat, whatever clock wrote it', () => {
    const clocks = [(s: number) => -s, (s: number) => 1e15 + s, (s: number) => (s * 7919) % 1000];
    for (const clock of clocks) expect(watchFor(600, (s) => [beat(clock(s))])).toBeUndefined();
    expect(watchFor(600, () => [beat(1e15)])?.second).toBe(61);
  });

  it('does not take its own sleep for the silence of a rank', () => {
    // An hour between two looks in the middle: both may have been stopped.
    const clock = (s: number): number => s * 1000 + (s > 30 ? 3_600_000 : 0);
    expect(watchFor(45, () => [beat(1)], { clock })).toBeUndefined();
    expect(watchFor(600, () => [beat(1)], { clock })?.second).toBe(52);
  });
});

describe('the maximum runtime', () => {
  const limitMs = 30_000;

  it('counts from look to look, and says so once it is over', () => {
    expect(watchFor(600, () => [], { limitMs })).toEqual({ second: 31, finding: { reason: 'timeout' } });
  });

  it('does not count what the looker slept', () => {
    const clock = (second: number): number => second * 1000 + (second > 5 ? 3_600_000 : 0);
    expect(watchFor(600, () => [], { limitMs, clock })?.second).toBe(22);
  });

  it('stands before a heartbeat that stopped because of it', () => {
    expect(watchFor(600, () => [MISSING], { limitMs, limit: 30 })?.finding).toEqual({ reason: 'timeout' });
  });
});

describe('the stall monitor', () => {
  const BASE: Omit<Observation, 'at' | 'work'> = {
    heartbeatTimeoutSeconds: null,
    limitMs: Number.POSITIVE_INFINITY,
    heartbeats: [],
    stall: { action: 'warn', afterSeconds: 30 },
  };
  const STALLED: Notice = {
    monitor: 'stall',
    metric: null,
    action: 'warn',
    message: 'It stalled: no line of log, metric, progress or checkpoint came for 30 s.',
  };

  /** The seconds at which it is found, where each second shows this of the work. */
  function stalledAt(
    seconds: number,
    show: (second: number) => string,
    options: Partial<Observation> & { clock?: (second: number) => number } = {},
  ): { second: number; notices: Notice[]; finding: Finding | undefined }[] {
    const { clock = (second: number) => second * 1000, ...change } = options;
    let memory: Memory | undefined;
    const found: ReturnType<typeof stalledAt> = [];
    for (let second = 0; second <= seconds; second += 1) {
      const seen = { ...BASE, at: clock(second), work: show(second), ...change };
      const { finding, notices, memory: next } = watch(memory, seen);
      memory = next;
      if (notices.length > 0) found.push({ second, notices, finding });
    }
    return found;
  }

  it('is silent while something comes within the time, however little', () => {
    expect(stalledAt(600, (s) => `${Math.floor(s / 30)}`)).toEqual([]);
  });

  it('says at every look that nothing came for longer, until something comes', () => {
    const found = stalledAt(100, (s) => (s < 33 ? 'a' : 'b'));
    expect(found.slice(0, 2)).toEqual([
      { second: 31, notices: [STALLED], finding: undefined },
      { second: 32, notices: [STALLED], finding: undefined },
    ]);
    expect(found[2]?.second).toBe(33 + 31);
  });

  it('asks for the end of the attempt where it is to stop it, and never where it is off or has no time', () => {
    const show = (): string => 'a';
    const stop = stalledAt(31, show, { stall: { action: 'stop', afterSeconds: 30 } });
    expect(stop).toEqual([{ second: 31, notices: [{ ...STALLED, action: 'stop' }], finding: undefined }]);
    for (const stall of [
      { action: 'off', afterSeconds: 30 },
      { action: 'stop', afterSeconds: null },
    ] as const)
      expect(stalledAt(600, show, { stall })).toEqual([]);
  });

  it('does not take its own sleep for a stall', () => {
    const clock = (s: number): number => s * 1000 + (s > 10 ? 3_600_000 : 0);
    expect(stalledAt(21, () => 'a', { clock })).toEqual([]);
    expect(stalledAt(22, () => 'a', { clock })).toHaveLength(1);
  });

  it('does not hide the end of a heartbeat, nor the other way round', () => {
    const heartbeats = [{ rank: 0, heartbeat: MISSING }];
    const [first] = stalledAt(31, () => 'a', { heartbeats, heartbeatTimeoutSeconds: 30 });
    expect(first).toMatchObject({ notices: [STALLED], finding: { reason: 'heartbeat' } });
  });
});
