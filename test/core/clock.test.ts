import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isoTime, systemClock } from '../../src/core/clock.ts';

describe('sleep', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function isDone(promise: Promise<void>): Promise<boolean> {
    let done = false;
    void promise.then(() => {
      done = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    return done;
  }

  it('ends after the time given', async () => {
    const sleep = systemClock.sleep(1_000);
    await vi.advanceTimersByTimeAsync(999);
    expect(await isDone(sleep)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isDone(sleep)).toBe(true);
  });

  it('sleeps through times longer than a timer of Node can hold', async () => {
    const days = 60 * 24 * 3_600_000;
    const sleep = systemClock.sleep(days);
    await vi.advanceTimersByTimeAsync(days - 1);
    expect(await isDone(sleep)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isDone(sleep)).toBe(true);
  });

  it('ends at once, without an error and without a timer left, when aborted', async () => {
    const abort = new AbortController();
    const sleeps = [systemClock.sleep(1_000, abort), systemClock.sleep(1e10, abort)];
    abort.abort();
    for (const sleep of sleeps) expect(await isDone(sleep)).toBe(true);
    expect(await isDone(systemClock.sleep(1_000, { signal: AbortSignal.abort() }))).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('gives monotonic time that does not go back', () => {
  const times = Array.from({ length: 100 }, () => systemClock.monotonic());
  expect([...times].sort((a, b) => a - b)).toEqual(times);
});

it('writes times as ISO 8601 UTC with milliseconds', () => {
  expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
  expect(isoTime(1_700_000_000_123)).toBe('2023-11-14T22:13:20.123Z');
});
