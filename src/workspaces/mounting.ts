import { lstat, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import type { Slot, WorkspaceVersion } from '../core/rows.ts';
import { findNewestVersion, markMounted } from '../store/workspaces.ts';
import { emptyFolder, entryExists, isEmptyOrMissing, mergeInto, removeIfEmpty, syncTree } from './moves.ts';
import { requireRoom } from './room.ts';
import { clearIndexLeftovers, keepIndex } from './slot-tree.ts';
import { readTree } from './trees.ts';
import type { Versioning } from './versioning.ts';

export type SlotDeps = Versioning & { layout: Layout };

/** Hidden neighbours of a slot, on its file system, so that entries move between them by renaming. */
export function slotFolders(layout: Layout, slot: string) {
  return {
    dir: layout.slot(slot),
    /** Files of a version being written; incomplete. */
    preparing: join(layout.slots, `.${slot}.mounting`),
    /** The same, complete, on its way into the slot. */
    ready: join(layout.slots, `.${slot}.mounted`),
    /** Files on their way out of the slot, not yet known to be saved as they are now. */
    leaving: join(layout.slots, `.${slot}.leaving`),
    /** The same, saved: what the newest version holds may be deleted, the rest goes aside. */
    left: join(layout.slots, `.${slot}.left`),
    /** Files of the version a rollback leads to, being written; incomplete. */
    returning: join(layout.slots, `.${slot}.returning`),
    /** The same, complete: from now on the rollback is finished, not undone. */
    returned: join(layout.slots, `.${slot}.returned`),
  };
}

/** Ignored files that came back, and those that could not because the version has something of that name. */
export type Restored = { restored: string[]; keptAside: string[] };

/**
 * Fills the slot that a row has claimed, from wherever a death has left it; under the slot's lock.
 *
 * `preparing` exists before the claim, becomes `ready` when every file is written, and `ready` goes when every entry
 * has been moved into the slot. So with a claim and neither folder, the files are in place, and edits may be too.
 * Nothing in the slot is ever overwritten.
 * Errors: SLOT_OCCUPIED, where something stands in the way of an entry.
 */
export async function fillSlot(deps: SlotDeps, slot: string, workspace: string): Promise<Restored> {
  const { layout, db, clock, store, ids } = deps;
  const folders = slotFolders(layout, slot);
  const index = layout.slotIndex(slot);
  const newest = findNewestVersion(db, workspace);
  if (!newest) throw new GoldfishError('VERSION_NOT_FOUND', { message: `${workspace} has no version yet.` });
  await clearIndexLeftovers(index);
  if (!(await entryExists(folders.ready)) && (await entryExists(folders.preparing))) {
    // Not removed and made again: a death in between would leave a claim with neither folder.
    await emptyFolder(folders.preparing);
    const next = `${index}.${ids.reference()}`;
    await writeVersion(deps, { version: newest, dir: folders.preparing, index: next });
    await keepIndex(index, next);
    // A power cut must not turn files into empty ones that look like edits.
    await syncTree(folders.preparing);
    await requireRoom(layout);
    await rename(folders.preparing, folders.ready);
  }
  if (await entryExists(folders.ready)) {
    await mkdir(folders.dir, { recursive: true });
    const { left } = await mergeInto(folders.ready, folders.dir, 'leave');
    if (left.length > 0) throw occupied(slot, left);
  }
  const { moved, left } = await mergeInto(layout.aside(workspace), folders.dir, 'leave');
  const place = { index, workTree: folders.dir };
  const git = await store.git();
  if (!(await entryExists(index))) await git.text(['read-tree', newest.treeSha], place);
  // Moved files have new times of change: noted once here, they need not be read at every later look. It fails
  // where a file was edited meanwhile, which is no failure of the mount.
  await git.text(['update-index', '-q', '--refresh'], place).catch(() => undefined);
  markMounted(db, slot, isoTime(clock.now()));
  return { restored: moved.sort(), keptAside: left.sort() };
}

/** Writes the files of a version, with their exact bytes, and an index of them. */
export async function writeVersion(
  deps: Pick<SlotDeps, 'store'>,
  to: { version: Pick<WorkspaceVersion, 'treeSha'>; dir: string; index: string },
): Promise<void> {
  const git = await deps.store.git();
  const place = { index: to.index, workTree: to.dir };
  await git.text(['read-tree', to.version.treeSha], place);
  await git.text(['checkout-index', '--all', '--force', '--index'], place);
  const { emptyFolders } = await readTree(git, to.version.treeSha);
  for (const folder of emptyFolders) await mkdir(join(to.dir, folder), { recursive: true });
}

/** Whether a slot's folder has nothing to lose: missing, or a real folder (no link to one) with nothing in it. */
export async function isFreeFolder(dir: string): Promise<boolean> {
  const stat = await lstat(dir).catch(() => undefined);
  return !stat || (stat.isDirectory() && (await isEmptyOrMissing(dir)));
}

/** Refuses a slot with files that Goldfish did not put there. Errors: SLOT_OCCUPIED, CONFLICT. */
export async function requireFreeFolder(layout: Layout, slot: string): Promise<void> {
  const folders = slotFolders(layout, slot);
  if (!(await isFreeFolder(folders.dir))) throw occupied(slot, []);
  for (const spare of [folders.ready, folders.leaving, folders.left, folders.returned]) {
    await removeIfEmpty(spare);
    if (await entryExists(spare)) throw occupied(slot, [layout.shown(spare)]);
  }
}

function occupied(slot: string, paths: readonly string[]): GoldfishError {
  const named = paths.slice(0, 5).join(', ');
  return new GoldfishError('SLOT_OCCUPIED', {
    message: named
      ? `Files that Goldfish does not know stand in the way in ${slot}: ${named}.`
      : `The folder of ${slot} holds files that Goldfish does not know.`,
    hint: 'Move them elsewhere, then mount again; copied into the mounted slot they become part of the workspace.',
    details: { slot, paths: paths.slice(0, 50) },
  });
}

export type SlotCondition = 'empty' | 'mounted' | 'mounting' | 'leaving' | 'returning' | 'missing';

/** What a death, or a person, has left of the slot. `missing`: its folder is gone. */
export async function slotCondition(layout: Layout, row: Slot): Promise<SlotCondition> {
  if (row.workspace === null) return 'empty';
  const folders = slotFolders(layout, row.name);
  if (await entryExists(folders.returned)) return 'returning';
  if ((await entryExists(folders.leaving)) || (await entryExists(folders.left))) return 'leaving';
  if (row.mountedAt === null) return 'mounting';
  const stat = await lstat(folders.dir).catch(() => undefined);
  return stat?.isDirectory() ? 'mounted' : 'missing';
}
