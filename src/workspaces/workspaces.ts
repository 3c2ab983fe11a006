import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import { parseVersion } from '../core/names.ts';
import type { Slot, WorkspaceVersion } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import type { FoundTag } from '../store/tags.ts';
import { findSlotOf, listVersions, listWorkspaces, type WorkspaceSummary } from '../store/workspaces.ts';
import { ensureCheckout } from './checkouts.ts';
import { createWorkspace, type NewWorkspace } from './creation.ts';
import { type Deleted, deleteWorkspace, recoverWorkspaces } from './deletion.ts';
import { codeHashOf, type FileTree, liveFiles, type VersionFiles, versionFiles } from './file-tree.ts';
import { createGit } from './git.ts';
import { lookAtSlot } from './looking.ts';
import { createLookup } from './lookup.ts';
import { slotFolders } from './mounting.ts';
import { type Pruned, type PruneRequest, pruneVersions } from './pruning.ts';
import { type RolledBack, rollbackSlot } from './rollback.ts';
import {
  type ActionDeps,
  type Checkpoint,
  checkpointSlot,
  type Hibernated,
  hibernateSlot,
  isDirty,
  type Mounted,
  mountWorkspace,
  recoverSlots,
  type SlotState,
  slotState,
  snapshotWorkspace,
} from './slot-actions.ts';
import {
  type DiffRequest,
  diffTargets,
  previewSlot,
  type SlotPreview,
  type WorkspaceDiff,
} from './slot-preview.ts';
import { slotPaths } from './slot-scan.ts';
import { addTag, removeTag, type TagRequest, type TagTarget } from './tagging.ts';
import { readTree, type TreeContent } from './trees.ts';
import { createVersionStore } from './version-store.ts';
import type { SavedVersion } from './versioning.ts';

export type WorkspacesDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  /** Names of the slots, in the order they are given out. */
  slots: readonly string[];
  maxFileBytes: number;
  /** Absolute path of the files a workspace without a parent starts with. */
  templateDir: string;
  /** Where programs are found; PATH's form. */
  searchPath?: string;
};

export type VersionQuery = { workspace: string; includePruned?: boolean; limit?: number; cursor?: string };

/** Slots, versions and the hidden store. Making it does nothing; rows are read at once, files through promises. */
export type Workspaces = {
  /** Errors: WORKSPACE_EXISTS, INVALID_ARGUMENT, and for the parent WORKSPACE_NOT_FOUND, VERSION_NOT_FOUND. */
  create(request: NewWorkspace): Promise<WorkspaceVersion>;
  /** By name. `cursor` is the last name of the page before. */
  list(page?: { limit?: number; cursor?: string }): {
    workspaces: WorkspaceSummary[];
    nextCursor: string | null;
  };
  /** One that can be worked in. Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY. */
  get(nameOrSlot: string): WorkspaceSummary;
  /** One that can be read: also a deleted one, under the name it is kept as. Errors: as `get`. */
  known(nameOrSlot: string): WorkspaceSummary;
  slots(): Slot[];
  slotState(slot: string): Promise<SlotState>;
  dirty(slot: string): Promise<boolean>;
  mount(request: { workspace: string; slot?: string }): Promise<Mounted>;
  hibernate(request: { slot: string; message: string }): Promise<Hibernated>;
  checkpoint(request: { slot: string; message: string }): Promise<Checkpoint>;
  /** `version`: `v3`, `@tag`, or with the workspace in front of it. */
  rollback(request: { slot: string; version: string; reason: string }): Promise<RolledBack>;
  /** By name or slot. */
  delete(nameOrSlot: string): Promise<Deleted>;
  prune(request: PruneRequest): Pruned;
  tag(request: TagRequest): { created: boolean };
  untag(request: { tag: string; workspace: string; target?: TagTarget }): FoundTag;
  snapshot(request: { workspace: string; message: string }): Promise<SavedVersion>;
  /** What `snapshot` would give, without making a version. Errors: as `snapshot`. */
  preview(nameOrSlot: string): Promise<SlotPreview>;
  /**
   * The same, for what the caller makes of the files: `look` is called anew where it failed while another call was
   * moving them. Errors: those of `look`; CONFLICT, where the other takes two minutes.
   */
  lookAt<T>(nameOrSlot: string, look: () => Promise<T>): Promise<T>;
  /** Newest first. */
  versions(query: VersionQuery): { versions: WorkspaceVersion[]; nextCursor: string | null };
  /**
   * `ws`, a slot, `ws@v3`, `ws@tag`, `@tag`.
   * Errors: WORKSPACE_NOT_FOUND, SLOT_EMPTY, VERSION_NOT_FOUND, AMBIGUOUS_ID, INVALID_ARGUMENT.
   */
  version(reference: string): WorkspaceVersion;
  files(version: Pick<WorkspaceVersion, 'treeSha'>): VersionFiles;
  /** The live files. The list is taken once, at the first read. Errors: SLOT_EMPTY. */
  slotFiles(slot: string): FileTree;
  codeHash(version: Pick<WorkspaceVersion, 'treeSha'>): Promise<string>;
  /** Absolute path of a read-only folder with exactly the version's files. */
  checkout(version: Pick<WorkspaceVersion, 'treeSha'>): Promise<string>;
  diff(request: DiffRequest): Promise<WorkspaceDiff>;
  /** The version of the program behind the store; null where it is not installed. */
  program(): Promise<string | null>;
  /** Finishes what a death interrupted: mounts, hibernations, rollbacks, deletions, tags. Harmless at any time. */
  recover(): Promise<void>;
};

