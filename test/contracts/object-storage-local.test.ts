import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';
import { describeObjectStorage, type OpenedStorage } from './object-storage.ts';

/** `dir` of the objects lies in a state folder, from which files are linked. */
async function openLocal(state: string, dispose: () => Promise<void>): Promise<OpenedStorage> {
  const dir = join(state, 'objects');
  const foreign = await mkdtemp(join(tmpdir(), 'goldfish-foreign-'));
  const folder = join(state, 'outputs');
  await mkdir(folder, { recursive: true });
  return {
    storage: createLocalStorage({ dir }),
    again: () => createLocalStorage({ dir }),
    folder,
    foreign,
    fill: async (keys) => {
      await mkdir(dir, { recursive: true });
      for (const key of keys) await writeFile(join(dir, key), key, { mode: 0o444 });
    },
    leftovers: () => readdir(join(dir, '.goldfish-tmp')).catch(() => []),
    dispose: async () => {
      await dispose();
      await rm(foreign, { recursive: true });
    },
  };
}

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

describeObjectStorage('the local storage', {
  open: async () => {
    const state = await mkdtemp(join(tmpdir(), 'goldfish-storage-'));
    return openLocal(state, () => rm(state, { recursive: true }));
  },
  small: canMount
    ? {
        open: async () => {
          const state = await mkdtemp(join(tmpdir(), 'goldfish-small-'));
          const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'none', state]);
          if (mounted.status !== 0) throw new Error('the small file system could not be mounted');
          return openLocal(state, async () => {
            spawnSync('umount', [state]);
            await rm(state, { recursive: true });
          });
        },
      }
    : { needs: 'the right to mount: run as root' },
});
