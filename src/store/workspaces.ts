import type { ExperimentRecord, Slot, VersionOrigin, Workspace, WorkspaceVersion } from '../core/rows.ts';
import type { Db } from './database.ts';

/** A workspace with what every list shows of it. `newest` is 0 only for a row that somebody else made without a version. */
export type WorkspaceSummary = Workspace & {
  /** Set where it was deleted: then it can be read under the name it was given for that. */
  deletedAt: string | null;
  slot: string | null;
  /** Versions ever made; numbers run from 1 without gaps. */
  versions: number;
  newest: number;
  lastVersionAt: string | null;
};

type WorkspaceColumns = {
  name: string;
  goal: string;
  from_workspace: string | null;
  from_version: number | null;
  created_at: string;
  deleted_at: string | null;
  slot: string | null;
  versions: number;
  newest: number | null;
  last_version_at: string | null;
};
type SlotColumns = { name: string; workspace_name: string | null; mounted_at: string | null };
type VersionColumns = {
  workspace_name: string;
  version: number;
  git_sha: string;
  tree_sha: string;
  created_by: VersionOrigin;
  message: string;
  created_at: string;
  pruned_at: string | null;
};

const SUMMARY = `
  SELECT w.name, w.goal, w.from_workspace, w.from_version, w.created_at, w.deleted_at, s.name AS slot,
         count(v.version) AS versions, max(v.version) AS newest, max(v.created_at) AS last_version_at
    FROM workspaces w
    LEFT JOIN slots s ON s.workspace_name = w.name
    LEFT JOIN workspace_versions v ON v.workspace_name = w.name`;

function toSummary(row: WorkspaceColumns): WorkspaceSummary {
  return {
    name: row.name,
    goal: row.goal,
    fromWorkspace: row.from_workspace,
    fromVersion: row.from_version,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
    slot: row.slot,
    versions: row.versions,
    newest: row.newest ?? 0,
    lastVersionAt: row.last_version_at,
  };
}

function toSlot(row: SlotColumns): Slot {
  return { name: row.name, workspace: row.workspace_name, mountedAt: row.mounted_at };
}

function toVersion(row: VersionColumns): WorkspaceVersion {
  return {
    workspace: row.workspace_name,
    version: row.version,
    gitSha: row.git_sha,
    treeSha: row.tree_sha,
    createdBy: row.created_by,
    message: row.message,
    createdAt: row.created_at,
    prunedAt: row.pruned_at,
  };
}

/** One that can be worked in. */
export function findWorkspace(db: Db, name: string): WorkspaceSummary | undefined {
  const found = findKnownWorkspace(db, name);
  return found?.deletedAt === null ? found : undefined;
}

/** One that can be read: also a deleted one, under the name it was given for that. */
export function findKnownWorkspace(db: Db, name: string): WorkspaceSummary | undefined {
  const row = db.prepare<WorkspaceColumns>(`${SUMMARY} WHERE w.name = ? GROUP BY w.name`).get(name);
  return row && toSummary(row);
}

/** By name, after `after`. */
export function listWorkspaces(
  db: Db,
  options: { after?: string; limit: number; includeDeleted?: boolean },
): WorkspaceSummary[] {
  return db
    .prepare<WorkspaceColumns>(
      `${SUMMARY} WHERE w.name > ? AND (? OR w.deleted_at IS NULL) GROUP BY w.name ORDER BY w.name LIMIT ?`,
    )
    .all(options.after ?? '', options.includeDeleted ? 1 : 0, options.limit)
    .map(toSummary);
}

export function workspaceNames(db: Db): string[] {
  return db
    .prepare<{ name: string }>('SELECT name FROM workspaces WHERE deleted_at IS NULL ORDER BY name')
    .all()
    .map((row) => row.name);
}

