import type { Dirent } from 'node:fs';
import { chmod, cp, lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { syncFolder } from '../os/files.ts';

/** Files forced to disk in parallel share commits of the journal: 1,000 take 0.3 s. */
const SYNCED_AT_ONCE = 32;

export async function entryExists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function isFolder(path: string): Promise<boolean> {
  return lstat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  );
}

export async function isEmptyOrMissing(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
}

/**
 * Moves a file, link or folder to a path that is free. Links are moved, never followed. Where the two lie on
 * different file systems it is copied, made durable, put in place whole and only then removed at its old place.
 */
export async function moveEntry(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  try {
    await rename(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error;
    await copyAcross(from, to);
    await rm(from, { recursive: true, force: true });
  }
}

async function copyAcross(from: string, to: string): Promise<void> {
  const temporary = `${to}.goldfish-moving`;
  await rm(temporary, { recursive: true, force: true });
  // Pipes and sockets cannot be copied and hold no data.
  const filter = async (path: string): Promise<boolean> => {
    const stat = await lstat(path);
    return stat.isFile() || stat.isDirectory() || stat.isSymbolicLink();
  };
  await cp(from, temporary, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true, filter });
  if (!(await entryExists(temporary))) return;
  await syncTree(temporary);
  await rename(temporary, to);
  await syncFolder(dirname(to));
}

/** Forces a file, or a folder with all below it, to the disk. */
export async function syncTree(path: string): Promise<void> {
  const stat = await lstat(path);
  if (stat.isDirectory()) {
    const names = await readdir(path);
    for (let start = 0; start < names.length; start += SYNCED_AT_ONCE) {
      const batch = names.slice(start, start + SYNCED_AT_ONCE);
      await Promise.all(batch.map((name) => syncTree(join(path, name))));
    }
    await syncFolder(path);
  } else if (stat.isFile()) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** What to do where both sides have something: leave the source where it is, or rename what is there. */
type Collision = 'leave' | 'set_aside';

/** Paths relative to the folder moved into; a folder moved as a whole is named once, with a slash. */
export type Merged = { moved: string[]; left: string[] };

/**
 * Moves everything below `from` to the same place below `to`, folder by folder; what is there is never overwritten.
 * Called again in any state a death can leave behind, it does the rest.
 */
export async function mergeInto(from: string, to: string, collision: Collision): Promise<Merged> {
  const merged: Merged = { moved: [], left: [] };
  const names = await readdir(from).catch(() => []);
  for (const path of names) await mergeEntry({ from, to, path, collision }, merged);
  await removeIfEmpty(from);
  return merged;
}

/** The same for one path below both, noting in `merged` what became of it. */
export async function mergeEntry(
  entry: { from: string; to: string; path: string; collision: Collision },
  merged: Merged,
): Promise<void> {
  const { path, collision } = entry;
  const source = join(entry.from, path);
  const target = join(entry.to, path);
  if ((await isFolder(source)) && (await isFolder(target))) {
    for (const name of await readdir(source)) await mergeEntry({ ...entry, path: join(path, name) }, merged);
    await removeIfEmpty(source);
    return;
  }
  if (await entryExists(target)) {
    if (collision === 'leave') {
      merged.left.push(path);
      return;
    }
    await moveEntry(target, await freeName(target));
  }
  await moveEntry(source, target);
  merged.moved.push((await isFolder(target)) ? `${path}/` : path);
}

async function freeName(path: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const candidate = `${path}.older-${n}`;
    if (!(await entryExists(candidate))) return candidate;
  }
}

export async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = errnoOf(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error;
  }
}

/** Removes what is in a folder, which stays, and is made where it is not there. */
export async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) await removeTree(join(folder, name));
}

/** Removes a folder that may be read only all through. */
export async function removeTree(folder: string): Promise<void> {
  const open = async (path: string): Promise<void> => {
    await chmod(path, 0o700);
    const entries: Dirent[] = await readdir(path, { withFileTypes: true });
    for (const entry of entries) if (entry.isDirectory()) await open(join(path, entry.name));
  };
  if (await isFolder(folder)) await open(folder);
  await rm(folder, { recursive: true, force: true });
}
