import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../core/errors.ts';
import { LOCK_FOLDER, TEMPORARY_FOLDER } from '../object-key.ts';

/**
 * Keys under a prefix, after a cursor, in the order of their UTF-8 bytes (that of buckets). Folders that cannot hold
 * a wanted key are not read. The prefix is text: `ab` matches `abc/d` too.
 */
export async function* listKeys(
  dir: string,
  wanted: { prefix: string; after: string },
  folder = '',
): AsyncGenerator<string> {
  for (const entry of await sortedEntries(join(dir, folder))) {
    const key = folder + entry.name;
    if (entry.isFile()) {
      if (key.startsWith(wanted.prefix) && compareBytes(key, wanted.after) > 0) yield key;
      continue;
    }
    if (!entry.isDirectory() || key === TEMPORARY_FOLDER || key === LOCK_FOLDER) continue;
    const below = `${key}/`;
    const mayMatch = below.startsWith(wanted.prefix) || wanted.prefix.startsWith(below);
    // Every key below is greater than `below` and begins with it.
    const passed = compareBytes(below, wanted.after) < 0 && !wanted.after.startsWith(below);
    if (mayMatch && !passed) yield* listKeys(dir, wanted, below);
  }
}

/** A folder sorts as its keys do: with its slash. */
async function sortedEntries(folder: string): Promise<Dirent[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    // Not there yet, or removed while we walk.
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  const sortName = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  return entries.sort((a, b) => compareBytes(sortName(a), sortName(b)));
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
