import { copyFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { Git, GitPlace } from './git.ts';
import type { SlotProblem } from './slot-problems.ts';
import { type SlotFolder, type SlotScan, scanSlot } from './slot-scan.ts';
import { addEmptyFolders } from './trees.ts';

/** The tree of a slot as it is now, with what could not be stored and is left out of it. */
export type StagedSlot = { tree: string; problems: SlotProblem[] };

/**
 * Writes what the slot holds into the store and names its tree. The slot's index is left as it is: its successor
 * becomes the index by `keepIndex` once the version is recorded, so the index never runs ahead of the versions.
 * With `problems`, who saves must refuse.
 * @param nextIndex  a fresh path: children of a killed process may still write to an older successor
 */
export async function stageSlot(
  slot: SlotFolder,
  nextIndex: string,
  place: GitPlace = {},
): Promise<StagedSlot> {
  await copyIndex(slot.index, nextIndex);
  const next = { ...slot, index: nextIndex };
  const here = { ...place, index: nextIndex, workTree: slot.dir };
  let scan = await scanSlot(next);
  if (scan.nowIgnored.length > 0) {
    await forget(slot.git, scan.nowIgnored, here);
    scan = await scanSlot(next);
  }
  await add(slot.git, storable(scan), here);
  const written = (await slot.git.text(['write-tree'], here)).trim();
  const tree = await addEmptyFolders(slot.git, written, scan.emptyFolders, here);
  return { tree, problems: scan.problems };
}

function storable(scan: SlotScan): string[] {
  const unfit = new Set(scan.problems.map((problem) => problem.path));
  return scan.changed.filter((path) => !unfit.has(path));
}

function withNul(paths: readonly string[]): string {
  return paths.map((path) => `${path}\0`).join('');
}

async function add(git: Git, paths: readonly string[], place: GitPlace): Promise<void> {
  if (paths.length === 0) return;
  // --replace: a file may have become a folder, or a folder a file.
  const args = ['update-index', '--add', '--remove', '--replace', '-z', '--stdin'];
  await git.text(args, { ...place, input: withNul(paths) });
}

async function forget(git: Git, paths: readonly string[], place: GitPlace): Promise<void> {
  await git.text(['update-index', '--force-remove', '-z', '--stdin'], { ...place, input: withNul(paths) });
}

/**
 * The copy keeps the index's time, rounded down: git compares entries with it to see which files may have changed
 * within one tick of the clock, and a later time would hide such a change.
 */
async function copyIndex(index: string, copy: string): Promise<void> {
  try {
    const { mtimeMs } = await stat(index);
    await copyFile(index, copy);
    const seconds = Math.floor(mtimeMs / 1000);
    await utimes(copy, seconds, seconds);
  } catch (error) {
    // Without an index everything is read anew.
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

export async function keepIndex(index: string, nextIndex: string): Promise<void> {
  await rename(nextIndex, index);
}

/** Removes what dead processes left beside the index. To be called under the slot's lock. */
export async function clearIndexLeftovers(index: string): Promise<void> {
  const name = basename(index);
  const entries = await readdir(dirname(index)).catch(() => []);
  const leftovers = entries.filter((entry) => entry.startsWith(`${name}.`));
  await Promise.all(leftovers.map((entry) => rm(join(dirname(index), entry), { force: true })));
}
