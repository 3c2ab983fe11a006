import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { tagsOfWorkspace } from '../store/tags.ts';
import { findSlotOf, listVersions, markPruned, versionsInUse } from '../store/workspaces.ts';
import type { ActionDeps } from './slot-actions.ts';

export type PruneRequest = {
  workspace: string;
  /** `v3`, `@tag`; with `beforeTag` both count. Neither: nothing to prune, but `restore` restores all. */
  versions?: readonly string[];
  /** All versions older than the one of this tag. */
  beforeTag?: string;
  restore?: boolean;
};

export type Pruned = {
  workspace: string;
  /** Numbers, the oldest first. */
  pruned: number[];
  restored: number[];
  /** What was asked for and left as it was. */
  skipped: { version: number; why: string }[];
  /** Versions that lists still show. */
  remaining: number;
};

/**
 * Hides versions from lists, or shows them again. Nothing is deleted: runs, records and references go on reading them,
 * and numbers go on. One that is in the way of it is skipped with the reason.
 * Errors: INVALID_ARGUMENT, WORKSPACE_NOT_FOUND, VERSION_NOT_FOUND.
 */
export function pruneVersions(
  deps: Pick<ActionDeps, 'db' | 'clock' | 'lookup'>,
  request: PruneRequest,
): Pruned {
  const { db, clock, lookup } = deps;
  return db.write(() => {
    const { name } = lookup.workspace(request.workspace);
    const all = allVersions(deps, name);
    const wanted = select(deps, { ...request, workspace: name }, all);
    const isRestoring = request.restore === true;
    const why = isRestoring ? whyNotRestored : reasonsToKeep(deps, name, all);
    const skipped: Pruned['skipped'] = [];
    const changed: number[] = [];
    for (const version of wanted) {
      const reason = why(version);
      if (reason === undefined) changed.push(version.version);
      else skipped.push({ version: version.version, why: reason });
    }
    markPruned(db, { workspace: name, versions: changed, at: isRestoring ? null : isoTime(clock.now()) });
    return {
      workspace: name,
      pruned: isRestoring ? [] : changed,
      restored: isRestoring ? changed : [],
      skipped,
      remaining: allVersions(deps, name).filter((version) => version.prunedAt === null).length,
    };
  });
}

/** The oldest first. */
function allVersions(deps: Pick<ActionDeps, 'db'>, workspace: string): WorkspaceVersion[] {
  const all = Number.MAX_SAFE_INTEGER;
  return listVersions(deps.db, { workspace, includePruned: true, below: all, limit: all }).reverse();
}

function select(
  deps: Pick<ActionDeps, 'lookup'>,
  request: PruneRequest,
  all: readonly WorkspaceVersion[],
): WorkspaceVersion[] {
  const { workspace, versions, beforeTag, restore } = request;
  if (versions === undefined && beforeTag === undefined) {
    if (restore) return all.filter((version) => version.prunedAt !== null);
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'Neither "versions" nor "before_tag" says what to prune.',
      hint: 'Name versions, or a tag before which everything may go; list_versions shows both.',
      fix: { tool: 'list_versions', arguments: { workspace } },
      details: { field: 'versions' },
    });
  }
  const named = new Set((versions ?? []).map((typed) => ownNumber(deps, workspace, typed)));
  const tag = beforeTag?.replace(/^@/, '');
  const before = tag === undefined ? 0 : deps.lookup.tagged(tag, workspace).leadsTo;
  // What is pruned already is no news unless it was named.
  return all.filter(
    (version) =>
      named.has(version.version) ||
      (version.version < before && (version.prunedAt !== null) === (restore === true)),
  );
}

function ownNumber(deps: Pick<ActionDeps, 'lookup'>, workspace: string, typed: string): number {
  const reference =
    typed.startsWith('@') || !typed.includes('@') ? `${workspace}@${typed.replace(/^@/, '')}` : typed;
  const found = deps.lookup.version(reference);
  if (found.workspace === workspace) return found.version;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${typed} is a version of ${found.workspace}, not of ${workspace}.`,
    hint: 'Name versions of one workspace in one call.',
    details: { field: 'versions', found: `${found.workspace}@${formatVersion(found.version)}` },
  });
}

function whyNotRestored(version: WorkspaceVersion): string | undefined {
  return version.prunedAt === null ? 'is not pruned' : undefined;
}

function reasonsToKeep(
  deps: Pick<ActionDeps, 'db'>,
  workspace: string,
  all: readonly WorkspaceVersion[],
): (version: WorkspaceVersion) => string | undefined {
  const tags = Map.groupBy(tagsOfWorkspace(deps.db, workspace), (tag) => tag.leadsTo);
  const running = versionsInUse(deps.db, workspace);
  const newest = all.at(-1)?.version;
  const slot = findSlotOf(deps.db, workspace)?.name;
  return ({ version, prunedAt }) => {
    if (prunedAt !== null) return 'was pruned before';
    const tagged = tags.get(version)?.map((tag) => tag.tag);
    if (tagged) return `has the tag ${tagged.join(', ')}`;
    if (version === newest) return slot ? `is the newest, mounted in ${slot}` : 'is the newest';
    return running.has(version) ? 'has a run that has not ended' : undefined;
  };
}
