import { describe, expect, it } from 'vitest';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { Operation } from '../gcs-emulator/route.ts';
import { BUCKET, CHUNK, serviceOf } from './object-storage-gcs-kit.ts';
import {
  bytes,
  CONFLICT,
  heldStream,
  keysOfAll,
  pattern,
  readBytes,
  readText,
} from './object-storage-kit.ts';

const FOREVER = 1_000_000;
/** What a machine that does other work may add. The client's own way takes 16 s to give up. */
const SLOW_MACHINE_MS = 5_000;
const PASSING = { code: 'STORAGE_UNAVAILABLE', retryable: true };

/** Every call of the port that asks the service, and the request that it is. */
const CALLS: readonly [string, Operation, (storage: ObjectStorage) => Promise<unknown>][] = [
  ['put', 'objects.insert', (storage) => storage.put('new', bytes('new'))],
  ['put of a large body', 'uploads.start', (storage) => storage.put('new', pattern(3 * CHUNK))],
  ['put of a piece', 'uploads.write', (storage) => storage.put('new', pattern(3 * CHUNK))],
  ['get', 'objects.read', (storage) => readText(storage, 'there')],
  ['stat', 'objects.get', (storage) => storage.stat('there')],
  ['list', 'objects.list', (storage) => storage.list('')],
  ['copy', 'objects.rewrite', (storage) => storage.copy('there', 'copy')],
  ['delete', 'objects.delete', (storage) => storage.delete('there')],
];

