import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';

const run = promisify(execFile);
const worker = new URL('workers/put-object.ts', import.meta.url).pathname;

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-storage-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

it('lets exactly one of several processes create a key', async () => {
  const dir = join(home, 'objects');
  const names = ['p1', 'p2', 'p3', 'p4'];
  const outputs = await Promise.all(
    names.map((name) => run(process.execPath, [worker, dir, 'create', name])),
  );
  const won = outputs.map(({ stdout }) => JSON.parse(stdout) as string[]);
  expect(won.flat().sort()).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`).sort());
  const storage = createLocalStorage({ dir });
  for (const [index, name] of names.entries()) {
    for (const key of won[index]!) expect(await text(await storage.get(`race/${key}`))).toBe(name);
  }
});

it('loses no update of several processes that compare and set', async () => {
  const dir = join(home, 'objects');
  await Promise.all(['a', 'b', 'c'].map((name) => run(process.execPath, [worker, dir, 'count', name])));
  expect(await text(await createLocalStorage({ dir }).get('counter'))).toBe('75');
});
