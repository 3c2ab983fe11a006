import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { requireName } from '../core/names.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { findKnownWorkspace, findVersion, insertWorkspace } from '../store/workspaces.ts';
import { settleAside } from './deletion.ts';
import { requireRoom } from './room.ts';
import type { ActionDeps } from './slot-actions.ts';
import { refuseSlot } from './slot-problems.ts';
import { stageSlot } from './slot-tree.ts';
import { publishNewest } from './versioning.ts';

export type NewWorkspace = {
  name: string;
  goal: string;
  /** A workspace or the slot it is in, and a version of it (the newest unless said). */
  from?: { workspace: string; version?: number };
};

/**
 * Makes a workspace with its v1: the parent's files, or the template's. Of two processes that take one name at once,
 * one wins. Objects come first, then both rows in one transaction, then tag and branch.
 */
export async function createWorkspace(
  deps: ActionDeps,
  request: NewWorkspace & { templateDir: string },
): Promise<WorkspaceVersion> {
  const { db, store, clock, lookup } = deps;
  const name = requireName(request.name, 'workspace');
  if (lookup.slots().some((slot) => slot.name === name)) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `"${name}" is the name of a slot.`,
      hint: 'Choose another name, so that it is clear which of the two is meant.',
      details: { field: 'name' },
    });
  }
  const existing = findKnownWorkspace(db, name);
  if (existing) throw taken(existing);
  const parent = request.from === undefined ? undefined : parentVersion(deps, request.from);
  const tree = parent?.treeSha ?? (await templateTree(deps, request.templateDir));
  const time = clock.now();
  const origin = parent ? `Fork of ${parent.workspace}@v${parent.version}` : 'New workspace';
  const message = `${origin}: ${request.goal}`;
  const commit = { workspace: name, version: 1, tree, parent: parent?.gitSha ?? null, message, time };
  const gitSha = await store.commit({ ...commit, origin: 'fork' });
  const createdAt = isoTime(time);
  const version: WorkspaceVersion = {
    workspace: name,
    version: 1,
    gitSha,
    treeSha: tree,
    createdBy: 'fork',
    message,
    createdAt,
    prunedAt: null,
  };
  const workspace = {
    name,
    goal: request.goal,
    fromWorkspace: parent?.workspace ?? null,
    fromVersion: parent?.version ?? null,
    createdAt,
  };
  await settleAside(deps, name);
  // Rows and then refs: a workspace whose creation was refused must not be there.
  await requireRoom(deps.layout);
  db.write(() => {
    if (parent && !findVersion(db, parent.workspace, parent.version)) throw parentGone(parent.workspace);
    if (!insertWorkspace(db, workspace, version)) throw taken(findKnownWorkspace(db, name) ?? { name });
  });
  await publishNewest(deps, name);
  return version;
}

function parentVersion(deps: ActionDeps, from: { workspace: string; version?: number }): WorkspaceVersion {
  const { name } = deps.lookup.known(from.workspace);
  return deps.lookup.usable(from.version === undefined ? name : `${name}@v${from.version}`);
}

function parentGone(workspace: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `${workspace} was deleted while this call forked it.`,
    hint: 'Its files are kept under another name; fork that, or start from the template.',
  });
}

/** The template goes through the same door as a slot: the same ignore rules, the same refusals. */
async function templateTree(deps: ActionDeps, templateDir: string): Promise<string> {
  const { layout, ids, store } = deps;
  const git = await store.git();
  const index = join(layout.scratch, `template-${ids.reference()}`);
  await mkdir(layout.scratch, { recursive: true });
  const folder = { git, dir: templateDir, index: `${index}.none`, maxFileBytes: deps.maxFileBytes };
  const staged = await stageSlot(folder, index).finally(() => rm(index, { force: true }));
  if (staged.problems.length > 0) throw refuseSlot('the template', staged.problems);
  return staged.tree;
}

function taken(by: { name: string; deletedAt?: string | null }): GoldfishError {
  const { name, deletedAt } = by;
  return new GoldfishError('WORKSPACE_EXISTS', {
    message: deletedAt
      ? `${name} is the name under which a deleted workspace is kept.`
      : `There is a workspace named ${name} already.`,
    hint: deletedAt ? 'Choose another name.' : 'Choose another name, or mount the one there is.',
    ...(deletedAt
      ? {}
      : { fix: { tool: 'mount', arguments: { workspace: name, reason: `Work on in ${name}` } } }),
    details: { workspace: name },
  });
}
