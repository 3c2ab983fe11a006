import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../../../src/core/errors.ts';

export const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
export const NEEDS_MOUNT = canMount ? '' : ' (needs the right to mount: run as root)';

const PIECE = Buffer.alloc(1 << 20, 'x');

export type SmallDisk = {
  path: string;
  freeBytes(): number;
  /** Takes all room there is but so much; what others free meanwhile is taken by the next call. */
  fill(leave?: number): void;
  /** Gives back what was taken. */
  free(): void;
  dispose(): void;
};

/** A disk of its own that is full when the test says so. */
export function createSmallDisk(megabytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'goldfish-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'none', path]);
  const ballast = join(path, 'ballast');
  const freeBytes = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  return {
    path,
    freeBytes,
    fill: (leave = 0) => {
      const file = openSync(ballast, 'a');
      try {
        for (let left = freeBytes() - leave; left > 0; left = freeBytes() - leave) {
          writeSync(file, PIECE, 0, Math.min(left, PIECE.length));
        }
      } catch (error) {
        if (errnoOf(error) !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    dispose: () => {
      // Whoever still stands in it must not keep the next test from its own.
      if (spawnSync('umount', [path]).status !== 0) spawnSync('umount', ['--lazy', path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
