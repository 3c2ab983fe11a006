import { describe, expect, it } from 'vitest';
import type { StorageHarness } from './object-storage.ts';
import { bytes, CONFLICT, keysOfAll, opened, readText } from './object-storage-kit.ts';

/** Each breaks one rule of a key. */
const BAD: readonly string[] = [
  '',
  '/',
  '/etc/passwd',
  '../x',
  'a/../../x',
  'a/..',
  './a',
  'a/./b',
  'a//b',
  'a/',
  'a\\b',
  'a\0b',
  'a\nb',
  'x'.repeat(256),
  `${'y/'.repeat(600)}z`,
  'broken\ud800',
];

const GOOD: readonly string[] = [
  'a',
  '...',
  '-rf',
  'a b/ü 🐟.csv',
  '.hidden/..x',
  'x'.repeat(255),
  `${'d/'.repeat(100)}leaf`,
];

/** Short enough for a title. */
function named(key: string): [string, string] {
  const json = JSON.stringify(key);
  return [json.length > 40 ? `${json.slice(0, 20)}… of ${key.length} characters` : json, key];
}

export function keysOf(harness: StorageHarness): void {
  describe('a key', () => {
    const at = opened(harness);

    it.each(BAD.map(named))('is not %s', async (_name, key) => {
      await at.storage.put('there', bytes('x'));
      const refused = { code: 'PATH_OUTSIDE_ROOT' };
      await expect(at.storage.put(key, bytes('x'))).rejects.toMatchObject(refused);
      await expect(at.storage.get(key)).rejects.toMatchObject(refused);
      await expect(at.storage.stat(key)).rejects.toMatchObject(refused);
      await expect(at.storage.delete(key)).rejects.toMatchObject(refused);
      await expect(at.storage.copy('there', key)).rejects.toMatchObject(refused);
      await expect(at.storage.copy(key, 'copy')).rejects.toMatchObject(refused);
      expect(() => at.storage.localPath(key)).toThrow('is no key of a stored object');
      expect(await keysOfAll(at.storage)).toEqual(['there']);
    });

    it.each(GOOD.map(named))('may be %s', async (_name, key) => {
      await at.storage.put(key, bytes(key));
      expect(await readText(at.storage, key)).toBe(key);
      expect(await keysOfAll(at.storage)).toEqual([key]);
      await at.storage.copy(key, key);
      await at.storage.delete(key);
      expect(await at.storage.stat(key)).toBeUndefined();
    });

    it('is its bytes: neither case nor the composition of letters make two keys one', async () => {
      const keys = ['\u00e9', 'e\u0301', 'E', 'e'];
      for (const key of keys) await at.storage.put(key, bytes(key));
      expect(await Promise.all(keys.map((key) => readText(at.storage, key)))).toEqual(keys);
      expect(await keysOfAll(at.storage)).toHaveLength(4);
    });

    it('below another is stored beside it or refused, and the other one stays', async () => {
      await at.storage.put('a', bytes('1'));
      await at.storage.put('b/c', bytes('2'));
      for (const [key, condition] of [
        ['a/x', {}],
        ['b', {}],
        ['a/y', { createOnly: true }],
      ] as const) {
        const stored = await at.storage.put(key, bytes('new'), condition).catch((error: unknown) => error);
        if (stored instanceof Error) expect(stored, key).toMatchObject(CONFLICT);
        else expect(await readText(at.storage, key)).toBe('new');
      }
      expect(await readText(at.storage, 'a')).toBe('1');
      expect(await readText(at.storage, 'b/c')).toBe('2');
      expect(await at.leftovers()).toEqual([]);
    });
  });
}
