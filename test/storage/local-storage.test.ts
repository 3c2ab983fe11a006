import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';

/** What the local storage promises beyond the contract, which test/contracts/object-storage-local.test.ts runs. */

let home: string;
let storage: ObjectStorage;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-storage-'));
  storage = createLocalStorage({ dir: join(home, 'objects') });
});
afterEach(() => rm(home, { recursive: true, force: true }));

const bytes = (content: string): Buffer => Buffer.from(content);

it('keeps objects as plain read-only files named by their keys', async () => {
  await storage.put('a/key', bytes('content'));
  const path = join(home, 'objects', 'a', 'key');
  expect(storage.localPath('a/key')).toBe(path);
  expect(await readFile(path, 'utf8')).toBe('content');
  expect((await stat(path)).mode & 0o777).toBe(0o444);
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
  await rm(outside, { recursive: true });
});

it('writes an object anew by a copy onto itself without writing its bytes', async () => {
  await storage.put('key', bytes('content'));
  const before = await stat(storage.localPath('key')!);
  await storage.copy('key', 'key');
  const after = await stat(storage.localPath('key')!);
  expect(after.ino).toBe(before.ino);
  expect(after.mtimeMs).not.toBe(before.mtimeMs);
});

it('does not follow a link somebody put among the objects', async () => {
  await storage.put('real', bytes('x'));
  await writeFile(join(home, 'secret'), 'secret');
  await symlink(join(home, 'secret'), join(home, 'objects', 'link'));
  await expect(storage.get('link')).rejects.toMatchObject({ details: { missing: true } });
  expect((await storage.list('')).objects.map((object) => object.key)).toEqual(['real']);
});

it('refuses a key that is the folder of another, or below another', async () => {
  await storage.put('a', bytes('1'));
  await storage.put('b/c', bytes('2'));
  for (const condition of [{}, { createOnly: true }]) {
    await expect(storage.put('a/below', bytes('x'), condition)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(storage.put('b', bytes('x'), condition)).rejects.toMatchObject({ code: 'CONFLICT' });
  }
  expect(await text(await storage.get('a'))).toBe('1');
});

it.each(['.goldfish-tmp/x', '.goldfish-locks'])('refuses %j, where its own files are', async (key) => {
  const refused = { code: 'PATH_OUTSIDE_ROOT' };
  await expect(storage.put(key, bytes('x'))).rejects.toMatchObject(refused);
  await expect(storage.get(key)).rejects.toMatchObject(refused);
  await storage.put('.goldfish-tmp2', bytes('x'));
  await storage.put('a/.goldfish-tmp', bytes('x'));
  expect((await storage.list('')).objects).toHaveLength(2);
});

it('does not list folders, with or without objects', async () => {
  await storage.put('a/b', bytes('x'));
  await mkdir(join(home, 'objects', 'empty folder'));
  expect((await storage.list('')).objects.map((object) => object.key)).toEqual(['a/b']);
  expect(await readdir(join(home, 'objects', '.goldfish-tmp'))).toEqual([]);
});

it('never names a folder of the machine in a message', async () => {
  const blocked = createLocalStorage({ dir: join(home, 'file', 'objects') });
  await writeFile(join(home, 'file'), 'x');
  const error = await blocked.put('key', bytes('x')).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: expect.stringMatching(/STORAGE_UNAVAILABLE|CONFLICT/) });
  expect(`${(error as Error).message}`).not.toContain(home);
  expect(await readFile(join(home, 'file'), 'utf8')).toBe('x');
});
