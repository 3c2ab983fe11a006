import { mkdir } from 'node:fs/promises';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Slot, VersionOrigin, WorkspaceVersion } from '../core/rows.ts';
import { withLock } from '../store/lock.ts';
import {
  claimSlot,
  findNewestVersion,
  findSlot,
  findSlotOf,
  insertCheckpointRecord,
  markMounting,
  releaseSlot,
} from '../store/workspaces.ts';
import { emptyLeaving, leaveSlot } from './hibernation.ts';
import type { Lookup } from './lookup.ts';
import {
  fillSlot,
  isFreeFolder,
  type Restored,
  requireFreeFolder,
  type SlotCondition,
  type SlotDeps,
  slotCondition,
  slotFolders,
} from './mounting.ts';
import { emptyFolder, entryExists, removeTree } from './moves.ts';
import { finishReturn } from './returning.ts';
import { requireRoom } from './room.ts';
import { scanSlot } from './slot-scan.ts';
import { clearIndexLeftovers } from './slot-tree.ts';
import type { TreeContent } from './trees.ts';
import { type SavedVersion, saveVersion } from './versioning.ts';

export type ActionDeps = SlotDeps & {
  lookup: Lookup;
  /** The listing of a tree, kept in memory. */
  content(tree: string): Promise<TreeContent>;
};

export type Mounted = Restored & {
  slot: string;
  workspace: string;
  /** Relative to the project's root. */
  path: string;
  version: WorkspaceVersion;
  dirty: boolean;
};

export type Hibernated = SavedVersion & {
  slot: string;
  workspace: string;
  /** Ignored files that wait for the next mount; whole folders named once, with a slash. */
  aside: string[];
};

export type Checkpoint = SavedVersion & { snapshotId: string; recordId: string };

export type SlotState = {
  slot: string;
  path: string;
  workspace: string | null;
  /** The newest version; null in an empty slot. */
  version: number | null;
  dirty: boolean;
  /** A mount or hibernation was cut off; the next call on the slot finishes it. */
  interrupted: boolean;
};

const RESUMED = 'Saved on the way out of the slot';

/** One call at a time on a slot, in all processes. Other slots are not held up. */
export function onSlot<T>(deps: ActionDeps, slot: string, work: () => Promise<T>): Promise<T> {
  return withLock(deps.layout.slotLock(slot), { clock: deps.clock, what: slot, waitMs: 120_000 }, work);
}

/** Finishes what a death interrupted. Under the slot's lock. Returns the row as it is then. */
export async function settle(deps: ActionDeps, slot: string): Promise<{ row: Slot; restored: Restored }> {
  let restored: Restored = { restored: [], keptAside: [] };
  const row = deps.lookup.slot(slot);
  if (row.workspace === null) return { row, restored };
  const at = { slot, workspace: row.workspace, message: RESUMED };
  const condition = await slotCondition(deps.layout, row);
  if (condition === 'leaving') await emptyLeaving(deps, at);
  if (condition === 'returning') restored = (await finishReturn(deps, at)).restored;
  if (condition === 'mounting') restored = await fillSlot(deps, slot, row.workspace);
  // Of a rollback that died before it touched the slot.
  await removeTree(slotFolders(deps.layout, slot).returning);
  return { row: deps.lookup.slot(slot), restored };
}

/**
 * Puts the newest version of a workspace, and its ignored files, into a slot; where it is mounted already, says where.
 * Errors: WORKSPACE_NOT_FOUND, SLOT_OCCUPIED (another workspace, unknown files, no slot free), INVALID_ARGUMENT.
 */
export async function mountWorkspace(
  deps: ActionDeps,
  request: { workspace: string; slot?: string },
): Promise<Mounted> {
  const { name } = deps.lookup.workspace(request.workspace);
  if (request.slot !== undefined) deps.lookup.slot(request.slot);
  const current = findSlotOf(deps.db, name)?.name;
  const asked = current ?? request.slot;
  const target = asked ?? (await freeSlot(deps));
  const done = await onSlot(deps, target, () =>
    mountHere(deps, { slot: target, workspace: name, isChosenHere: asked === undefined }),
  );
  if (done) return done;
  // Another process mounted it somewhere else just now, or took the slot that was free.
  return mountWorkspace(deps, request);
}

type MountRequest = { slot: string; workspace: string; isChosenHere: boolean };

