import { expect, it } from 'vitest';
import { createTestClock } from '../support/test-clock.ts';
import { clockOf, createManualTime, createRunningTime } from './time.ts';

it('moves only when told, and runs what falls due in order, each at its own moment', async () => {
  const time = createManualTime(0);
  const seen: string[] = [];
  const note = (name: string) => (): void => {
    seen.push(`${name} ${time.now()}`);
  };
  time.after(20, note('c'));
  time.after(10, () => {
    note('a')();
    time.after(5, note('b'));
    time.after(0, note('a2'));
  });
  const callOff = time.after(15, note('never'));
  callOff();
  callOff();
  time.after(31, note('later'));
  await time.advance(30);
  expect(seen).toEqual(['a 10', 'a2 10', 'b 15', 'c 20']);
  expect(time.now()).toBe(30);
  await time.until(() => seen.length === 5);
  expect(time.now()).toBe(31);
  await expect(time.until(() => false, 10)).rejects.toThrow(
    'It did not come about within 10 simulated milliseconds.',
  );
});

it('runs by itself, faster than the clock where asked', async () => {
  const { clock, advance } = createTestClock(1_000);
  const time = createRunningTime({ speed: 60, clock });
  advance(1_000);
  expect(time.now()).toBe(61_000);
  const real = createRunningTime({ speed: 1_000 });
  const start = real.now();
  const callOff = real.after(50, () => expect.unreachable());
  callOff();
  await new Promise<void>((resolve) => real.after(100, resolve));
  expect(real.now() - start).toBeGreaterThanOrEqual(100);
});

it('is a clock for the product: its sleeps end with the time, and with their signal', async () => {
  const time = createManualTime(5);
  const clock = clockOf(time);
  const abort = new AbortController();
  const ended: string[] = [];
  void clock.sleep(100).then(() => ended.push('slept'));
  void clock.sleep(1_000, { signal: abort.signal }).then(() => ended.push('aborted'));
  await clock.sleep(1_000, { signal: AbortSignal.abort() });
  await time.advance(100);
  abort.abort();
  await time.advance(0);
  expect(ended).toEqual(['slept', 'aborted']);
  expect([clock.now(), clock.monotonic()]).toEqual([105, 105]);
});
