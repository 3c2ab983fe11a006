import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeScratch, removeTree } from '../../src/backends/materialise-inputs.ts';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'goldfish-remove-'));
});
afterEach(() => execFileSync('rm', ['-rf', home]));

/** 600 folders of 20 letters in one another: three times as long as a path may be. */
const NEST = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(600):
    os.mkdir('x' * 20); os.chdir('x' * 20)
open('deep', 'w').close()
os.chmod('.', 0o500)
`;

it('removes folders nested deeper than a path may be long, and follows no link out of them', async () => {
  const outside = join(home, 'outside');
  await writeFile(outside, 'kept');
  const tree = join(home, 'tree');
  await mkdir(join(tree, 'closed'), { recursive: true, mode: 0o500 });
  await symlink(home, join(tree, 'link'));
  execFileSync('python3', ['-c', NEST, tree]);
  await removeTree(tree);
  expect(await readdir(home)).toEqual(['outside']);
});

it('is content with a tree that is not there', async () => {
  await removeTree(join(home, 'nothing'));
});

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

it.skipIf(!canMount)(
  `leaves what is mounted in scratch as it is, removes the rest and does not fail${canMount ? '' : ' (needs the right to mount: run as root)'}`,
  async () => {
    const tree = join(home, 'tree');
    const mounted = join(tree, 'a', 'mounted');
    await mkdir(mounted, { recursive: true });
    await writeFile(join(tree, 'b'), 'x');
    await mkdir(join(home, 'other'));
    execFileSync('mount', ['-t', 'tmpfs', 'none', mounted]);
    try {
      await writeFile(join(mounted, 'theirs'), 'x');
      await expect(removeTree(tree)).rejects.toThrow();
      await removeScratch([tree, join(home, 'other')]);
      expect(await readdir(mounted)).toEqual(['theirs']);
      expect(await readdir(tree)).toEqual(['a']);
      expect(await readdir(home)).toEqual(['tree']);
    } finally {
      execFileSync('umount', [mounted]);
    }
    await removeTree(tree);
    expect(await readdir(home)).toEqual([]);
  },
);
