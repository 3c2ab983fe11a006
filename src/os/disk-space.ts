import { statfsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '../core/errors.ts';

export type DiskSpace = { freeBytes: number; totalBytes: number };

/** What this user may still write on the disk of a path, in bytes. Of one that is not there yet: of what is above it. */
export async function diskSpace(path: string): Promise<DiskSpace> {
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') || dirname(path) === path) throw error;
    return diskSpace(dirname(path));
  }
}

/** The same at once, for decisions within a transaction: the kernel answers without touching the disk. */
export function freeBytesNow(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') || dirname(path) === path) throw error;
    return freeBytesNow(dirname(path));
  }
}
