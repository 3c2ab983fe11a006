import { copyFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { Git, GitPlace } from './git.ts';
import type { SlotProblem } from './slot-problems.ts';
import { type SlotFolder, scanSlot } from './slot-scan.ts';
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
  const next = { ...slot, index: nextIndex };
  const here = { ...place, index: nextIndex, workTree: slot.dir };
  await copyIndex(slot.index, nextIndex);
  let scan = await scanSlot(next).catch(async () => {
    // A broken index (a power cut, a stray hand) costs only the time to read every file anew.
    await rm(nextIndex, { force: true });
    return scanSlot(next);
  });
  if (scan.nowIgnored.length > 0) {
    await updateIndex(slot.git, '--force-remove', scan.nowIgnored, here);
    scan = await scanSlot(next);
  }
  const unfit = new Set(scan.problems.map((problem) => problem.path));
  // First what goes: a folder may have taken the place of a file.
  await updateIndex(slot.git, '--force-remove', scan.gone, here);
  const storable = scan.present.filter((path) => !unfit.has(path));
  await updateIndex(slot.git, '--replace', storable, here);
  const written = (await slot.git.text(['write-tree'], here)).trim();
  const tree = await addEmptyFolders(slot.git, written, scan.emptyFolders, here);
  return { tree, problems: scan.problems };
}

async function updateIndex(
  git: Git,
  action: '--force-remove' | '--replace',
  paths: readonly string[],
  place: GitPlace,
): Promise<void> {
  if (paths.length === 0) return;
  const input = paths.map((path) => `${path}\0`).join('');
  await git.text(['update-index', '--add', '--remove', action, '-z', '--stdin'], { ...place, input });
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
