import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { withLock } from '../../src/store/lock.ts';

let folder: string;
let file: string;
const options = { clock: systemClock, what: 'slot w1' };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-lock-'));
  file = join(folder, 'slots', 'w1.lock');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Work that ends when told to. */
function gate(): { work: () => Promise<string>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise.then(() => 'done'), open: resolve };
}

const busy = expect.objectContaining({
  code: 'CONFLICT',
  message: 'Another call is at work on slot w1.',
  hint: 'Repeat the call in a few seconds.',
  retryable: true,
});

it('lets one caller in at a time, in the order they came', async () => {
  const log: string[] = [];
  const call = (name: string): Promise<void> =>
    withLock(file, options, async () => {
      log.push(`${name} in`);
      await systemClock.sleep(1);
      log.push(`${name} out`);
    });
  await Promise.all(['a', 'b', 'c'].map(call));
  expect(log).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
});

it('answers with what the work answers, and passes on what it throws', async () => {
  expect(await withLock(file, options, async () => 7)).toBe(7);
  await expect(
    withLock(file, options, async () => {
      throw new Error('broken');
    }),
  ).rejects.toThrow('broken');
  expect(await withLock(file, options, async () => 8)).toBe(8);
});

it('does not hold up work on another thing', async () => {
  const first = gate();
  const held = withLock(file, options, first.work);
  expect(await withLock(join(folder, 'w2.lock'), options, async () => 'free')).toBe('free');
  first.open();
  expect(await held).toBe('done');
});

it('refuses a caller who waited long enough, and nobody overtakes the holder because of it', async () => {
  const first = gate();
  const held = withLock(file, options, first.work);
  await expect(withLock(file, { ...options, waitMs: 20 }, async () => 'too early')).rejects.toThrow(busy);
  let third = 'waiting';
  const next = withLock(file, options, async () => {
    third = 'in';
  });
  await expect(withLock(file, { ...options, waitMs: 20 }, async () => 'too early')).rejects.toThrow(busy);
  expect(third).toBe('waiting');
  first.open();
  await Promise.all([held, next]);
  expect(third).toBe('in');
});

it('lets a caller go who gives up', async () => {
  const first = gate();
  const held = withLock(file, options, first.work);
  const abort = new AbortController();
  const second = withLock(file, { ...options, signal: abort.signal }, async () => 'too late');
  abort.abort();
  await expect(second).rejects.toThrow(busy);
  first.open();
  expect(await held).toBe('done');
});