export function faultsOf(): void {
  describe('a service that fails for a while', () => {
    const at = serviceOf();

    it.each(CALLS)('is asked again: %s', async (_name, on, call) => {
      const troubles = [408, 429, 500, 502, 503, 504].map((status) => ({ kind: 'status', status }) as const);
      for (const trouble of [...troubles, { kind: 'refuse' }, { kind: 'lose-answer' }] as const) {
        await at.storage.put('there', bytes('there'));
        at.fail({ on, do: trouble, times: 2 });
        await call(at.storage);
        at.emulator.faults.clear();
      }
    });

    it('is asked again also after writes without a condition', async () => {
      await at.storage.put('key', bytes('x'));
      await at.storage.delete('other');
      await at.storage.copy('key', 'copy');
      for (const [, on, call] of CALLS) {
        await at.storage.put('there', bytes('there'));
        at.fail({ on, do: { kind: 'status', status: 503 } });
        await call(at.storage);
      }
    });

    it.each(CALLS)('is given up when the budget is used up, and not before: %s', async (_name, on, call) => {
      await at.storage.put('there', bytes('there'));
      const started = at.clock.monotonic();
      at.fail({ on, do: { kind: 'status', status: 503 }, times: FOREVER });
      await expect(call(at.storage)).rejects.toMatchObject({
        ...PASSING,
        message: 'The object storage did not do its part within 60 s (HTTP 503).',
        hint: 'Repeat the call; if it stays so, look at the network and at storage.gcs.api_endpoint.',
        details: { bucket: BUCKET, status: 503 },
      });
      const took = at.clock.monotonic() - started;
      expect(took).toBeGreaterThan(45_000);
      expect(took).toBeLessThanOrEqual(60_000);
      const attempts = at.emulator.requests.filter((request) => request === on).length;
      expect(attempts).toBeGreaterThan(8);
      expect(attempts).toBeLessThan(25);
    });

    it('is not noticed while its outage is shorter than the budget', async () => {
      const storage = at.client({ budgetMs: 20_000 });
      await storage.put('key', bytes('x'));
      at.fail({ do: { kind: 'status', status: 503 }, forMs: 600 });
      await storage.put('key', bytes('y'));
      expect(await readText(storage, 'key')).toBe('y');
    });

    it('is not waited for when the call is aborted', async () => {
      const storage = at.client();
      at.fail({ do: { kind: 'status', status: 503 }, times: FOREVER });
      const abort = new AbortController();
      const asking = storage.stat('key', { signal: abort.signal });
      await expect.poll(() => at.emulator.requests.length).toBeGreaterThan(0);
      abort.abort();
      await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
    });

    it('is let go of when it never answers and the call is aborted', async () => {
      const storage = at.client();
      at.fail({ do: { kind: 'silence' }, times: FOREVER });
      const abort = new AbortController();
      const { signal } = abort;
      const asking = [
        storage.stat('key', { signal }),
        storage.get('key', { signal }),
        storage.list('', { signal }),
      ];
      const ended = Promise.allSettled(asking);
      await expect.poll(() => at.emulator.requests.length).toBe(3);
      abort.abort();
      for (const end of await ended)
        expect(end).toMatchObject({ status: 'rejected', reason: { name: 'AbortError' } });
    });

    it('is an error within the budget when nobody listens', async () => {
      const storage = at.client({ budgetMs: 1_500 });
      await at.emulator.stop();
      const started = performance.now();
      await expect(storage.put('key', bytes('x'))).rejects.toMatchObject({
        ...PASSING,
        message: 'The object storage did not do its part within 1.5 s (ECONNREFUSED).',
      });
      await expect(storage.get('key')).rejects.toMatchObject(PASSING);
      expect(performance.now() - started).toBeLessThan(2 * 1_500 + SLOW_MACHINE_MS);
    });

    it('is an error within the budget when it never answers', async () => {
      const storage = at.client({ budgetMs: 3_000 });
      at.fail({ do: { kind: 'silence' }, times: FOREVER });
      const started = performance.now();
      await expect(storage.stat('key')).rejects.toMatchObject(PASSING);
      expect(performance.now() - started).toBeLessThan(3_000 + SLOW_MACHINE_MS);
      expect(at.emulator.requests.length).toBeGreaterThan(1);
    });

    it('is not asked again for what will not pass', async () => {
      for (const [status, message] of [
        [401, `The bucket "${BUCKET}" does not let Goldfish in (HTTP 401).`],
        [403, `The bucket "${BUCKET}" does not let Goldfish in (HTTP 403).`],
        [451, 'The object storage refused (HTTP 451).'],
      ] as const) {
        const before = at.emulator.requests.length;
        at.fail({ do: { kind: 'status', status } });
        await expect(at.storage.stat('key')).rejects.toMatchObject({
          code: 'STORAGE_UNAVAILABLE',
          message,
          retryable: false,
        });
        expect(at.emulator.requests.length - before, `${status}`).toBe(1);
      }
    });

    it('does not depend on its clock', async () => {
      const first = await at.storage.put('key', bytes('1'));
      at.emulator.skewMs = -3_600_000;
      const second = await at.storage.put('key', bytes('2'), { ifGeneration: first.generation });
      expect(second.updatedAt < first.updatedAt).toBe(true);
      expect(BigInt(second.generation)).toBeGreaterThan(BigInt(first.generation));
      await expect(
        at.storage.put('key', bytes('3'), { ifGeneration: first.generation }),
      ).rejects.toMatchObject(CONFLICT);
    });
  });

  describe('a write whose answer was lost', () => {
    const at = serviceOf();
    const small = { on: 'objects.insert', do: { kind: 'lose-answer' } } as const;

    it('creates once, and is told that it has', async () => {
      at.fail(small);
      const created = await at.storage.put('key', bytes('mine'), { createOnly: true });
      expect(await at.storage.stat('key')).toEqual(created);
      expect(at.emulator.requests.filter((request) => request === 'objects.insert')).toHaveLength(2);
    });

    it('compares and sets once, and is told that it has', async () => {
      const { generation } = await at.storage.put('key', bytes('before'));
      at.fail(small);
      const written = await at.storage.put('key', bytes('mine'), { ifGeneration: generation });
      expect(await at.storage.stat('key')).toEqual(written);
      expect(await readText(at.storage, 'key')).toBe('mine');
    });

    it('copies once, and is told that it has', async () => {
      await at.storage.put('from', bytes('x'));
      at.fail({ on: 'objects.rewrite', do: { kind: 'lose-answer' } });
      const copied = await at.storage.copy('from', 'to', { createOnly: true });
      expect(await at.storage.stat('to')).toEqual(copied);
    });

    it('deletes once, and is told that it has', async () => {
      const { generation } = await at.storage.put('key', bytes('x'));
      at.fail({ on: 'objects.delete', do: { kind: 'lose-answer' } });
      await at.storage.delete('key', { ifGeneration: generation });
      expect(await at.storage.stat('key')).toBeUndefined();
    });

    it('stores a large body once, and is told that it has', async () => {
      at.fail({ on: 'uploads.write', skip: 2, do: { kind: 'lose-answer' } });
      const written = await at.storage.put('key', pattern(3 * CHUNK), { createOnly: true });
      expect(await at.storage.stat('key')).toEqual(written);
      expect(written.size).toBe(3 * CHUNK);
    });

    it('does not take the work of somebody else for its own', async () => {
      at.fail({ on: 'objects.insert', do: { kind: 'refuse' } });
      at.meanwhile(() => at.client().put('key', bytes('theirs')));
      await expect(at.storage.put('key', bytes('mine'), { createOnly: true })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await readText(at.storage, 'key')).toBe('theirs');
      const { generation } = await at.storage.put('key', bytes('next'));
      at.fail({ on: 'objects.delete', do: { kind: 'refuse' } });
      at.meanwhile(() => at.client().put('key', bytes('theirs again')));
      await expect(at.storage.delete('key', { ifGeneration: generation })).rejects.toMatchObject(CONFLICT);
      expect(await readText(at.storage, 'key')).toBe('theirs again');
    });
  });

  describe('a large body', () => {
    const at = serviceOf();
    const writes = () => at.emulator.requests.filter((request) => request === 'uploads.write').length;

    it('is gone on with where the service has it when the connection dies in the middle of a piece', async () => {
      const storage = at.client({ chunkBytes: 4 * CHUNK });
      const data = pattern(9 * CHUNK + 17);
      at.fail({ on: 'uploads.write', do: { kind: 'cut-request', after: 2 * CHUNK + 1_000 } });
      await storage.put('key', data);
      expect((await readBytes(storage, 'key')).equals(data)).toBe(true);
      expect(at.emulator.requests.filter((request) => request === 'uploads.ask')).toHaveLength(1);
      // The rest of the piece, not the whole of it.
      expect(writes()).toBe(4);
      expect(at.emulator.bytesOf('uploads.write')).toBe(data.length + 1_000);
    });

    it('has a budget for each of its pieces', async () => {
      const storage = at.client({ budgetMs: 6_000, clock: at.clock });
      for (let piece = 0; piece < 12; piece += 1) {
        at.fail({ on: 'uploads.write', do: { kind: 'status', status: 503 }, times: 3 });
        at.fail({ on: 'uploads.write', do: { kind: 'pass' } });
      }
      const started = at.clock.monotonic();
      await storage.put('key', pattern(12 * CHUNK));
      expect(at.clock.monotonic() - started).toBeGreaterThan(6_000);
    });

    it('is cancelled when the budget is used up', async () => {
      at.fail({ on: 'uploads.write', do: { kind: 'refuse' }, times: FOREVER });
      await expect(at.storage.put('key', pattern(3 * CHUNK))).rejects.toMatchObject(PASSING);
      expect(at.emulator.uploads.open(BUCKET)).toEqual([]);
      expect(await keysOfAll(at.storage)).toEqual([]);
    });

    it('is cancelled when the call is aborted on its way', async () => {
      const abort = new AbortController();
      const held = heldStream(pattern(3 * CHUNK));
      const writing = at.storage.put('key', held.body, { signal: abort.signal });
      const ended = expect(writing).rejects.toMatchObject({ name: 'AbortError' });
      await expect.poll(writes).toBe(2);
      expect(at.emulator.uploads.open(BUCKET)).toEqual(['key']);
      abort.abort();
      await ended;
      expect(at.emulator.uploads.open(BUCKET)).toEqual([]);
      held.finish();
    });

    it('of which the service has forgotten the beginning is an error that passes', async () => {
      at.fail({ on: 'uploads.write', do: { kind: 'status', status: 410 } });
      await expect(at.storage.put('key', pattern(3 * CHUNK))).rejects.toMatchObject({
        ...PASSING,
        message: 'The object storage has lost what was begun.',
      });
      expect(await keysOfAll(at.storage)).toEqual([]);
    });

    it('is refused before its first byte where its condition does not hold', async () => {
      await at.storage.put('key', bytes('there'));
      await expect(at.storage.put('key', pattern(3 * CHUNK), { createOnly: true })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(writes()).toBe(0);
    });

    it('is refused at its end where somebody was faster', async () => {
      at.fail({ on: 'uploads.write', skip: 1, do: { kind: 'status', status: 503 } });
      at.meanwhile(() => at.client().put('key', bytes('theirs')));
      await expect(at.storage.put('key', pattern(3 * CHUNK), { createOnly: true })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await readText(at.storage, 'key')).toBe('theirs');
      expect(at.emulator.uploads.open(BUCKET)).toEqual([]);
    });
  });
}