async function mountHere(deps: ActionDeps, request: MountRequest): Promise<Mounted | undefined> {
  const { slot, workspace } = request;
  const { layout, db } = deps;
  const { row, restored } = await settle(deps, slot);
  if (row.workspace !== null && row.workspace !== workspace) {
    if (request.isChosenHere) return undefined;
    throw takenBy(row);
  }
  if (row.workspace === workspace && (await slotCondition(layout, row)) === 'mounted') {
    return mounted(deps, row, restored);
  }
  const { preparing, dir } = slotFolders(layout, slot);
  // A folder that a person has removed has nothing in it to lose: it is written anew.
  await requireFreeFolder(layout, slot);
  await requireRoom(layout);
  await emptyFolder(preparing);
  try {
    if (row.workspace === workspace) markMounting(db, slot);
    else if (!claimSlot(db, slot, workspace)) {
      await removeTree(preparing);
      return undefined;
    }
    // Not before: a folder that is missing, made anew, would be one whose files somebody has deleted.
    await mkdir(dir, { recursive: true });
    const filled = await fillSlot(deps, slot, workspace);
    return mounted(deps, deps.lookup.slot(slot), filled);
  } catch (error) {
    // What cannot be undone now is finished by the next call on the slot.
    if (row.workspace === null) await undoMount(deps, slot).catch(() => undefined);
    throw error;
  }
}

/**
 * Where nothing has come into the slot yet, it is as free as it was. `preparing` goes last: with a claim and without it
 * the files would count as being in place. What is in it goes first, for it may be what has filled the disk.
 */
async function undoMount(deps: ActionDeps, slot: string): Promise<void> {
  const { layout, db } = deps;
  const { preparing, ready, dir } = slotFolders(layout, slot);
  if (!(await entryExists(preparing)) || (await entryExists(ready)) || !(await isFreeFolder(dir))) return;
  await emptyFolder(preparing);
  await clearIndexLeftovers(layout.slotIndex(slot));
  releaseSlot(db, slot);
  await removeTree(preparing);
}

async function mounted(deps: ActionDeps, row: Slot, restored: Restored): Promise<Mounted> {
  const workspace = row.workspace ?? '';
  return {
    slot: row.name,
    workspace,
    path: deps.layout.shown(deps.layout.slot(row.name)),
    version: deps.lookup.newest(workspace),
    dirty: await isDirty(deps, row.name),
    ...restored,
  };
}

/** The first slot without a workspace and without files. */
async function freeSlot(deps: ActionDeps): Promise<string> {
  const slots = deps.lookup.slots();
  const withFiles: string[] = [];
  for (const { name, workspace } of slots) {
    if (workspace !== null) continue;
    if (await isFreeFolder(deps.layout.slot(name)).catch(() => false)) return name;
    withFiles.push(name);
  }
  const oldest = slots
    .filter((slot) => slot.workspace !== null)
    .sort((a, b) => (a.mountedAt ?? '').localeCompare(b.mountedAt ?? ''))[0];
  const mountedIn = slots.flatMap((slot) =>
    slot.workspace === null ? [] : [`${slot.name}: ${slot.workspace}`],
  );
  throw new GoldfishError('SLOT_OCCUPIED', {
    message: `No slot is free (${mountedIn.join(', ') || 'none is mounted'}${
      withFiles.length > 0 ? `; unknown files in ${withFiles.join(', ')}` : ''
    }).`,
    hint: oldest
      ? `Hibernate one; ${oldest.name} was mounted first.`
      : 'Move the unknown files out of a slot, or raise `slots` in goldfish.yaml.',
    ...(oldest ? { fix: hibernateCall(oldest.name) } : {}),
    details: { slots: slots.map(({ name, workspace }) => ({ name, workspace })) },
  });
}

function takenBy(row: Slot): GoldfishError {
  return new GoldfishError('SLOT_OCCUPIED', {
    message: `${row.name} holds the workspace ${row.workspace}.`,
    hint: `Hibernate ${row.name} first, or leave out the slot to get a free one.`,
    fix: hibernateCall(row.name),
    details: { slot: row.name, workspace: row.workspace },
  });
}

function hibernateCall(slot: string) {
  return { tool: 'hibernate', arguments: { slot, reason: 'Make room for another workspace' } };
}

/** Saves what has changed, empties the slot, keeps ignored files aside. Errors: SLOT_EMPTY and those of `saveVersion`. */
export async function hibernateSlot(
  deps: ActionDeps,
  request: { slot: string; message: string },
): Promise<Hibernated> {
  const { slot, message } = request;
  return onSlot(deps, slot, async () => {
    const { workspace, ...row } = deps.lookup.mountedSlot(slot);
    const from = { slot, workspace, message };
    const condition = await slotCondition(deps.layout, { ...row, workspace });
    if (condition === 'missing') throw folderGone(slot, workspace);
    if (condition === 'mounting' || condition === 'returning') await settle(deps, slot);
    const done = condition === 'leaving' ? await emptyLeaving(deps, from) : await leaveSlot(deps, from);
    return { slot, workspace, ...done };
  });
}

