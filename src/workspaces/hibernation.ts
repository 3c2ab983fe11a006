import { lstat, mkdir, readdir, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { GoldfishError } from '../core/errors.ts';
import { findNewestVersion, releaseSlot } from '../store/workspaces.ts';
import { type Git, splitNul } from './git.ts';
import { type SlotDeps, slotFolders } from './mounting.ts';
import {
  entryExists,
  type Merged,
  mergeEntry,
  mergeInto,
  moveEntry,
  removeIfEmpty,
  removeTree,
} from './moves.ts';
import { requireRoom } from './room.ts';
import { readTree, type TreeContent } from './trees.ts';
import { type SavedVersion, saveVersion } from './versioning.ts';

type Leaving = { slot: string; workspace: string; message: string };

/**
 * Saves and empties a slot; under its lock. Four steps, each of which a death may interrupt:
 * 1. the files become a version where they are (refused files end it here, with nothing touched);
 * 2. everything is moved to the hidden neighbour `leaving`, out of the reach of editors;
 * 3. what changed in between is saved too, and `leaving` becomes `left`;
 * 4. from `left`, what is as the version holds it is deleted and the rest put aside.
 * Nothing is saved from `left`: with files deleted from it, it is no picture of the workspace any more.
 * Errors: those of `saveVersion`.
 */
export async function leaveSlot(deps: SlotDeps, from: Leaving): Promise<SavedVersion & { aside: string[] }> {
  const { layout } = deps;
  const folders = slotFolders(layout, from.slot);
  const index = layout.slotIndex(from.slot);
  const saved = await saveVersion(deps, { ...from, dir: folders.dir, index, origin: 'manual' });
  await requireRoom(layout);
  await mkdir(folders.leaving, { recursive: true });
  const finished = await emptyLeaving(deps, from);
  return { ...finished, created: saved.created || finished.created };
}

/** Does what there is still to do of a hibernation, from wherever a death has left it. */
export async function emptyLeaving(
  deps: SlotDeps,
  from: Leaving,
): Promise<SavedVersion & { aside: string[] }> {
  const { layout, db } = deps;
  const folders = slotFolders(layout, from.slot);
  const cleared = await clearSlot(deps, from);
  releaseSlot(db, from.slot);
  // Only now: a slot that is still claimed, empty and without this mark would look like one whose files were deleted.
  await removeIfEmpty(folders.left);
  await removeTree(folders.returning);
  await rm(layout.slotIndex(from.slot), { force: true });
  return cleared;
}

/** Steps 2 to 4: afterwards slot and `left` are empty, and `left` still stands as the mark that all was saved. */
export async function clearSlot(deps: SlotDeps, from: Leaving): Promise<SavedVersion & { aside: string[] }> {
  const { layout, db } = deps;
  const folders = slotFolders(layout, from.slot);
  const alreadySaved = await entryExists(folders.left);
  const newest = findNewestVersion(db, from.workspace);
  const saved = alreadySaved && newest ? { version: newest, created: false } : await saveLeaving(deps, from);
  const git = await deps.store.git();
  const content = await readTree(git, saved.version.treeSha);
  const place = { index: layout.slotIndex(from.slot), workTree: folders.left };
  const edited = await editedSince(git, place, saved.version.treeSha);
  const files = content.files.filter((file) => !edited.has(file.path));
  const aside = await evacuate(folders.left, layout.aside(from.workspace), { ...content, files });
  return { ...saved, aside };
}

/**
 * Files of the version that are no longer as it holds them: a shell that stands in the hidden folder, or a process with
 * a file open there, goes on writing. By the index that was kept with the version, so files are read only where their
 * times say that they may differ. Deleted ones are among them.
 */
async function editedSince(
  git: Git,
  place: { index: string; workTree: string },
  tree: string,
): Promise<Set<string>> {
  const look = () => git.text(['ls-files', '-z', '--modified'], place).then(splitNul);
  const readAnew = async (): Promise<string[]> => {
    await rm(place.index, { force: true });
    await git.text(['read-tree', tree], place);
    return look();
  };
  // Without an index nothing would be told as edited.
  return new Set(await ((await entryExists(place.index)) ? look().catch(readAnew) : readAnew()));
}

async function saveLeaving(deps: SlotDeps, from: Leaving): Promise<SavedVersion> {
  const { layout } = deps;
  const folders = slotFolders(layout, from.slot);
  const index = layout.slotIndex(from.slot);
  await moveOut(folders.dir, folders.leaving, from.slot);
  try {
    const saved = await saveVersion(deps, { ...from, dir: folders.leaving, index, origin: 'manual' });
    await rename(folders.leaving, folders.left);
    return saved;
  } catch (error) {
    // Something came in that cannot be saved: back to where the user can see to it.
    await mergeInto(folders.leaving, folders.dir, 'leave');
    throw error;
  }
}

/** The slot's own folder stays, empty: a shell that stands in it keeps its place. */
async function moveOut(dir: string, leaving: string, slot: string): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  for (const name of names) {
    if (await entryExists(join(leaving, name))) {
      throw new GoldfishError('CONFLICT', {
        message: `${slot} was being emptied, and a new ${name} appeared in it.`,
        hint: `Move ${name} out of the slot and call again; what was there before is safe.`,
        details: { slot, path: name },
      });
    }
    await moveEntry(join(dir, name), join(leaving, name));
  }
}

/**
 * Deletes the files that the version holds and moves all others aside. A folder goes only when it is empty, so what
 * appears in it meanwhile is not lost. Returns what was moved, whole folders named as one.
 */
async function evacuate(dir: string, aside: string, version: TreeContent): Promise<string[]> {
  const kept = new Set(version.files.map((file) => file.path));
  const folders = new Set(version.emptyFolders);
  for (const path of [...kept, ...version.emptyFolders]) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1))
      folders.add(path.slice(0, at));
  }
  const merged: Merged = { moved: [], left: [] };
  const visit = async (path: string): Promise<void> => {
    const isFolder = (await lstat(join(dir, path))).isDirectory();
    if (isFolder && folders.has(path)) {
      for (const name of await readdir(join(dir, path))) await visit(`${path}/${name}`);
      await removeIfEmpty(join(dir, path));
    } else if (!isFolder && kept.has(path)) {
      await unlink(join(dir, path));
    } else {
      await mergeEntry({ from: dir, to: aside, path, collision: 'set_aside' }, merged);
    }
  };
  for (const name of await readdir(dir)) await visit(name);
  return merged.moved.sort();
}
