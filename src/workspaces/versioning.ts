import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { VersionOrigin, WorkspaceVersion } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import { findNewestVersion, insertVersion, listVersions } from '../store/workspaces.ts';
import { refuseSlot } from './slot-problems.ts';
import { clearIndexLeftovers, keepIndex, stageSlot } from './slot-tree.ts';
import { branchRef, tagRef, type VersionStore } from './version-store.ts';

export type Versioning = { db: Db; clock: Clock; ids: Ids; store: VersionStore; maxFileBytes: number };

/** `created` is false where nothing had changed and `version` is the newest there was. */
export type SavedVersion = { version: WorkspaceVersion; created: boolean };

/**
 * Makes a version of what lies in `dir`, which belongs to `workspace`; to be called under the slot's lock.
 *
 * Order: objects, durable; the row, which takes the number; tag and branch; the index. A death between the row and
 * the tag leaves a version without its tag, which the next version of the workspace, or `recover`, adds: the row is
 * the truth. A death before the row leaves objects that nothing names, and the number is still free.
 * Errors: FILE_TOO_LARGE, LINK_ESCAPES, NESTED_REPOSITORY, NOT_SUPPORTED (all problems at once, nothing saved), CONFLICT.
 */
export async function saveVersion(
  deps: Versioning,
  from: {
    slot: string;
    workspace: string;
    dir: string;
    index: string;
    origin: VersionOrigin;
    message: string;
  },
): Promise<SavedVersion> {
  const { db, store, ids } = deps;
  const newest = findNewestVersion(db, from.workspace);
  await mkdir(dirname(from.index), { recursive: true });
  await clearIndexLeftovers(from.index);
  const folder = {
    git: await store.git(),
    dir: from.dir,
    index: from.index,
    maxFileBytes: deps.maxFileBytes,
  };
  const nextIndex = `${from.index}.${ids.reference()}`;
  try {
    const staged = await stageSlot(folder, nextIndex);
    if (staged.problems.length > 0) throw refuseSlot(from.slot, staged.problems);
    const created = newest?.treeSha !== staged.tree;
    const version = created ? await recordVersion(deps, { ...from, tree: staged.tree, newest }) : newest;
    // kill point: version/tagged
    await keepIndex(from.index, nextIndex);
    // kill point: version/index-kept
    return { version, created };
  } catch (error) {
    await rm(nextIndex, { force: true });
    throw error;
  }
}

/** Commits a tree as the next version of a workspace that exists. */
async function recordVersion(
  deps: Versioning,
  from: {
    workspace: string;
    origin: VersionOrigin;
    message: string;
    tree: string;
    newest: WorkspaceVersion | undefined;
  },
): Promise<WorkspaceVersion> {
  const { db, store, clock } = deps;
  const time = clock.now();
  const number = (from.newest?.version ?? 0) + 1;
  const sha = await store.commit({
    workspace: from.workspace,
    version: number,
    tree: from.tree,
    parent: from.newest?.gitSha ?? null,
    origin: from.origin,
    message: from.message,
    time,
  });
  const version: WorkspaceVersion = {
    workspace: from.workspace,
    version: number,
    gitSha: sha,
    treeSha: from.tree,
    createdBy: from.origin,
    message: from.message,
    createdAt: isoTime(time),
    prunedAt: null,
  };
  // kill point: version/objects-written
  if (!insertVersion(db, version)) {
    throw new GoldfishError('CONFLICT', {
      message: `Another call made a version of ${from.workspace} at the same time.`,
      hint: 'Repeat the call.',
      retryable: true,
    });
  }
  // kill point: version/row-written
  await publishNewest(deps, from.workspace);
  return version;
}

/** Adds every tag that a death kept from a version. `refs` are those there are. */
export async function publishMissing(
  deps: Pick<Versioning, 'db' | 'store'>,
  workspace: string,
  refs: ReadonlyMap<string, string>,
): Promise<void> {
  const all = (): WorkspaceVersion[] =>
    listVersions(deps.db, {
      workspace,
      includePruned: true,
      below: Number.MAX_SAFE_INTEGER,
      limit: Number.MAX_SAFE_INTEGER,
    });
  const complete = all().every((version, i) => {
    const onBranch = i > 0 || refs.get(branchRef(workspace)) === version.gitSha;
    return onBranch && refs.get(tagRef(version)) === version.gitSha;
  });
  if (!complete) await deps.store.publish(all);
}

/** Tags the newest versions and moves the branch. Two, because a death may have kept the one before from its tag. */
export async function publishNewest(
  deps: Pick<Versioning, 'db' | 'store'>,
  workspace: string,
): Promise<void> {
  await deps.store.publish(() =>
    listVersions(deps.db, { workspace, includePruned: true, below: Number.MAX_SAFE_INTEGER, limit: 2 }),
  );
}