const DEFAULT_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin';
const DEFAULT_LIMIT = 20;
/** Trees whose listing is kept in memory. */
const REMEMBERED_TREES = 8;

export function createWorkspaces(options: WorkspacesDeps): Workspaces {
  const { db, layout, clock, ids } = options;
  const searchPath = options.searchPath ?? DEFAULT_SEARCH_PATH;
  const store = createVersionStore({ path: layout.versionStore, searchPath, clock, ids });
  const lookup = createLookup(db, options.slots);
  const content = rememberTrees(async (tree) => readTree(await store.git(), tree));
  const { maxFileBytes } = options;
  const deps: ActionDeps = { db, clock, ids, layout, store, lookup, content, maxFileBytes };
  const files = (version: Pick<WorkspaceVersion, 'treeSha'>): VersionFiles =>
    versionFiles(store.git, () => content(version.treeSha));
  const slotFiles = (slot: string): FileTree => {
    lookup.mountedSlot(slot);
    const { dir } = slotFolders(layout, slot);
    const index = layout.slotIndex(slot);
    return liveFiles(dir, async () => {
      const folder = { git: await store.git(), dir, maxFileBytes };
      // Without a readable index the files themselves say as much.
      return slotPaths({ ...folder, index }).catch(() => slotPaths({ ...folder, index: `${index}.none` }));
    });
  };
  return {
    create: (request) => createWorkspace(deps, { ...request, templateDir: options.templateDir }),
    list: ({ limit = DEFAULT_LIMIT, cursor } = {}) => {
      const found = listWorkspaces(db, {
        ...(cursor === undefined ? {} : { after: cursor }),
        limit: limit + 1,
      });
      const workspaces = found.slice(0, limit);
      return { workspaces, nextCursor: found.length > limit ? (workspaces.at(-1)?.name ?? null) : null };
    },
    get: lookup.workspace,
    known: lookup.known,
    slots: lookup.slots,
    slotState: (slot) => slotState(deps, slot),
    dirty: (slot) => isDirty(deps, slot),
    mount: (request) => mountWorkspace(deps, request),
    hibernate: (request) => hibernateSlot(deps, request),
    checkpoint: (request) => checkpointSlot(deps, request),
    rollback: (request) => rollbackSlot(deps, request),
    delete: (nameOrSlot) => deleteWorkspace(deps, nameOrSlot),
    prune: (request) => pruneVersions(deps, request),
    tag: (request) => addTag(deps, request),
    untag: (request) => removeTag(deps, request),
    snapshot: (request) => snapshotWorkspace(deps, request),
    preview: async (nameOrSlot) => {
      const { name } = lookup.workspace(nameOrSlot);
      const slot = findSlotOf(db, name)?.name;
      if (slot !== undefined) return previewSlot(deps, { slot, workspace: name, files: slotFiles(slot) });
      const version = lookup.newest(name);
      const codeHash = codeHashOf(await content(version.treeSha));
      return {
        workspace: name,
        version: version.version,
        wouldCreate: false,
        files: files(version),
        codeHash,
      };
    },
    lookAt: async (nameOrSlot, look) => {
      const slot = findSlotOf(db, lookup.workspace(nameOrSlot).name)?.name;
      return slot === undefined ? look() : lookAtSlot(deps, slot, look);
    },
    versions: (query) => pageOfVersions(db, lookup.known(query.workspace).name, query),
    version: lookup.version,
    files,
    slotFiles,
    codeHash: async (version) => codeHashOf(await content(version.treeSha)),
    checkout: (version) => ensureCheckout(deps, version),
    diff: (request) => diffTargets(deps, request),
    program: async () => {
      // Asked from a folder that is there: the store may not be made yet.
      const git = createGit(layout.stateDir, searchPath);
      const answer = await git.text(['version']).catch(() => null);
      return answer === null ? null : answer.replace(/^git version /, '').trim();
    },
    recover: async () => {
      await recoverSlots(deps);
      await recoverWorkspaces(deps);
    },
  };
}

function pageOfVersions(
  db: Db,
  workspace: string,
  query: VersionQuery,
): { versions: WorkspaceVersion[]; nextCursor: string | null } {
  const { limit = DEFAULT_LIMIT, cursor, includePruned = false } = query;
  const below = cursor === undefined ? Number.MAX_SAFE_INTEGER : parseVersion(cursor);
  if (below === undefined) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'The cursor is not one of this tool.',
      hint: 'Hand back next_cursor as it was returned, or leave it out to start at the newest version.',
      details: { field: 'cursor' },
    });
  }
  const found = listVersions(db, { workspace, includePruned, below, limit: limit + 1 });
  const versions = found.slice(0, limit);
  const last = versions.at(-1);
  return { versions, nextCursor: found.length > limit && last ? `v${last.version}` : null };
}

/** A tree never changes, so its listing may be kept. */
function rememberTrees(read: (tree: string) => Promise<TreeContent>): (tree: string) => Promise<TreeContent> {
  const known = new Map<string, Promise<TreeContent>>();
  return (tree) => {
    const found = known.get(tree) ?? read(tree);
    known.delete(tree);
    known.set(tree, found);
    found.catch(() => known.delete(tree));
    const oldest = known.keys().next().value;
    if (known.size > REMEMBERED_TREES && oldest !== undefined) known.delete(oldest);
    return found;
  };
}
