import { readdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isoTime } from '../core/clock.ts';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { hideWorkspace, openPipelineRunOf } from '../store/deletion.ts';
import {
  findKnownWorkspace,
  findSlotOf,
  listVersions,
  listWorkspaces,
  type WorkspaceSummary,
} from '../store/workspaces.ts';
import { entryExists, mergeInto } from './moves.ts';
import type { ActionDeps } from './slot-actions.ts';
import { branchRef, tagRef } from './version-store.ts';
import { publishMissing } from './versioning.ts';

const MAX_NAME = 64;

export type Deleted = { workspace: string; goal: string; keptAs: string; versions: number };

/**
 * Hides a workspace: its name is free again, and everything of it can be read under the name it is kept as. The rows
 * decide, in one transaction with the checks; ignored files and tags follow, and `recover` or the next creation of a
 * workspace of that name does what a death kept from them.
 * Errors: WORKSPACE_NOT_FOUND, CONFLICT where it is mounted or running.
 */
export async function deleteWorkspace(deps: ActionDeps, nameOrSlot: string): Promise<Deleted> {
  const { db, lookup, clock } = deps;
  const { name, goal, versions } = lookup.workspace(nameOrSlot);
  const keptAs = db.write(() => {
    lookup.workspace(name);
    requireIdle(deps, name);
    const hidden = hiddenNames(deps, name).free;
    hideWorkspace(db, { name, hidden, at: isoTime(clock.now()) });
    return hidden;
  });
  await settleAside(deps, name);
  await renameRefs(deps, { from: name, to: keptAs });
  return { workspace: name, goal, keptAs, versions };
}

function requireIdle(deps: Pick<ActionDeps, 'db'>, name: string): void {
  const slot = findSlotOf(deps.db, name)?.name;
  if (slot !== undefined) {
    throw new GoldfishError('CONFLICT', {
      message: `${name} is mounted in ${slot}.`,
      hint: 'Hibernate it first, which saves what was edited.',
      fix: { tool: 'hibernate', arguments: { slot, reason: `Make ${name} ready to be deleted` } },
      details: { workspace: name, slot },
    });
  }
  const open = openPipelineRunOf(deps.db, name);
  if (open === undefined) return;
  throw new GoldfishError('CONFLICT', {
    message: `${open} of ${name} has not ended.`,
    hint: 'Wait for it, or cancel it first.',
    fix: { tool: 'cancel', arguments: { target: open, reason: `Make ${name} ready to be deleted` } },
    details: { workspace: name, pipeline_run_id: open },
  });
}

function hiddenName(name: string, n: number): string {
  const end = `-deleted-${n}`;
  return `${name.slice(0, MAX_NAME - end.length)}${end}`;
}

/** The first name that is free for hiding a workspace, and the deleted one that had the name last. */
function hiddenNames(
  deps: Pick<ActionDeps, 'db' | 'lookup'>,
  name: string,
): { free: string; last: WorkspaceSummary | undefined } {
  const slots = new Set(deps.lookup.slots().map((slot) => slot.name));
  let last: WorkspaceSummary | undefined;
  for (let n = 1; ; n += 1) {
    const candidate = hiddenName(name, n);
    const found = findKnownWorkspace(deps.db, candidate);
    if (!found && !slots.has(candidate)) return { free: candidate, last };
    if (found?.deletedAt) last = found;
  }
}

/**
 * Ignored files kept aside under a name that no workspace has are those of the one that had it last: they go where
 * that one is kept, before another workspace of the name could take them for its own.
 */
export async function settleAside(
  deps: Pick<ActionDeps, 'db' | 'lookup' | 'layout'>,
  name: string,
): Promise<void> {
  const { layout, db } = deps;
  const aside = layout.aside(name);
  if (!(await entryExists(aside)) || findKnownWorkspace(db, name)) return;
  const owner = hiddenNames(deps, name).last;
  if (!owner) return;
  try {
    await rename(aside, layout.aside(owner.name));
  } catch (error) {
    // Another call has moved them.
    if (errnoOf(error) === 'ENOENT') return;
    await mergeInto(aside, layout.aside(owner.name), 'set_aside');
  }
}

async function renameRefs(deps: ActionDeps, names: { from: string; to: string }): Promise<void> {
  await deps.store.publish(() => versionsOf(deps, names.to));
  const old = refsOf(versionsOf(deps, names.to).map((version) => ({ ...version, workspace: names.from })));
  await deps.store.forget(() => {
    // Meanwhile another workspace may have got the name.
    const taken = refsOf(versionsOf(deps, names.from));
    return new Map([...old].filter(([name]) => !taken.has(name)));
  });
}

/** Tags, and the branch, of one workspace's versions, the newest first. */
function refsOf(versions: readonly WorkspaceVersion[]): Map<string, string> {
  const refs = new Map(versions.map((version) => [tagRef(version), version.gitSha]));
  const [newest] = versions;
  if (newest) refs.set(branchRef(newest.workspace), newest.gitSha);
  return refs;
}

/** Does what deaths kept from being done: tags of versions; of deleted workspaces ignored files and tags under the old name. */
export async function recoverWorkspaces(deps: ActionDeps): Promise<void> {
  const { layout, store } = deps;
  const asides = await readdir(dirname(layout.aside('any'))).catch(() => []);
  for (const name of asides) await settleAside(deps, name);
  const all = allVersions(deps);
  const refs = await store.refs();
  for (const name of new Set(all.map((version) => version.workspace))) await publishMissing(deps, name, refs);
  if (strayRefs(all, refs).size === 0) return;
  await store.forget((current) => strayRefs(allVersions(deps), current));
}

/** Refs that no version asks for, though their commits belong to one: left by the renaming of a deleted workspace. */
function strayRefs(
  versions: readonly WorkspaceVersion[],
  refs: ReadonlyMap<string, string>,
): Map<string, string> {
  const commits = new Set(versions.map((version) => version.gitSha));
  const wanted = new Set(versions.flatMap((version) => [tagRef(version), branchRef(version.workspace)]));
  return new Map([...refs].filter(([name, sha]) => !wanted.has(name) && commits.has(sha)));
}

function allVersions(deps: Pick<ActionDeps, 'db'>): WorkspaceVersion[] {
  const names: string[] = [];
  for (let after = ''; ; after = names.at(-1) ?? '') {
    const page = listWorkspaces(deps.db, { after, limit: 100, includeDeleted: true });
    if (page.length === 0) return names.flatMap((name) => versionsOf(deps, name));
    names.push(...page.map((row) => row.name));
  }
}

/** Newest first, pruned ones too. */
function versionsOf(deps: Pick<ActionDeps, 'db'>, workspace: string): WorkspaceVersion[] {
  const all = Number.MAX_SAFE_INTEGER;
  return listVersions(deps.db, { workspace, includePruned: true, below: all, limit: all });
}
