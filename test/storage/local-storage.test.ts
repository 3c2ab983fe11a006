import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';

let home: string;
let storage: ObjectStorage;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-storage-'));
  storage = createLocalStorage({ dir: join(home, 'objects') });
});
afterEach(() => rm(home, { recursive: true, force: true }));

const bytes = (content: string): Buffer => Buffer.from(content);
const read = async (key: string): Promise<string> => text(await storage.get(key));
const leftovers = (): Promise<string[]> => readdir(join(home, 'objects', '.goldfish-tmp')).catch(() => []);

describe('putting and getting', () => {
  it('gives back bytes, streams and files exactly', async () => {
    const binary = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256));
    await storage.put('a/bytes', binary);
    await storage.put('a/stream', Readable.from([binary.subarray(0, 10), binary.subarray(10)]));
    await writeFile(join(home, 'file'), binary);
    await storage.put('a/file', { file: join(home, 'file') });
    for (const key of ['a/bytes', 'a/stream', 'a/file']) {
      expect((await buffer(await storage.get(key))).equals(binary), key).toBe(true);
      expect((await storage.stat(key))?.size).toBe(100_000);
    }
    await storage.put('empty', bytes(''));
    expect(await read('empty')).toBe('');
    expect(await leftovers()).toEqual([]);
  });

  it('keeps objects read-only', async () => {
    await storage.put('key', bytes('x'));
    expect((await stat(storage.localPath('key')!)).mode & 0o777).toBe(0o444);
  });

  it('links a file of the state folder, and copies one from outside or with a second name', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'goldfish-outside-'));
    await writeFile(join(home, 'output'), 'inside');
    await writeFile(join(outside, 'data'), 'outside');
    await storage.put('linked', { file: join(home, 'output') });
    await storage.put('again', { file: join(home, 'output') });
    await storage.put('copied', { file: join(outside, 'data') });
    const inode = async (path: string): Promise<number> => (await stat(path)).ino;
    expect(await inode(storage.localPath('linked')!)).toBe(await inode(join(home, 'output')));
    expect(await inode(storage.localPath('again')!)).not.toBe(await inode(join(home, 'output')));
    expect(await inode(storage.localPath('copied')!)).not.toBe(await inode(join(outside, 'data')));
    expect((await stat(join(outside, 'data'))).mode & 0o200).toBe(0o200);
    await rm(outside, { recursive: true });
  });

  it('replaces an object whole, while a reader of the old one finishes with the old one', async () => {
    await storage.put('key', bytes('old '.repeat(100_000)));
    const reader = await storage.get('key');
    await storage.put('key', bytes('new'));
    expect(await text(reader)).toBe('old '.repeat(100_000));
    expect(await read('key')).toBe('new');
  });

  it('leaves nothing of a write whose source fails or that is aborted', async () => {
    const failing = Readable.from(
      (async function* () {
        yield bytes('first');
        throw new Error('the source broke');
      })(),
    );
    await expect(storage.put('key', failing)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    const abort = new AbortController();
    abort.abort();
    await expect(storage.put('key', bytes('x'), { signal: abort.signal })).rejects.toThrow();
    expect(await storage.stat('key')).toBeUndefined();
    expect(await leftovers()).toEqual([]);
  });

  it('says of a missing object that it is missing, wherever it is asked for', async () => {
    await storage.put('folder/key', bytes('x'));
    for (const key of ['nothing', 'folder', 'folder/key/below']) {
      await expect(storage.get(key), key).rejects.toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        details: { missing: true },
      });
      expect(await storage.stat(key), key).toBeUndefined();
      await storage.delete(key);
    }
    await expect(storage.copy('nothing', 'x')).rejects.toMatchObject({ details: { missing: true } });
    await expect(storage.put('x', { file: join(home, 'no-file') })).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
    });
  });

  it('does not follow a link somebody put among the objects', async () => {
    await storage.put('real', bytes('x'));
    await writeFile(join(home, 'secret'), 'secret');
    await symlink(join(home, 'secret'), join(home, 'objects', 'link'));
    await expect(storage.get('link')).rejects.toMatchObject({ details: { missing: true } });
    expect((await storage.list('')).objects.map((object) => object.key)).toEqual(['real']);
  });

  it('copies an object as one of its own', async () => {
    const first = await storage.put('from', bytes('content'));
    const second = await storage.copy('from', 'deep/to');
    expect(second).toMatchObject({ key: 'deep/to', size: 7 });
    await storage.delete('from');
    expect(await read('deep/to')).toBe('content');
    expect(second.generation).not.toBe(first.generation);
  });

  it('refuses a key that is the folder of another, or below another', async () => {
    await storage.put('a', bytes('1'));
    await storage.put('b/c', bytes('2'));
    for (const condition of [{}, { createOnly: true }]) {
      await expect(storage.put('a/below', bytes('x'), condition)).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(storage.put('b', bytes('x'), condition)).rejects.toMatchObject({ code: 'CONFLICT' });
    }
    expect(await read('a')).toBe('1');
  });
});

