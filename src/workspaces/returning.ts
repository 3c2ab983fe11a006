import { mkdir, rename, rm } from 'node:fs/promises';
import type { WorkspaceVersion } from '../core/rows.ts';
import { syncFolder } from '../os/files.ts';
import { findNewestVersion, findSlot, markMounting } from '../store/workspaces.ts';
import { clearSlot } from './hibernation.ts';
import { fillSlot, type Restored, type SlotDeps, slotFolders, writeVersion } from './mounting.ts';
import { entryExists, removeIfEmpty, removeTree, syncTree } from './moves.ts';
import { requireRoom } from './room.ts';
import { clearIndexLeftovers } from './slot-tree.ts';
import type { SavedVersion } from './versioning.ts';

type Returning = { slot: string; workspace: string; message: string };

/**
 * First half of a rollback, under the slot's lock: the files of the version, durable, beside the slot. The slot is
 * untouched; a death before the last rename leaves a folder that the next call removes.
 */
export async function prepareReturn(
  deps: SlotDeps,
  to: { slot: string; version: WorkspaceVersion },
): Promise<void> {
  const { layout, ids } = deps;
  const { returning, returned } = slotFolders(layout, to.slot);
  const index = `${layout.slotIndex(to.slot)}.${ids.reference()}`;
  await removeTree(returning);
  await mkdir(returning, { recursive: true });
  try {
    await writeVersion(deps, { version: to.version, dir: returning, index });
    await rm(index, { force: true });
    await syncTree(returning);
    await requireRoom(layout);
  } catch (error) {
    // They may be what has filled the disk.
    await removeTree(returning);
    await clearIndexLeftovers(layout.slotIndex(to.slot));
    throw error;
  }
  await rename(returning, returned);
  await syncFolder(layout.slots);
}

/**
 * Second half, from wherever a death has left it: the slot is emptied as by a hibernation, what was edited since
 * becoming a version and ignored files going aside; then the claim is marked as unfilled, and the rest is a mount with
 * the prepared files. Until that mark the folder `returned` says what is to be done, after it the mark does; so the
 * slot is never taken for one whose files a person has deleted.
 * Errors: those of `saveVersion`, with the rollback undone, and of `fillSlot`.
 */
export async function finishReturn(
  deps: SlotDeps,
  at: Returning,
): Promise<{ saved: SavedVersion | undefined; restored: Restored }> {
  const { layout, db } = deps;
  const { left, returned, ready } = slotFolders(layout, at.slot);
  const newest = findNewestVersion(db, at.workspace);
  let saved: SavedVersion | undefined = newest && { version: newest, created: false };
  if (findSlot(db, at.slot)?.mountedAt !== null) {
    saved = await clearOrUndo(deps, at);
    markMounting(db, at.slot);
  }
  await removeIfEmpty(left);
  // It is of files that are gone; the mount makes one of the newest version, which is what edits are told by.
  await rm(layout.slotIndex(at.slot), { force: true });
  await rename(returned, ready);
  return { saved, restored: await fillSlot(deps, at.slot, at.workspace) };
}

async function clearOrUndo(deps: SlotDeps, at: Returning): Promise<SavedVersion> {
  const folders = slotFolders(deps.layout, at.slot);
  try {
    return await clearSlot(deps, at);
  } catch (error) {
    const untouched = !(await entryExists(folders.leaving)) && !(await entryExists(folders.left));
    if (untouched) await removeTree(folders.returned);
    throw error;
  }
}