/** A version by hand and its record. Errors: SLOT_EMPTY and those of `saveVersion`. */
export async function checkpointSlot(
  deps: ActionDeps,
  request: { slot: string; message: string },
): Promise<Checkpoint> {
  const { db, clock, ids } = deps;
  const saved = await saveSlot(deps, { ...request, origin: 'checkpoint' });
  const now = clock.now();
  const { gitSha, workspace, version } = saved.version;
  const record = insertCheckpointRecord(
    db,
    { id: ids.record(now), workspace, version, message: request.message, createdAt: isoTime(now) },
    (ms) => `snap-${gitSha.slice(0, 8)}-${compactTime(ms)}`,
    now,
  );
  return { ...saved, snapshotId: record.snapshotId ?? '', recordId: record.id };
}

/** `YYYYMMDD-HHMMSS`, UTC. */
function compactTime(ms: number): string {
  return isoTime(ms).slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}

async function saveSlot(
  deps: ActionDeps,
  request: { slot: string; message: string; origin: VersionOrigin; workspace?: string },
): Promise<SavedVersion> {
  const { slot } = request;
  deps.lookup.mountedSlot(slot);
  return onSlot(deps, slot, async () => {
    await settle(deps, slot);
    const { workspace, ...row } = deps.lookup.mountedSlot(slot);
    if (request.workspace !== undefined && request.workspace !== workspace)
      throw movedAway(request.workspace);
    if ((await slotCondition(deps.layout, { ...row, workspace })) === 'missing')
      throw folderGone(slot, workspace);
    const { dir } = slotFolders(deps.layout, slot);
    const index = deps.layout.slotIndex(slot);
    return saveVersion(deps, { ...request, workspace, dir, index });
  });
}

/** What a run executes: the slot's files as a version, or the newest version where the workspace is not mounted. */
export async function snapshotWorkspace(
  deps: ActionDeps,
  request: { workspace: string; message: string },
): Promise<SavedVersion> {
  const { name } = deps.lookup.workspace(request.workspace);
  const slot = findSlotOf(deps.db, name)?.name;
  if (slot === undefined) return { version: deps.lookup.newest(name), created: false };
  try {
    return await saveSlot(deps, { slot, message: request.message, origin: 'run', workspace: name });
  } catch (error) {
    // Hibernated while we waited for the slot: then its newest version holds everything.
    if (findSlot(deps.db, slot)?.workspace === name) throw error;
    return snapshotWorkspace(deps, request);
  }
}

/** Whether a checkpoint now would make a version. False for an empty slot and one that is being filled or emptied. */
export async function isDirty(deps: ActionDeps, slot: string): Promise<boolean> {
  const row = deps.lookup.slot(slot);
  if (row.workspace === null || (await slotCondition(deps.layout, row)) !== 'mounted') return false;
  const newest = findNewestVersion(deps.db, row.workspace);
  if (!newest) return true;
  const git = await deps.store.git();
  const { dir } = slotFolders(deps.layout, slot);
  const folder = { git, dir, index: deps.layout.slotIndex(slot), maxFileBytes: deps.maxFileBytes };
  // An index that cannot be read is no knowledge of what was saved.
  const scan = await scanSlot(folder).catch(() => undefined);
  if (!scan || [scan.present, scan.gone, scan.nowIgnored, scan.problems].some((found) => found.length > 0)) {
    return true;
  }
  const { emptyFolders } = await deps.content(newest.treeSha);
  return emptyFolders.toSorted().join('\0') !== scan.emptyFolders.join('\0');
}

export async function slotState(deps: ActionDeps, slot: string): Promise<SlotState> {
  const row = deps.lookup.slot(slot);
  const condition = await slotCondition(deps.layout, row);
  return {
    slot,
    path: deps.layout.shown(deps.layout.slot(slot)),
    workspace: row.workspace,
    version: row.workspace === null ? null : deps.lookup.newest(row.workspace).version,
    dirty: await isDirty(deps, slot),
    interrupted: INTERRUPTED.includes(condition),
  };
}

const INTERRUPTED: readonly SlotCondition[] = ['mounting', 'leaving', 'returning'];

/** Finishes every interrupted mount, hibernation and rollback. Slots another process works on are waited for. */
export async function recoverSlots(deps: ActionDeps): Promise<void> {
  for (const row of deps.lookup.slots()) {
    const condition = await slotCondition(deps.layout, row);
    if (!INTERRUPTED.includes(condition)) continue;
    await onSlot(deps, row.name, () => settle(deps, row.name));
  }
}

export function folderGone(slot: string, workspace: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `The folder of ${slot} is gone, or is no folder; nothing was saved.`,
    hint: `Mount ${workspace} again to get the files of its newest version back.`,
    fix: { tool: 'mount', arguments: { workspace, reason: 'Bring back the folder of the slot' } },
    details: { slot, workspace },
  });
}

function movedAway(workspace: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `${workspace} left its slot while this call waited for it.`,
    hint: 'Repeat the call.',
    retryable: true,
  });
}