describe('keys', () => {
  it.each([
    '',
    '/',
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a/..',
    './a',
    'a//b',
    'a/',
    'a\\b',
    'a\0b',
    'a\nb',
    'x'.repeat(256),
    `${'y/'.repeat(600)}z`,
    '.goldfish-tmp/x',
    '.goldfish-locks',
    'broken\ud800',
  ])('refuses %j', async (key) => {
    await storage.put('there', bytes('x'));
    const refused = { code: 'PATH_OUTSIDE_ROOT' };
    await expect(storage.put(key, bytes('x'))).rejects.toMatchObject(refused);
    await expect(storage.get(key)).rejects.toMatchObject(refused);
    await expect(storage.stat(key)).rejects.toMatchObject(refused);
    await expect(storage.delete(key)).rejects.toMatchObject(refused);
    await expect(storage.copy('there', key)).rejects.toMatchObject(refused);
    expect(() => storage.localPath(key)).toThrow('is no key of a stored object');
  });

  it.each(['a', '...', '-rf', 'a b/ü 🐟.csv', '.hidden/..x', 'x'.repeat(255), `${'d/'.repeat(100)}leaf`])(
    'accepts %j',
    async (key) => {
      await storage.put(key, bytes(key));
      expect(await read(key)).toBe(key);
      expect((await storage.list('')).objects.map((object) => object.key)).toEqual([key]);
    },
  );
});

describe('conditions', () => {
  it('creates only where nothing is', async () => {
    await storage.put('key', bytes('first'), { createOnly: true });
    for (const condition of [{ createOnly: true }, { ifGeneration: '0' }]) {
      await expect(storage.put('key', bytes('second'), condition)).rejects.toMatchObject({
        code: 'CONFLICT',
        message: 'A stored object "key" exists already.',
      });
    }
    expect(await read('key')).toBe('first');
    expect(await leftovers()).toEqual([]);
  });

  it('changes the generation with every write, also of the same file again', async () => {
    const seen = new Set<string>();
    await writeFile(join(home, 'output'), 'same');
    for (let i = 0; i < 50; i += 1) {
      const { generation } = await storage.put(
        'key',
        i % 2 === 0 ? bytes('same') : { file: join(home, 'output') },
      );
      expect((await storage.stat('key'))?.generation).toBe(generation);
      seen.add(generation);
      if (i % 3 === 0) await storage.delete('key');
    }
    expect(seen.size).toBe(50);
  });

  it('writes and deletes at a generation only', async () => {
    const first = await storage.put('key', bytes('1'));
    const second = await storage.put('key', bytes('2'), { ifGeneration: first.generation });
    await expect(storage.put('key', bytes('3'), { ifGeneration: first.generation })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'The stored object "key" has changed meanwhile.',
    });
    await expect(storage.delete('key', { ifGeneration: first.generation })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    expect(await read('key')).toBe('2');
    await storage.delete('key', { ifGeneration: second.generation });
    expect(await storage.stat('key')).toBeUndefined();
    await expect(storage.delete('key', { ifGeneration: second.generation })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
  });
});

describe('listing', () => {
  it('pages in the order of the bytes of keys, and a prefix is text', async () => {
    const keys = ['a', 'a-b', 'a/b', 'a/c/d', 'a0', 'ab', 'b/x', 'z', 'Ü', '🐟', '\uffee'];
    // `a` cannot be an object and a folder.
    const stored = keys.filter((key) => key !== 'a');
    for (const key of stored) await storage.put(key, bytes(key));
    const sorted = [...stored].sort((a, b) => Buffer.compare(bytes(a), bytes(b)));
    const paged: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Awaited<ReturnType<ObjectStorage['list']>> = await storage.list('', { cursor, limit: 3 });
      expect(page.objects.length).toBeLessThanOrEqual(3);
      paged.push(...page.objects.map((object) => object.key));
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(sorted);
    const below = async (prefix: string): Promise<string[]> =>
      (await storage.list(prefix)).objects.map((object) => object.key);
    expect(await below('a/')).toEqual(['a/b', 'a/c/d']);
    expect(await below('a')).toEqual(['a-b', 'a/b', 'a/c/d', 'a0', 'ab']);
    expect(await below('a/c/d')).toEqual(['a/c/d']);
    expect(await below('nothing/here')).toEqual([]);
  });

  it('is empty before anything was written, and ends exactly at a full page', async () => {
    expect(await storage.list('')).toEqual({ objects: [], nextCursor: null });
    await storage.put('1', bytes('x'));
    await storage.put('2', bytes('x'));
    expect((await storage.list('', { limit: 2 })).nextCursor).toBeNull();
    await mkdir(join(home, 'objects', 'empty folder'));
    expect((await storage.list('')).objects).toHaveLength(2);
  });
});

it('never names a folder of the machine in a message', async () => {
  const blocked = createLocalStorage({ dir: join(home, 'file', 'objects') });
  await writeFile(join(home, 'file'), 'x');
  const error = await blocked.put('key', bytes('x')).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: expect.stringMatching(/STORAGE_UNAVAILABLE|CONFLICT/) });
  expect(`${(error as Error).message}`).not.toContain(home);
  expect(await readFile(join(home, 'file'), 'utf8')).toBe('x');
});
