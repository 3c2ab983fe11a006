import { beforeEach, describe, expect, it } from 'vitest';
import type { Worker } from '../../src/core/rows.ts';
import { type Letter, letterKey } from '../../src/pool/documents.ts';
import { createLetters, type Letters } from '../../src/pool/letters.ts';
import { createMail } from '../../src/pool/mail.ts';
import { createMemoryStorage, type MemoryStorage } from '../support/memory-storage.ts';
import { letterOf, WORKER, workerRow } from './worker-row.ts';

const OTHER = 'goldfish-ba9876543210';

let storage: MemoryStorage;
let letters: Letters;
let reads: string[];
/** Keys that cannot be read now. */
let broken: Set<string>;

beforeEach(() => {
  storage = createMemoryStorage({ now: () => 0 });
  reads = [];
  broken = new Set();
  const bucket: MemoryStorage = {
    ...storage,
    get: (key, ...rest) => {
      reads.push(key);
      return broken.has(key) ? Promise.reject(new Error('unreachable')) : storage.get(key, ...rest);
    },
  };
  const quiet = (): void => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  letters = createLetters({ mail: createMail(bucket), log });
});

const write = (content: string | object, worker = WORKER) =>
  storage.put(
    letterKey(worker),
    Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
  );
const withLast = (last: Letter): Worker => workerRow({ jobNumber: 2, letter: last });
async function newsOf(...workers: Worker[]): Promise<Letter[]> {
  return [...(await letters.read(workers, {})).news.values()].map(({ letter }) => letter);
}

describe('a letter counts', () => {
  const last = letterOf({ boot: 2, number: 1, job: 'claimed' });
  it.each([
    ['of a later boot, though its disk knows less', { boot: 3, number: 0, job: 'none' }],
    ['of a later job', { boot: 2, number: 2, job: 'none' }],
    ['of a later step', { boot: 2, number: 1, job: 'ended' }],
    ['of the same step, written later', { boot: 2, at: '2026-01-01T00:00:20.000Z' }],
    ['written later by a clock that was set back', { boot: 2, at: '2025-12-31T23:00:00.000Z' }],
  ] as [string, Partial<Letter>][])('that is %s', async (_what, change) => {
    const letter = letterOf(change);
    const { generation } = await write(letter);
    expect((await letters.read([withLast(last)], {})).news.get(WORKER)).toEqual({
      worker: WORKER,
      generation,
      letter,
    });
  });

  it('whatever it says where it is the first', async () => {
    await write(letterOf());
    expect(await newsOf(workerRow({ letter: null, letterGeneration: null }))).toEqual([letterOf()]);
  });
});

describe('a letter counts for nothing', () => {
  const last = letterOf({ boot: 2, number: 1, job: 'ended', phase: 'idle' });
  it.each([
    ['of an earlier boot', last, { ...last, boot: 1, number: 2, job: 'claimed' }],
    ['of an earlier job', last, { ...last, number: 0, job: 'none' }],
    ['of an earlier step', last, { ...last, job: 'claimed', phase: 'working' }],
    ['that was there before', last, last],
    ['of one that leaves no more', { ...last, phase: 'leaving', leaves: 'idle' }, last],
    ['that calls off what was begun', { ...last, job: 'claimed' }, { ...last, job: 'called_off' }],
    ['of another worker', last, { ...last, boot: 3, worker: OTHER }],
    ['that is too large', last, { ...last, boot: 3, images: ['x'.repeat(70_000)] }],
    ['of another version', last, { ...last, boot: 3, schema: 2 }],
    ['that is no JSON', last, '{'],
  ] as [string, Letter, object | string][])('%s, and is read once', async (what, known, content) => {
    await write(content);
    const worker = withLast(known);
    for (let look = 0; look < 3; look += 1)
      expect(await letters.read([worker], {})).toEqual({
        news: new Map(),
        unread: new Set(),
        others: new Set(),
      });
    // What is too large is not even fetched.
    expect(reads).toHaveLength(what === 'that is too large' ? 0 : 1);
    await write(letterOf({ boot: 4 }));
    expect(await newsOf(worker)).toEqual([letterOf({ boot: 4 })]);
  });

  it('as long as it speaks of a job that its worker was not given', async () => {
    const letter = letterOf({ number: 2 });
    await write(letter);
    expect(await newsOf(workerRow({ jobNumber: 1 }))).toEqual([]);
    // It was given the job while the letters were read.
    expect(await newsOf(workerRow({ jobNumber: 2 }))).toEqual([letter]);
  });
});

describe('letters that cannot be read', () => {
  it('are named, and do not keep others from being read', async () => {
    await write(letterOf({ boot: 2 }));
    await write(letterOf({ boot: 2, worker: OTHER }), OTHER);
    broken.add(letterKey(WORKER));
    const { news, unread } = await letters.read([workerRow(), workerRow({ id: OTHER })], {});
    expect([[...news.keys()], [...unread]]).toEqual([[OTHER], [WORKER]]);
  });

  it('are those of all where the bucket does not answer', async () => {
    await write(letterOf({ boot: 2 }));
    storage.out = true;
    expect(await letters.read([workerRow(), workerRow({ id: OTHER })], {})).toEqual({
      news: new Map(),
      unread: new Set([WORKER, OTHER]),
      others: new Set(),
    });
  });
});
