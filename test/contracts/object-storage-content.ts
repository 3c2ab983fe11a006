import { createHash } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { StorageHarness } from './object-storage.ts';
import {
  bytes,
  chunks,
  keysOfAll,
  MISSING,
  opened,
  pattern,
  readBytes,
  readText,
} from './object-storage-kit.ts';

const MEGABYTE = 1 << 20;

export function contentOf(harness: StorageHarness): void {
  describe('content', () => {
    const at = opened(harness);

    it('gives back bytes exactly', async () => {
      const data = pattern(100_000);
      await at.storage.put('a/bytes', data);
      expect((await readBytes(at.storage, 'a/bytes')).equals(data)).toBe(true);
    });

    it('gives back what came in a stream of odd pieces', async () => {
      const data = pattern(300_001);
      await at.storage.put('a/stream', chunks(data, 65_537));
      expect((await readBytes(at.storage, 'a/stream')).equals(data)).toBe(true);
    });

    it('gives back a file, and leaves it where it was', async () => {
      for (const folder of [at.folder, at.foreign]) {
        await writeFile(join(folder, 'file'), pattern(70_000));
        await at.storage.put('a/file', { file: join(folder, 'file') });
        expect((await readBytes(at.storage, 'a/file')).equals(pattern(70_000))).toBe(true);
        expect((await readFile(join(folder, 'file'))).equals(pattern(70_000))).toBe(true);
      }
    });

    it('keeps nothing, as bytes, stream and file', async () => {
      await writeFile(join(at.folder, 'empty'), '');
      await at.storage.put('1', bytes(''));
      await at.storage.put('2', Readable.from([]));
      await at.storage.put('3', { file: join(at.folder, 'empty') });
      for (const key of ['1', '2', '3']) {
        expect(await readText(at.storage, key), key).toBe('');
        expect((await at.storage.stat(key))?.size, key).toBe(0);
      }
    });

    it('takes and gives large objects as streams', async () => {
      const block = pattern(MEGABYTE);
      const blocks = 160;
      const body = Readable.from(
        (function* () {
          for (let i = 0; i < blocks; i += 1) yield block;
        })(),
      );
      const before = process.memoryUsage().arrayBuffers;
      expect((await at.storage.put('big', body)).size).toBe(blocks * MEGABYTE);
      const hash = createHash('sha256');
      let most = 0;
      for await (const chunk of await at.storage.get('big')) {
        hash.update(chunk as Buffer);
        most = Math.max(most, process.memoryUsage().arrayBuffers - before);
      }
      const wanted = createHash('sha256');
      for (let i = 0; i < blocks; i += 1) wanted.update(block);
      expect(hash.digest('hex')).toBe(wanted.digest('hex'));
      // Some of what was read is garbage that nobody has collected yet.
      expect(most).toBeLessThan(100 * MEGABYTE);
    });

    it('is what a file held when it was stored, whatever its owner writes to it later', async () => {
      const file = join(at.foreign, 'file');
      await writeFile(file, 'then');
      await at.storage.put('key', { file });
      await writeFile(file, 'now!');
      expect(await readText(at.storage, 'key')).toBe('then');
      expect((await stat(file)).mode & 0o200).toBe(0o200);
    });

    it('outlives the name of the file it came from', async () => {
      const file = join(at.folder, 'file');
      await writeFile(file, 'kept');
      await at.storage.put('key', { file });
      await writeFile(`${file}.new`, 'other');
      await rename(`${file}.new`, file);
      await rm(file);
      expect(await readText(at.storage, 'key')).toBe('kept');
    });

    it('keeps objects from one file apart', async () => {
      const file = join(at.folder, 'file');
      await writeFile(file, 'same');
      const first = await at.storage.put('first', { file });
      const second = await at.storage.put('second', { file });
      await at.storage.put('first', bytes('other'));
      expect(await readText(at.storage, 'second')).toBe('same');
      expect((await at.storage.stat('second'))?.generation).toBe(second.generation);
      await at.storage.put('second', { file }, { ifGeneration: second.generation });
      expect(first.key).toBe('first');
    });

    it('is replaced whole, while a reader of the old one ends with the old one', async () => {
      const old = pattern(3 * MEGABYTE).toString('latin1');
      await at.storage.put('key', Buffer.from(old, 'latin1'));
      const reader = await at.storage.get('key');
      await at.storage.put('key', bytes('new'));
      reader.setEncoding('latin1');
      expect((await reader.toArray()).join('') === old).toBe(true);
      expect(await readText(at.storage, 'key')).toBe('new');
    });

    it('is never a mixture, whoever writes and reads at once', async () => {
      const versions = Array.from({ length: 6 }, (_, i) => Buffer.alloc(400_000 + i, `${i}`));
      await at.storage.put('key', versions[0]!);
      const others = [at.storage, at.again()];
      const writes = versions.map((version, i) => others[i % 2]!.put('key', version));
      const reads = Array.from({ length: 12 }, (_, i) => readBytes(others[i % 2]!, 'key'));
      await Promise.all(writes);
      for (const read of await Promise.all(reads)) {
        expect(versions.some((version) => version.equals(read))).toBe(true);
      }
    });

    it('is seen by another client at once', async () => {
      const other = at.again();
      await at.storage.put('key', bytes('1'));
      expect(await readText(other, 'key')).toBe('1');
      await other.put('key', bytes('2'));
      expect(await readText(at.storage, 'key')).toBe('2');
      await at.storage.delete('key');
      expect(await other.stat('key')).toBeUndefined();
    });

    it('of many keys is stored at once', async () => {
      const keys = Array.from({ length: 60 }, (_, i) => `many/${String(i).padStart(2, '0')}`);
      await Promise.all(keys.map((key) => at.storage.put(key, bytes(key))));
      expect(await keysOfAll(at.storage)).toEqual(keys);
      expect(await Promise.all(keys.map((key) => readText(at.storage, key)))).toEqual(keys);
      expect(await at.leftovers()).toEqual([]);
    });

    it('is described as it is when it is written', async () => {
      const written = await at.storage.put('a/key', bytes('12345'));
      expect(written).toEqual({
        key: 'a/key',
        size: 5,
        generation: expect.stringMatching(/^\S+$/),
        updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      });
      expect(await at.storage.stat('a/key')).toEqual(written);
      expect((await at.storage.list('')).objects).toEqual([written]);
    });

    it('of another time has a later time', async () => {
      const first = await at.storage.put('1', bytes('x'));
      const second = await at.storage.put('2', bytes('x'));
      expect(second.updatedAt >= first.updatedAt).toBe(true);
    });

    it('can be left unread', async () => {
      await at.storage.put('key', pattern(2 * MEGABYTE));
      const reader = await at.storage.get('key');
      reader.destroy();
      await at.storage.put('key', bytes('next'));
      await at.storage.delete('key');
      expect(await at.storage.stat('key')).toBeUndefined();
    });

    it('has a path on this machine or none, and there it is read-only', async () => {
      await at.storage.put('a/key', bytes('old'));
      await at.storage.put('a/key', bytes('content'));
      const path = at.storage.localPath('a/key');
      if (path === undefined) return;
      expect(await readFile(path, 'utf8')).toBe('content');
      expect((await stat(path)).mode & 0o222).toBe(0);
    });
  });

  describe('what is not there', () => {
    const at = opened(harness);

    it('cannot be read', async () => {
      await expect(at.storage.get('nothing')).rejects.toMatchObject(MISSING);
    });

    it('has no description', async () => {
      expect(await at.storage.stat('nothing')).toBeUndefined();
    });

    it('can be deleted', async () => {
      await at.storage.delete('nothing');
      await at.storage.delete('no/thing');
      expect(await keysOfAll(at.storage)).toEqual([]);
    });

    it('cannot be copied', async () => {
      await expect(at.storage.copy('nothing', 'copy')).rejects.toMatchObject(MISSING);
      await expect(at.storage.copy('nothing', 'nothing')).rejects.toMatchObject(MISSING);
      expect(await keysOfAll(at.storage)).toEqual([]);
    });

    it('is not there though keys begin with it', async () => {
      await at.storage.put('folder/key', bytes('x'));
      for (const key of ['folder', 'fold', 'folder/key/below', 'folder/ke']) {
        await expect(at.storage.get(key), key).rejects.toMatchObject(MISSING);
        expect(await at.storage.stat(key), key).toBeUndefined();
        await at.storage.delete(key);
      }
      expect(await readText(at.storage, 'folder/key')).toBe('x');
    });

    it('is what was deleted', async () => {
      await at.storage.put('a/key', bytes('x'));
      await at.storage.delete('a/key');
      await expect(at.storage.get('a/key')).rejects.toMatchObject(MISSING);
      expect(await at.storage.stat('a/key')).toBeUndefined();
      expect(await keysOfAll(at.storage)).toEqual([]);
      await at.storage.put('a/key', bytes('again'));
      expect(await text(await at.storage.get('a/key'))).toBe('again');
    });
  });
}
