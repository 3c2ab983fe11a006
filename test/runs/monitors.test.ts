import { describe, expect, it } from 'vitest';
import { type Finding, type Heartbeat, type Memory, watch } from '../../src/runs/monitors.ts';

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
    const looked = watch(memory, { at: clock(second), heartbeatTimeoutSeconds: limit, limitMs, heartbeats });
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
