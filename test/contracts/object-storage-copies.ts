import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StorageHarness } from './object-storage.ts';
import {
  bytes,
  CONFLICT,
  keysOfAll,
  opened,
  outcomes,
  pattern,
  readBytes,
  readText,
} from './object-storage-kit.ts';

export function copiesOf(harness: StorageHarness): void {
  describe('a copy', () => {
    const at = opened(harness);

    it('has the same content and a generation of its own', async () => {
      const data = pattern(200_000);
      const from = await at.storage.put('from', data);
      const to = await at.storage.copy('from', 'deep/to');
      expect(to).toMatchObject({ key: 'deep/to', size: 200_000 });
      expect(to.generation).not.toBe(from.generation);
      expect((await readBytes(at.storage, 'deep/to')).equals(data)).toBe(true);
      expect(await at.storage.stat('deep/to')).toEqual(to);
      expect(await at.storage.stat('from')).toEqual(from);
    });

    it('stays when the original is replaced or deleted, and the other way round', async () => {
      await at.storage.put('from', bytes('content'));
      await at.storage.copy('from', 'one');
      await at.storage.copy('from', 'two');
      await at.storage.put('from', bytes('other'));
      expect(await readText(at.storage, 'one')).toBe('content');
      await at.storage.delete('from');
      await at.storage.delete('one');
      expect(await readText(at.storage, 'two')).toBe('content');
    });

    it('replaces what was there, whole', async () => {
      await at.storage.put('from', bytes('new'));
      const old = await at.storage.put('to', bytes('the old content'));
      const copy = await at.storage.copy('from', 'to');
      expect(copy.generation).not.toBe(old.generation);
      expect(await readText(at.storage, 'to')).toBe('new');
    });

    it('keeps the conditions of a write', async () => {
      await at.storage.put('from', bytes('new'));
      const old = await at.storage.put('to', bytes('old'));
      await expect(at.storage.copy('from', 'to', { createOnly: true })).rejects.toMatchObject(CONFLICT);
      await at.storage.put('to', bytes('newer'));
      await expect(at.storage.copy('from', 'to', { ifGeneration: old.generation })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await readText(at.storage, 'to')).toBe('newer');
      await at.storage.copy('from', 'free', { createOnly: true });
      expect(await keysOfAll(at.storage)).toEqual(['free', 'from', 'to']);
    });

    it('of an object from a file is apart from that file', async () => {
      const file = join(at.folder, 'file');
      await writeFile(file, 'content');
      const from = await at.storage.put('from', { file });
      const to = await at.storage.copy('from', 'to');
      await at.storage.copy('to', 'to');
      expect((await at.storage.stat('from'))?.generation).toBe(from.generation);
      expect((await at.storage.stat('to'))?.generation).not.toBe(to.generation);
    });

    it('onto itself is a write of the same content', async () => {
      const before = await at.storage.put('key', bytes('content'));
      const after = await at.storage.copy('key', 'key');
      expect(after).toMatchObject({ key: 'key', size: 7 });
      expect(after.generation).not.toBe(before.generation);
      expect(after.updatedAt >= before.updatedAt).toBe(true);
      expect(await at.storage.stat('key')).toEqual(after);
      expect(await readText(at.storage, 'key')).toBe('content');
      await expect(at.storage.delete('key', { ifGeneration: before.generation })).rejects.toMatchObject(
        CONFLICT,
      );
    });

    it('onto itself keeps conditions, and keeps from deleting who looked before', async () => {
      const clients = [at.storage, at.again()];
      for (let round = 0; round < 5; round += 1) {
        const { generation } = await at.storage.put('key', bytes('x'));
        const how = await outcomes([
          clients[0]!.copy('key', 'key', { ifGeneration: generation }),
          clients[1]!.delete('key', { ifGeneration: generation }),
        ]);
        expect(how.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect((await at.storage.stat('key')) === undefined).toBe(how[1] === 'done');
      }
    });
  });
}
