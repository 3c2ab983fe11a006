import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { StorageHarness } from './object-storage.ts';
import { bytes, CONFLICT, keysOfAll, opened, outcomes, readText } from './object-storage-kit.ts';

export function conditionsOf(harness: StorageHarness): void {
  describe('a condition', () => {
    const at = opened(harness);

    it('creates where nothing is', async () => {
      await at.storage.put('1', bytes('x'), { createOnly: true });
      await at.storage.put('2', bytes('x'), { ifGeneration: '0' });
      expect(await keysOfAll(at.storage)).toEqual(['1', '2']);
    });

    it('does not create where something is', async () => {
      await at.storage.put('key', bytes('first'));
      await expect(at.storage.put('key', bytes('second'), { createOnly: true })).rejects.toMatchObject(
        CONFLICT,
      );
      await expect(at.storage.put('key', bytes('third'), { ifGeneration: '0' })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await readText(at.storage, 'key')).toBe('first');
      expect(await at.leftovers()).toEqual([]);
    });

    it('does not create from a file where something is, and the file stays its owner’s', async () => {
      await at.storage.put('key', bytes('first'));
      const file = join(at.foreign, 'file');
      await writeFile(file, 'second');
      await expect(at.storage.put('key', { file }, { createOnly: true })).rejects.toMatchObject(CONFLICT);
      await writeFile(file, 'third');
      expect(await readText(at.storage, 'key')).toBe('first');
    });

    it('lets exactly one of many creators win, and the object is the winner’s', async () => {
      const clients = [at.storage, at.again(), at.again()];
      for (let round = 0; round < 5; round += 1) {
        const key = `race/${round}`;
        const names = Array.from({ length: 9 }, (_, i) => `creator ${i}`);
        const how = await outcomes(
          names.map((name, i) => clients[i % 3]!.put(key, bytes(name), { createOnly: true })),
        );
        expect(how.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect(how.filter((outcome) => outcome === 'CONFLICT')).toHaveLength(8);
        expect(await readText(at.storage, key)).toBe(names[how.indexOf('done')]);
      }
    });

    it('writes at the generation that is there', async () => {
      const first = await at.storage.put('key', bytes('1'));
      const second = await at.storage.put('key', bytes('2'), { ifGeneration: first.generation });
      expect(second.generation).not.toBe(first.generation);
      expect(await readText(at.storage, 'key')).toBe('2');
    });

    it('does not write at a generation that is gone', async () => {
      const first = await at.storage.put('key', bytes('1'));
      await at.storage.put('key', bytes('2'));
      await expect(
        at.storage.put('key', bytes('3'), { ifGeneration: first.generation }),
      ).rejects.toMatchObject(CONFLICT);
      expect(await readText(at.storage, 'key')).toBe('2');
      expect(await at.leftovers()).toEqual([]);
    });

    it('does not write at a generation where nothing is', async () => {
      const { generation } = await at.storage.put('key', bytes('1'));
      await at.storage.delete('key');
      await expect(at.storage.put('key', bytes('2'), { ifGeneration: generation })).rejects.toMatchObject(
        CONFLICT,
      );
      await expect(at.storage.put('never', bytes('2'), { ifGeneration: generation })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await keysOfAll(at.storage)).toEqual([]);
    });

    it('lets exactly one of many writers at one generation win', async () => {
      const clients = [at.storage, at.again(), at.again()];
      for (let round = 0; round < 5; round += 1) {
        const { generation } = await at.storage.put('key', bytes('start'));
        const names = Array.from({ length: 9 }, (_, i) => `writer ${i}`);
        const how = await outcomes(
          names.map((name, i) => clients[i % 3]!.put('key', bytes(name), { ifGeneration: generation })),
        );
        expect(how.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect(await readText(at.storage, 'key')).toBe(names[how.indexOf('done')]);
      }
    });

    it('loses no update of those who read, compare and set', async () => {
      const add = async (storage: ObjectStorage): Promise<void> => {
        for (let done = 0; done < 8; ) {
          const before = await storage.stat('counter');
          const value = before ? Number(await readText(storage, 'counter')) : 0;
          const condition = { ifGeneration: before?.generation ?? '0' };
          const [how] = await outcomes([storage.put('counter', bytes(`${value + 1}`), condition)]);
          if (how === 'done') done += 1;
        }
      };
      await Promise.all([at.storage, at.again(), at.again()].map(add));
      expect(await readText(at.storage, 'counter')).toBe('24');
    });

    it('deletes at the generation that is there, and at no other', async () => {
      const first = await at.storage.put('key', bytes('1'));
      const second = await at.storage.put('key', bytes('2'));
      await expect(at.storage.delete('key', { ifGeneration: first.generation })).rejects.toMatchObject(
        CONFLICT,
      );
      expect(await readText(at.storage, 'key')).toBe('2');
      await at.storage.delete('key', { ifGeneration: second.generation });
      expect(await at.storage.stat('key')).toBeUndefined();
    });

    it('does not delete at a generation where nothing is', async () => {
      const { generation } = await at.storage.put('key', bytes('1'));
      await at.storage.delete('key', { ifGeneration: generation });
      await expect(at.storage.delete('key', { ifGeneration: generation })).rejects.toMatchObject(CONFLICT);
    });

    it('deletes or writes, when both are tried at one generation', async () => {
      for (let round = 0; round < 5; round += 1) {
        const { generation } = await at.storage.put('key', bytes('start'));
        const how = await outcomes([
          at.storage.delete('key', { ifGeneration: generation }),
          at.again().put('key', bytes('written'), { ifGeneration: generation }),
        ]);
        expect([...how].sort()).toEqual(['CONFLICT', 'done']);
        const left = await at.storage.stat('key');
        expect(left === undefined).toBe(how[0] === 'done');
      }
    });
  });

  describe('a generation', () => {
    const at = opened(harness);

    it('is another one after each write, also of the same content', async () => {
      const seen = new Set<string>();
      await writeFile(join(at.folder, 'file'), 'same');
      for (let i = 0; i < 30; i += 1) {
        const body = i % 2 === 0 ? bytes('same') : { file: join(at.folder, 'file') };
        seen.add((await at.storage.put('key', body)).generation);
      }
      expect(seen.size).toBe(30);
    });

    it('does not come again when a key was deleted and is made anew', async () => {
      const seen = new Set<string>();
      for (let i = 0; i < 20; i += 1) {
        const { generation } = await at.storage.put('key', bytes('same'), { createOnly: true });
        seen.add(generation);
        await at.storage.delete('key');
      }
      expect(seen.size).toBe(20);
    });

    it('stays while nobody writes', async () => {
      const { generation } = await at.storage.put('key', bytes('x'));
      await readText(at.storage, 'key');
      await at.storage.put('other', bytes('x'));
      await at.storage.copy('key', 'copy');
      expect((await at.again().stat('key'))?.generation).toBe(generation);
    });
  });
}