/** The workspace and its v1 in one transaction; false where the name is taken (also by another process just now). */
export function insertWorkspace(db: Db, workspace: Workspace, first: WorkspaceVersion): boolean {
  return db.write(() => {
    const inserted = db
      .prepare(
        `INSERT INTO workspaces (name, goal, from_workspace, from_version, created_at)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
      )
      .run(
        workspace.name,
        workspace.goal,
        workspace.fromWorkspace,
        workspace.fromVersion,
        workspace.createdAt,
      );
    if (inserted === 1) insertVersionRow(db, first);
    return inserted === 1;
  });
}

/**
 * Adds a version after `version - 1`, which must still be the newest: the compare-and-swap that keeps two makers of
 * versions from taking the same number or losing a parent. False where it is not.
 */
export function insertVersion(db: Db, version: WorkspaceVersion): boolean {
  return db.write(() => {
    if (findNewestVersion(db, version.workspace)?.version !== version.version - 1) return false;
    insertVersionRow(db, version);
    return true;
  });
}

function insertVersionRow(db: Db, version: WorkspaceVersion): void {
  db.prepare(
    `INSERT INTO workspace_versions (workspace_name, version, git_sha, tree_sha, created_by, message, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    version.workspace,
    version.version,
    version.gitSha,
    version.treeSha,
    version.createdBy,
    version.message,
    version.createdAt,
  );
}

export function findVersion(db: Db, workspace: string, version: number): WorkspaceVersion | undefined {
  const row = db
    .prepare<VersionColumns>('SELECT * FROM workspace_versions WHERE workspace_name = ? AND version = ?')
    .get(workspace, version);
  return row && toVersion(row);
}

export function findNewestVersion(db: Db, workspace: string): WorkspaceVersion | undefined {
  const row = db
    .prepare<VersionColumns>(
      'SELECT * FROM workspace_versions WHERE workspace_name = ? ORDER BY version DESC LIMIT 1',
    )
    .get(workspace);
  return row && toVersion(row);
}

/** Newest first, numbers below `below`. */
export function listVersions(
  db: Db,
  options: { workspace: string; includePruned: boolean; below: number; limit: number },
): WorkspaceVersion[] {
  return db
    .prepare<VersionColumns>(
      `SELECT * FROM workspace_versions
        WHERE workspace_name = ? AND version < ? AND (? OR pruned_at IS NULL)
        ORDER BY version DESC LIMIT ?`,
    )
    .all(options.workspace, options.below, options.includePruned ? 1 : 0, options.limit)
    .map(toVersion);
}

/** Hides versions from lists (`at`), or shows them again (null). Their files and everything made from them stay. */
export function markPruned(
  db: Db,
  change: { workspace: string; versions: readonly number[]; at: string | null },
): void {
  const update = db.prepare(
    'UPDATE workspace_versions SET pruned_at = ? WHERE workspace_name = ? AND version = ?',
  );
  for (const version of change.versions) update.run(change.at, change.workspace, version);
}

/** Versions with a run that has not ended. */
export function versionsInUse(db: Db, workspace: string): Set<number> {
  const rows = db
    .prepare<{ version: number }>(
      `SELECT DISTINCT version FROM stage_runs
        WHERE workspace_name = ? AND state NOT IN ('completed', 'failed', 'terminated', 'canceled')`,
    )
    .all(workspace);
  return new Set(rows.map((row) => row.version));
}

export function findSlot(db: Db, slot: string): Slot | undefined {
  const row = db.prepare<SlotColumns>('SELECT * FROM slots WHERE name = ?').get(slot);
  return row && toSlot(row);
}

export function findSlotOf(db: Db, workspace: string): Slot | undefined {
  const row = db.prepare<SlotColumns>('SELECT * FROM slots WHERE workspace_name = ?').get(workspace);
  return row && toSlot(row);
}

export function listSlots(db: Db): Slot[] {
  return db.prepare<SlotColumns>('SELECT * FROM slots ORDER BY name').all().map(toSlot);
}

/** Takes the slot for the workspace, not yet mounted. False where either is taken already, or the workspace was deleted. */
export function claimSlot(db: Db, slot: string, workspace: string): boolean {
  return db.write(() => {
    if (findSlotOf(db, workspace) || !findWorkspace(db, workspace)) return false;
    db.prepare('INSERT INTO slots (name) VALUES (?) ON CONFLICT (name) DO NOTHING').run(slot);
    return (
      db
        .prepare(
          'UPDATE slots SET workspace_name = ?, mounted_at = NULL WHERE name = ? AND workspace_name IS NULL',
        )
        .run(workspace, slot) === 1
    );
  });
}

export function markMounted(db: Db, slot: string, at: string): void {
  db.write(() => db.prepare('UPDATE slots SET mounted_at = ? WHERE name = ?').run(at, slot));
}

/** Says that the files of the slot are to be written (again). */
export function markMounting(db: Db, slot: string): void {
  db.write(() => db.prepare('UPDATE slots SET mounted_at = NULL WHERE name = ?').run(slot));
}

export function releaseSlot(db: Db, slot: string): void {
  db.write(() =>
    db.prepare('UPDATE slots SET workspace_name = NULL, mounted_at = NULL WHERE name = ?').run(slot),
  );
}

/**
 * Writes the record of a checkpoint. `snapshotId` makes the id for a time: two checkpoints of one version within a
 * second would get the same, so the first free second from `now` on (ms since the epoch) is taken.
 */
export function insertCheckpointRecord(
  db: Db,
  record: Omit<ExperimentRecord, 'kind' | 'pipelineRunId' | 'snapshotId'>,
  snapshotId: (ms: number) => string,
  now: number,
): ExperimentRecord {
  return db.write(() => {
    const taken = db.prepare<{ id: string }>('SELECT id FROM records WHERE snapshot_id = ?');
    let time = now;
    while (taken.get(snapshotId(time))) time += 1000;
    const whole = {
      ...record,
      kind: 'checkpoint',
      pipelineRunId: null,
      snapshotId: snapshotId(time),
    } as const;
    db.prepare(
      `INSERT INTO records (id, kind, workspace_name, version, snapshot_id, message, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      whole.id,
      whole.kind,
      whole.workspace,
      whole.version,
      whole.snapshotId,
      whole.message,
      whole.createdAt,
    );
    return whole;
  });
}
