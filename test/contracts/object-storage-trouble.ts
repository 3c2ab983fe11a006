import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StorageHarness } from './object-storage.ts';
import { bytes, heldStream, keysOfAll, opened, pattern, readText } from './object-storage-kit.ts';

export function troubleOf(harness: StorageHarness): void {
  describe('trouble', () => {
    const at = opened(harness);

    it('with the source of a write leaves nothing of it', async () => {
      const held = heldStream(pattern(200_000));
      const writing = at.storage.put('key', held.body);
      await Promise.all([
        expect(writing).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' }),
        held.started.then(() => held.fail(new Error('the source broke'))),
      ]);
      expect(await at.storage.stat('key')).toBeUndefined();
      expect(await at.leftovers()).toEqual([]);
    });

    it('with the source of a write leaves what was there before', async () => {
      const before = await at.storage.put('key', bytes('old'));
      const held = heldStream(pattern(200_000));
      const writing = at.storage.put('key', held.body, { ifGeneration: before.generation });
      await Promise.all([
        expect(writing).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' }),
        held.started.then(() => held.fail(new Error('the source broke'))),
      ]);
      expect(await at.storage.stat('key')).toEqual(before);
      expect(await readText(at.storage, 'key')).toBe('old');
    });

    it('with a file that is not there, or is none, is told', async () => {
      await mkdir(join(at.folder, 'folder'));
      for (const name of ['nothing', 'folder']) {
        await expect(at.storage.put('key', { file: join(at.folder, name) }), name).rejects.toMatchObject({
          code: 'STORAGE_UNAVAILABLE',
        });
      }
      expect(await keysOfAll(at.storage)).toEqual([]);
      expect(await at.leftovers()).toEqual([]);
    });

    it('is no reason to name a folder of the machine', async () => {
      const error: unknown = await at.storage
        .put('key', { file: join(at.folder, 'nothing') })
        .catch((caught: unknown) => caught);
      const told = error as { message: string; hint?: string; details: unknown };
      expect(JSON.stringify([told.message, told.hint, told.details])).not.toContain(at.folder);
    });

    it('is over when a call is aborted before it begins', async () => {
      await at.storage.put('there', bytes('x'));
      const signal = AbortSignal.abort();
      await expect(at.storage.put('key', bytes('x'), { signal })).rejects.toThrow();
      await expect(at.storage.copy('there', 'key', { signal })).rejects.toThrow();
      await expect(at.storage.list('', { signal })).rejects.toThrow();
      expect(await keysOfAll(at.storage)).toEqual(['there']);
      expect(await at.leftovers()).toEqual([]);
    });

    it('is over when a write is aborted on its way', async () => {
      const abort = new AbortController();
      const held = heldStream(pattern(200_000));
      const writing = at.storage.put('key', held.body, { signal: abort.signal });
      await Promise.all([expect(writing).rejects.toThrow(), held.started.then(() => abort.abort())]);
      expect(await at.storage.stat('key')).toBeUndefined();
      expect(await at.leftovers()).toEqual([]);
      held.finish();
    });

    it('is over when a read is aborted on its way', async () => {
      await at.storage.put('key', pattern(8 << 20));
      const abort = new AbortController();
      const reader = await at.storage.get('key', { signal: abort.signal });
      const reading = (async () => {
        for await (const _ of reader) abort.abort();
      })();
      await expect(reading).rejects.toThrow();
      await at.storage.delete('key');
      expect(await at.storage.stat('key')).toBeUndefined();
    });

    it('of one write is none of another', async () => {
      await writeFile(join(at.folder, 'file'), 'x');
      const held = heldStream(bytes('first'));
      const failing = at.storage.put('bad', held.body);
      const good = [at.storage.put('1', bytes('1')), at.again().put('2', { file: join(at.folder, 'file') })];
      await Promise.all([
        expect(failing).rejects.toThrow(),
        held.started.then(() => held.fail(new Error('the source broke'))),
      ]);
      await Promise.all(good);
      expect(await keysOfAll(at.storage)).toEqual(['1', '2']);
    });
  });

  const { small } = harness;
  if (small === 'never full') return;

  describe('a full disk', () => {
    const missing = 'needs' in small ? small.needs : undefined;
    const needs = missing === undefined ? '' : ` (needs ${missing})`;

    it.skipIf(missing !== undefined)(
      `is told, leaves no part of the object, and what fits is stored afterwards${needs}`,
      async () => {
        if ('needs' in small) return;
        const { storage, leftovers, foreign, dispose } = await small.open();
        try {
          await storage.put('fits', Buffer.alloc(50_000));
          await writeFile(join(foreign, 'big'), Buffer.alloc(400_000, 'x'));
          for (const body of [Buffer.alloc(400_000, 'x'), { file: join(foreign, 'big') }]) {
            await expect(storage.put('big', body)).rejects.toMatchObject({
              code: 'STORAGE_UNAVAILABLE',
              message: 'The disk under the object storage is full.',
              retryable: true,
            });
          }
          expect(await storage.stat('big')).toBeUndefined();
          expect(await leftovers()).toEqual([]);
          await storage.put('fits too', Buffer.alloc(40_000));
          expect(await keysOfAll(storage)).toEqual(['fits', 'fits too']);
        } finally {
          await dispose();
        }
      },
    );
  });
}
