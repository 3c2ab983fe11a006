import { renameSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import { removeTree } from '../workspaces/moves.ts';

export const GC_KINDS = [
  'attempts',
  'stage checkpoints',
  'environments',
  'checkouts',
  'folders',
  'objects',
  'leftovers',
] as const;
export type GcKind = (typeof GC_KINDS)[number];

/** Something that nothing needs. Whether it goes is decided by its age, or by how large everything is. */
export type Candidate = {
  kind: GcKind;
  /** What a person would call it: `attempts of stage-…`. */
  what: string;
  /** What taking it away gives back. */
  bytes: number;
  /** Milliseconds since the epoch. */
  lastUsed: number;
  /** It is old enough. */
  due: boolean;
  /** False where somebody has come to need it meanwhile: then it stays. */
  free(): Promise<boolean>;
};

export type GcDeps = { db: Db; clock: Clock; ids: Ids; layout: Layout; storage: ObjectStorage };

const DAY_MS = 86_400_000;

/** Null days: never by age. */
export function isOlder(deps: Pick<GcDeps, 'clock'>, lastUsed: number, days: number | null): boolean {
  return days !== null && deps.clock.now() - lastUsed >= days * DAY_MS;
}

/** Begins the name of what was taken away and is being removed; a death in between leaves it to the next `gc`. */
export const GONE = '.gone-';

/**
 * Takes a path out of use in the transaction that finds it free: whoever is about to need it stores the row that says
 * so first, and so is either seen here, or finds it gone and makes it again. Then removes it.
 */
export async function takeAway(
  deps: Pick<GcDeps, 'db' | 'ids'>,
  taken: { path: string; isFree: () => boolean },
): Promise<boolean> {
  // In its own folder: a read-only folder may be given another name, but not another place.
  const gone = join(dirname(taken.path), `${GONE}${deps.ids.reference()}`);
  const moved = deps.db.write(() => {
    if (!taken.isFree()) return false;
    try {
      renameSync(taken.path, gone);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  });
  if (moved) await removeTree(gone);
  return moved;
}

/**
 * Bytes on the disk that go away with a path, and when something of it was last written. A file with further names
 * stays by those: an output that became an object.
 */
export async function measure(path: string): Promise<{ bytes: number; newest: number }> {
  const stat = await lstat(path).catch(ignoreMissing);
  if (!stat) return { bytes: 0, newest: 0 };
  let bytes = stat.isDirectory() || stat.nlink === 1 ? stat.blocks * 512 : 0;
  let newest = stat.mtimeMs;
  if (!stat.isDirectory()) return { bytes, newest };
  for (const name of await readdir(path).catch(() => [])) {
    const below = await measure(join(path, name));
    bytes += below.bytes;
    newest = Math.max(newest, below.newest);
  }
  return { bytes, newest };
}

export async function entries(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(ignoreMissing)) ?? [];
}

/** Bytes on the disk below a folder, a file with several names once. */
export async function diskUse(folder: string, signal?: AbortSignal): Promise<number> {
  const seen = new Set<string>();
  const visit = async (path: string): Promise<number> => {
    const stat = await lstat(path).catch(ignoreMissing);
    if (!stat) return 0;
    if (!stat.isDirectory()) {
      const id = `${stat.dev}.${stat.ino}`;
      if (stat.nlink > 1 && seen.has(id)) return 0;
      if (stat.nlink > 1) seen.add(id);
      return stat.blocks * 512;
    }
    let bytes = stat.blocks * 512;
    signal?.throwIfAborted();
    for (const name of await readdir(path).catch(() => [])) bytes += await visit(join(path, name));
    return bytes;
  };
  return visit(folder);
}

function ignoreMissing(error: unknown): undefined {
  if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
  throw error;
}
