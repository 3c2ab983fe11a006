import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion, parseReference } from '../core/names.ts';
import type { WorkspaceVersion } from '../core/rows.ts';
import { makeFolders } from '../os/files.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import { findKnownWorkspace, findVersion } from '../store/workspaces.ts';
import { codeHashOf } from './file-tree.ts';
import type { GitPlace } from './git.ts';
import { lookAtSlot } from './looking.ts';
import { slotCondition, slotFolders } from './mounting.ts';
import type { ActionDeps } from './slot-actions.ts';
import { refuseSlot, type SlotProblem } from './slot-problems.ts';
import { type StagedSlot, stageSlot } from './slot-tree.ts';
import { type DiffPage, diffTrees, type TreeDiff } from './tree-diff.ts';
import { EMPTY_TREE, readTree } from './trees.ts';

/** What a call of `run` would execute. `version` is the number it would have. */
export type SlotPreview = {
  workspace: string;
  version: number;
  wouldCreate: boolean;
  files: FileReader;
  codeHash: string;
};

export async function previewSlot(
  deps: ActionDeps,
  of: { slot: string; workspace: string; files: FileReader },
): Promise<SlotPreview> {
  const newest = deps.lookup.newest(of.workspace);
  return withScratch(deps, async (scratch) => {
    const { tree, problems } = await liveTree(deps, of.slot, scratch);
    if (problems.length > 0) throw refuseSlot(of.slot, problems);
    const wouldCreate = tree !== newest.treeSha;
    return {
      workspace: of.workspace,
      version: newest.version + (wouldCreate ? 1 : 0),
      wouldCreate,
      files: of.files,
      codeHash: codeHashOf(await readTree(await deps.store.git(), tree, scratch.place)),
    };
  });
}

type Scratch = { dir: string; place: GitPlace };

/** A folder that takes the new objects of a look at a slot, so that looking leaves the store as it is. */
async function withScratch<T>(deps: ActionDeps, work: (scratch: Scratch) => Promise<T>): Promise<T> {
  const dir = join(deps.layout.scratch, `look-${deps.ids.reference()}`);
  const objects = join(dir, 'objects');
  await makeFolders(objects);
  try {
    return await work({ dir, place: { scratchObjects: objects } });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The tree of a slot as it is now. Takes no lock: another call may save the slot meanwhile. */
async function liveTree(deps: ActionDeps, slot: string, scratch: Scratch): Promise<StagedSlot> {
  const { layout, store } = deps;
  const row = deps.lookup.mountedSlot(slot);
  if ((await slotCondition(layout, row)) !== 'mounted') {
    throw new GoldfishError('CONFLICT', {
      message: `${slot} is being filled or emptied, or its folder is gone.`,
      hint: `Mount ${row.workspace} again, which finishes it.`,
      fix: { tool: 'mount', arguments: { workspace: row.workspace, reason: 'Finish an interrupted mount' } },
      retryable: true,
    });
  }
  const { dir } = slotFolders(layout, slot);
  const index = layout.slotIndex(slot);
  const folder = { git: await store.git(), dir, index, maxFileBytes: deps.maxFileBytes };
  return stageSlot(folder, join(scratch.dir, `${slot}.${deps.ids.reference()}.index`), scratch.place);
}

export type DiffRequest = DiffPage & {
  /** A slot (its live files), a workspace (its newest version), `ws@v3` or `@tag`. */
  target: string;
  /** Default: the newest version for a slot, the one before for a version (for v1 the version it was forked from). */
  against?: string;
};

export type WorkspaceDiff = TreeDiff & {
  /** As references: `ws@v2`, or the slot's name for live files, `nothing` before a first version. */
  target: string;
  against: string;
  /** Files of the slot that no version can hold and that are left out here. */
  problems: SlotProblem[];
};

type Side =
  | { name: string; slot: string }
  | { name: string; version: WorkspaceVersion }
  | { name: 'nothing' };

/** Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY, VERSION_NOT_FOUND, INVALID_ARGUMENT, CONFLICT. */
export async function diffTargets(deps: ActionDeps, request: DiffRequest): Promise<WorkspaceDiff> {
  const to = sideOf(deps, request.target);
  const from = request.against === undefined ? before(deps, to) : sideOf(deps, request.against);
  const git = await deps.store.git();
  return withScratch(deps, async (scratch) => {
    const left = await treeOf(deps, from, scratch);
    const right = await treeOf(deps, to, scratch);
    const trees = { from: left.tree, to: right.tree, place: scratch.place };
    const diff = await diffTrees(git, trees, request);
    return { target: to.name, against: from.name, ...diff, problems: [...left.problems, ...right.problems] };
  });
}

function sideOf(deps: ActionDeps, reference: string): Side {
  const parsed = parseReference(reference);
  const isSlot =
    parsed.kind === 'name' &&
    !findKnownWorkspace(deps.db, parsed.name) &&
    deps.lookup.slots().some((slot) => slot.name === parsed.name);
  if (isSlot) return { name: reference, slot: deps.lookup.mountedSlot(reference).name };
  return versionSide(deps.lookup.version(reference));
}

function versionSide(version: WorkspaceVersion): Side {
  return { name: `${version.workspace}@${formatVersion(version.version)}`, version };
}

function before(deps: ActionDeps, side: Side): Side {
  if ('slot' in side) return versionSide(deps.lookup.newest(deps.lookup.mountedSlot(side.slot).workspace));
  if (!('version' in side)) return side;
  const { workspace, version } = side.version;
  const earlier = findVersion(deps.db, workspace, version - 1);
  if (earlier) return versionSide(earlier);
  const { fromWorkspace, fromVersion } = deps.lookup.known(workspace);
  const parent = fromWorkspace && fromVersion ? findVersion(deps.db, fromWorkspace, fromVersion) : undefined;
  return parent ? versionSide(parent) : { name: 'nothing' };
}

async function treeOf(deps: ActionDeps, side: Side, scratch: Scratch): Promise<StagedSlot> {
  if ('slot' in side) return lookAtSlot(deps, side.slot, () => liveTree(deps, side.slot, scratch));
  return { tree: 'version' in side ? side.version.treeSha : EMPTY_TREE, problems: [] };
}
