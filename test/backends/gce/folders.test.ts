import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packFolder } from '../../../src/backends/gce/pack-folder.ts';
import { BadArchive, unpackFolder } from '../../../src/backends/gce/unpack-folder.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'goldfish-folders-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

it('packs a folder and unpacks the same again, wherever it lay', async () => {
  const folder = join(home, 'folder');
  mkdirSync(join(folder, 'sub', 'empty'), { recursive: true });
  writeFileSync(join(folder, 'sub', 'ä b.txt'), 'text');
  writeFileSync(join(folder, 'run'), '#!/bin/sh');
  chmodSync(join(folder, 'run'), 0o755);
  symlinkSync('sub/ä b.txt', join(folder, 'link'));
  const [one, two] = [join(home, 'one.tar'), join(home, 'two.tar')];
  await packFolder(folder, one);
  await packFolder(folder, two);
  expect(readFileSync(one).equals(readFileSync(two))).toBe(true);

  const made = join(home, 'made');
  await unpackFolder(one, made);
  expect(readdirSync(made, { recursive: true }).sort()).toEqual(
    ['link', 'run', 'sub', 'sub/empty', 'sub/ä b.txt'].sort(),
  );
  expect(readFileSync(join(made, 'sub', 'ä b.txt'), 'utf8')).toBe('text');
  expect(lstatSync(join(made, 'run')).mode & 0o777).toBe(0o700);
  expect(readlinkSync(join(made, 'link'))).toBe('sub/ä b.txt');
});

async function archive(
  entries: readonly (Partial<Header> & { name: string; text?: string })[],
): Promise<string> {
  const tar = pack();
  const whole = buffer(tar);
  for (const { text = '', ...header } of entries) tar.entry(header, text);
  tar.finalize();
  const file = join(home, 'archive.tar');
  writeFileSync(file, await whole);
  return file;
}

describe('an archive of a machine', () => {
  it.each([
    ['a path that leads out', [{ name: '../out', text: 'x' }]],
    ['an absolute path', [{ name: '/etc/out', text: 'x' }]],
    ['a path through nothing', [{ name: 'a//b', text: 'x' }]],
    ['a link that leads out', [{ name: 'l', type: 'symlink', linkname: '../..' }]],
    ['an absolute link', [{ name: 'l', type: 'symlink', linkname: '/etc/passwd' }]],
    [
      'a file behind a link',
      [
        { name: 'l', type: 'symlink', linkname: 'sub' },
        { name: 'l/f', text: 'x' },
      ],
    ],
    [
      'a link behind a link',
      [
        { name: 'l', type: 'symlink', linkname: 'sub' },
        { name: 'l/m', type: 'symlink', linkname: 'x' },
      ],
    ],
    [
      'a file twice',
      [
        { name: 'f', text: 'x' },
        { name: 'f', text: 'y' },
      ],
    ],
    ['a device', [{ name: 'd', type: 'character-device' }]],
    ['a hard link', [{ name: 'h', type: 'link', linkname: 'f' }]],
  ] as const)('with %s is refused, and nothing of it is there', async (_what, entries) => {
    const file = await archive(entries as never);
    const folder = join(home, 'made');
    await expect(unpackFolder(file, folder)).rejects.toThrow(BadArchive);
    expect(readdirSync(home).filter((name) => name === 'made' || name === 'out')).toEqual([]);
  });

  it('that is cut short is refused', async () => {
    const file = await archive([{ name: 'f', text: 'x'.repeat(5_000) }]);
    writeFileSync(file, readFileSync(file).subarray(0, 2_000));
    await expect(unpackFolder(file, join(home, 'made'))).rejects.toThrow(BadArchive);
  });
});
