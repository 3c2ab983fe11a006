import { describe, expect, it } from 'vitest';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { StorageHarness } from './object-storage.ts';
import { bytes, heldStream, keysOfAll, opened } from './object-storage-kit.ts';

async function pages(storage: ObjectStorage, prefix: string, limit: number): Promise<string[][]> {
  const found: string[][] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await storage.list(prefix, { limit, ...(cursor === undefined ? {} : { cursor }) });
    found.push(page.objects.map((object) => object.key));
    cursor = page.nextCursor;
  }
  return found;
}

const inBytes = (a: string, b: string): number => Buffer.compare(bytes(a), bytes(b));

export function listingOf(harness: StorageHarness): void {
  describe('a list', () => {
    const at = opened(harness);
    const putAll = (keys: readonly string[]) =>
      Promise.all(keys.map((key) => at.storage.put(key, bytes(key))));

    it('is empty before anything was written', async () => {
      expect(await at.storage.list('')).toEqual({ objects: [], nextCursor: null });
      expect(await at.storage.list('nothing/here')).toEqual({ objects: [], nextCursor: null });
    });

    it('is in the order of the bytes of the keys', async () => {
      const keys = ['a-b', 'a/b', 'a/c/d', 'a0', 'aZ', 'ab', 'b/x', 'z', 'Ü', '🐟', '\uffee', 'A', '10', '9'];
      await putAll(keys);
      expect(await keysOfAll(at.storage)).toEqual([...keys].sort(inBytes));
    });

    it('takes a prefix as text, not as a folder', async () => {
      await putAll(['a/b', 'a/c/d', 'ab', 'abc/d', 'b']);
      expect(await keysOfAll(at.storage, 'a')).toEqual(['a/b', 'a/c/d', 'ab', 'abc/d']);
      expect(await keysOfAll(at.storage, 'a/')).toEqual(['a/b', 'a/c/d']);
      expect(await keysOfAll(at.storage, 'a/c')).toEqual(['a/c/d']);
      expect(await keysOfAll(at.storage, 'a/c/d')).toEqual(['a/c/d']);
      expect(await keysOfAll(at.storage, 'a/c/d/')).toEqual([]);
    });

    it('comes in pages that neither skip nor repeat', async () => {
      const keys = Array.from({ length: 17 }, (_, i) => `${'abc'[i % 3]}/${i}/x${i}`);
      await putAll(keys);
      for (const limit of [1, 2, 5, 16, 17, 100]) {
        const found = await pages(at.storage, '', limit);
        expect(found.flat(), `${limit}`).toEqual([...keys].sort(inBytes));
        expect(found.every((page) => page.length <= limit)).toBe(true);
      }
    });

    it('ends exactly at a full page', async () => {
      await putAll(['1', '2', '3', '4']);
      const first = await at.storage.list('', { limit: 2 });
      expect(first.nextCursor).not.toBeNull();
      expect(await at.storage.list('', { limit: 2, cursor: first.nextCursor ?? '' })).toMatchObject({
        objects: [{ key: '3' }, { key: '4' }],
        nextCursor: null,
      });
    });

    it('keeps to its prefix on every page', async () => {
      await putAll(['a/1', 'b/1', 'b/2', 'b/3', 'b0', 'c']);
      expect(await pages(at.storage, 'b/', 2)).toEqual([['b/1', 'b/2'], ['b/3']]);
    });

    it('shows what was there all along once, whatever comes and goes meanwhile', async () => {
      const stay = Array.from({ length: 8 }, (_, i) => `k${i}`);
      await putAll([...stay, 'k3-goes']);
      const first = await at.storage.list('', { limit: 4 });
      await at.storage.delete('k3-goes');
      await putAll(['a-new', 'k2-new', 'k6-new', 'z-new']);
      const found = first.objects.map((object) => object.key);
      for (let { nextCursor } = first; nextCursor !== null; ) {
        const page = await at.storage.list('', { limit: 4, cursor: nextCursor });
        found.push(...page.objects.map((object) => object.key));
        nextCursor = page.nextCursor;
      }
      expect(found.filter((key) => stay.includes(key))).toEqual(stay);
      expect(new Set(found).size).toBe(found.length);
    });

    it('goes on after a key that is gone', async () => {
      await putAll(['1', '2', '3']);
      const { nextCursor } = await at.storage.list('', { limit: 2 });
      await at.storage.delete('2');
      const rest = await at.storage.list('', { cursor: nextCursor ?? '' });
      expect(rest.objects.map((object) => object.key)).toEqual(['3']);
    });

    it('does not show what is being written', async () => {
      await at.storage.put('there', bytes('x'));
      const held = heldStream(bytes('first'));
      const writing = at.storage.put('coming', held.body);
      await held.started;
      expect(await keysOfAll(at.storage)).toEqual(['there']);
      expect(await at.storage.stat('coming')).toBeUndefined();
      held.finish();
      await writing;
      expect(await keysOfAll(at.storage)).toEqual(['coming', 'there']);
    });

    it('has at most a thousand rows', async () => {
      const keys = Array.from({ length: 1_001 }, (_, i) => `${i}`.padStart(4, '0'));
      await at.fill(keys);
      for (const request of [{}, { limit: 5_000 }]) {
        const page = await at.storage.list('', request);
        expect(page.objects).toHaveLength(1_000);
        const rest = await at.storage.list('', { cursor: page.nextCursor ?? '' });
        expect(rest.objects.map((object) => object.key)).toEqual(['1000']);
      }
    });
  });
}
