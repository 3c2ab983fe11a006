import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { slotCondition, slotFolders } from './mounting.ts';
import { finishReturn, prepareReturn } from './returning.ts';
import { type ActionDeps, folderGone, onSlot, settle } from './slot-actions.ts';
import type { TreeContent } from './trees.ts';
import { type SavedVersion, saveVersion } from './versioning.ts';

/** Paths, sorted; an empty folder ends in a slash. */
export type FileChanges = { added: string[]; changed: string[]; removed: string[] };

export type RolledBack = {
  slot: string;
  workspace: string;
  /** The version whose files the slot holds now. */
  version: WorkspaceVersion;
  /** The newest version; `created` where the slot was edited and this call saved it. */
  saved: SavedVersion;
  /** From what the slot held before to what it holds now. */
  files: FileChanges;
  /** Ignored files that could not come back: the version has something of their name. */
  keptAside: string[];
};

/**
 * Gives a slot the files of an earlier version. What was edited is saved first and history does not move: the slot is
 * then edited in regard to its newest version, which will be the parent of the next.
 * Errors: SLOT_EMPTY, VERSION_NOT_FOUND (pruned), INVALID_ARGUMENT (of another workspace), CONFLICT, and those of `saveVersion`.
 */
export async function rollbackSlot(
  deps: ActionDeps,
  request: { slot: string; version: string; reason: string },
): Promise<RolledBack> {
  const { slot } = request;
  deps.lookup.mountedSlot(slot);
  return onSlot(deps, slot, async () => {
    await settle(deps, slot);
    const { workspace, ...row } = deps.lookup.mountedSlot(slot);
    const version = ownVersion(deps, { workspace, typed: request.version });
    if ((await slotCondition(deps.layout, { ...row, workspace })) !== 'mounted') {
      throw folderGone(slot, workspace);
    }
    const message = `Before the rollback to ${formatVersion(version.version)}: ${request.reason}`;
    const at = { slot, workspace, message };
    const { dir } = slotFolders(deps.layout, slot);
    const index = deps.layout.slotIndex(slot);
    const first = await saveVersion(deps, { ...at, dir, index, origin: 'manual' });
    if (first.version.treeSha === version.treeSha) {
      const files = { added: [], changed: [], removed: [] };
      return { slot, workspace, version, saved: first, files, keptAside: [] };
    }
    await prepareReturn(deps, { slot, version });
    const { saved = first, restored } = await finishReturn(deps, at);
    const before = await deps.content(saved.version.treeSha);
    const files = changesBetween(before, await deps.content(version.treeSha));
    const created = first.created || saved.created;
    const { keptAside } = restored;
    return { slot, workspace, version, saved: { ...saved, created }, files, keptAside };
  });
}

/** `v3`, `@tag`, or with the workspace in front of it; of the workspace in the slot only. */
function ownVersion(deps: ActionDeps, of: { workspace: string; typed: string }): WorkspaceVersion {
  const { workspace, typed } = of;
  const reference = typed.startsWith('@') ? `${workspace}${typed}` : typed;
  const version = deps.lookup.usable(reference.includes('@') ? reference : `${workspace}@${typed}`);
  if (version.workspace === workspace) return version;
  const shown = formatVersion(version.version);
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${typed} is a version of ${version.workspace}, and the slot holds ${workspace}.`,
    hint: `Fork it with create_workspace (from_workspace ${version.workspace}, from_version ${shown}), or name a version of ${workspace}.`,
    fix: { tool: 'list_versions', arguments: { workspace } },
    details: { field: 'version', workspace, found: `${version.workspace}@${shown}` },
  });
}

/** Pure. */
function changesBetween(before: TreeContent, after: TreeContent): FileChanges {
  const old = entriesOf(before);
  const now = entriesOf(after);
  const paths = (of: Map<string, string>): string[] => [...of.keys()].sort();
  return {
    added: paths(now).filter((path) => !old.has(path)),
    changed: paths(now).filter((path) => old.has(path) && old.get(path) !== now.get(path)),
    removed: paths(old).filter((path) => !now.has(path)),
  };
}

function entriesOf(content: TreeContent): Map<string, string> {
  return new Map([
    ...content.files.map(({ path, mode, sha }) => [path, `${mode} ${sha}`] as const),
    ...content.emptyFolders.map((path) => [`${path}/`, ''] as const),
  ]);
}
