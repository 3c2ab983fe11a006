import { chmod, copyFile, lstat, mkdir, readdir, readlink, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import type { Db } from '../store/database.ts';
import { withLock } from '../store/lock.ts';
import { findSlotOf } from '../store/workspaces.ts';
import { removeTree } from '../workspaces/moves.ts';
import { unlessMissing } from './entries.ts';

type Deps = { db: Db; clock: Clock; layout: Layout };
type Copy = { to: string; signal?: AbortSignal };

/** A mount or a hibernation that comes in between costs one; each takes a moment, and none follows at once. */
const TRIES = 20;
const PAUSE_MS = 50;
/** As long as a call of a tool waits for a slot. */
const SLOT_WAIT_MS = 120_000;

/**
 * Copies the ignored files kept aside for hibernated workspaces: they are nowhere else. Of each workspace all of them as
 * they were at one moment, or none where a mount has taken them back: never a half. So a workspace that is hibernated
 * all the while is copied whole; one that is mounted meanwhile is like one that was mounted before.
 * Errors: CONFLICT (retryable) where they never hold still.
 */
export async function copyAsides(deps: Deps, copy: Copy): Promise<void> {
  const done = new Set<string>();
  for (;;) {
    const names = await readdir(deps.layout.asides).catch(unlessMissing<string[]>([]));
    const left = names.filter((name) => !done.has(name));
    // Looked at again: a deletion gives what is kept aside another name.
    if (left.length === 0) return;
    for (const workspace of left) {
      await copyAside(deps, workspace, copy);
      done.add(workspace);
    }
  }
}

async function copyAside(deps: Deps, workspace: string, { to, signal }: Copy): Promise<void> {
  const folders = { from: deps.layout.aside(workspace), to: join(to, workspace) };
  for (let tries = 0; tries < TRIES; tries += 1) {
    signal?.throwIfAborted();
    const slot = findSlotOf(deps.db, workspace)?.name;
    const isWhole =
      slot === undefined
        ? await copyAtRest(deps, workspace, folders)
        : await copyHeld(deps, { workspace, slot, ...folders, ...(signal ? { signal } : {}) });
    if (isWhole) return;
    await removeTree(folders.to);
    await deps.clock.sleep(PAUSE_MS, signal ? { signal } : {});
  }
  throw new GoldfishError('CONFLICT', {
    message: `The ignored files kept aside for ${workspace} did not hold still long enough to be copied.`,
    hint: `Repeat the call when ${workspace} is neither mounted nor hibernated all the time; a file whose name is no UTF-8 must be renamed first.`,
    retryable: true,
    details: { workspace },
  });
}

/** Only who has claimed a slot for a workspace moves its files: in no slot before and after, and nothing else either. */
async function copyAtRest(
  deps: Deps,
  workspace: string,
  folders: { from: string; to: string },
): Promise<boolean> {
  return (await copyUnchanged(folders)) && findSlotOf(deps.db, workspace) === undefined;
}

/** What could not come back into the slot, or is on its way: nobody moves it while the slot is held. */
function copyHeld(
  deps: Deps,
  of: { workspace: string; slot: string; from: string; to: string; signal?: AbortSignal },
): Promise<boolean> {
  const { clock, db, layout } = deps;
  const waiting = { clock, what: of.slot, waitMs: SLOT_WAIT_MS, ...(of.signal ? { signal: of.signal } : {}) };
  return withLock(layout.slotLock(of.slot), waiting, async () => {
    if (findSlotOf(db, of.workspace)?.name !== of.slot) return false;
    return copyUnchanged(of);
  });
}

/** False where something went away, came or changed meanwhile. */
async function copyUnchanged({ from, to }: { from: string; to: string }): Promise<boolean> {
  const before = await stampsBelow(from);
  if (before === undefined) return true;
  const copied = await copyFolder(from, to).then(() => true, unlessMissing(false));
  return copied && before === (await stampsBelow(from));
}

/** Pipes, sockets and devices hold no data. */
async function copyFolder(from: string, to: string): Promise<void> {
  const { mode } = await lstat(from);
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyFolder(source, target);
    else if (entry.isFile()) await copyFile(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source, { encoding: 'buffer' }), target);
  }
  await chmod(to, mode & 0o7777);
}

/**
 * Inode, size, mode and times of everything below; the kernel alone sets the last, so equal stamps mean that nothing was
 * moved. Undefined where the folder is not there.
 */
async function stampsBelow(folder: string): Promise<string | undefined> {
  const stamps: string[] = [];
  const visit = async (path: string): Promise<void> => {
    const stat = await lstat(path, { bigint: true });
    stamps.push([path, stat.ino, stat.size, stat.mode, stat.mtimeNs, stat.ctimeNs].join(' '));
    if (!stat.isDirectory()) return;
    for (const name of (await readdir(path)).sort()) {
      // What goes away just now is missing at the second look, too.
      await visit(join(path, name)).catch(unlessMissing(undefined));
    }
  };
  await visit(folder).catch(unlessMissing(undefined));
  return stamps.length === 0 ? undefined : stamps.join('\n');
}
