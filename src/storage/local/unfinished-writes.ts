import { lstat, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../../core/errors.ts';
import type { UnfinishedWrites } from '../port.ts';

/** Temporary files of processes that died while they wrote. */
export function unfinishedWrites(folder: string): UnfinishedWrites {
  return {
    list: async (before) => {
      const names = await readdir(folder).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      });
      const found: { name: string; size: number; since: number }[] = [];
      for (const name of names) {
        const stat = await lstat(join(folder, name)).catch(() => undefined);
        // The time of change, because a linked file brings along when it was written.
        if (stat && stat.ctimeMs < before) found.push({ name, size: stat.size, since: stat.ctimeMs });
      }
      return found;
    },
    remove: (name) => rm(join(folder, basename(name)), { force: true }),
  };
}
