import type { Tag } from '../core/rows.ts';
import type { Db } from './database.ts';

/** `leadsTo` is the version it stands for: its own, or that of the record it names. */
export type FoundTag = Tag & { leadsTo: number };

type Row = {
  workspace_name: string;
  tag: string;
  version: number | null;
  record_id: string | null;
  created_at: string;
  leads_to: number;
};

const FOUND = `
  SELECT t.workspace_name, t.tag, t.version, t.record_id, t.created_at, coalesce(t.version, r.version) AS leads_to
    FROM tags t LEFT JOIN records r ON r.id = t.record_id`;

function toTag(row: Row): FoundTag {
  return {
    workspace: row.workspace_name,
    tag: row.tag,
    version: row.version,
    recordId: row.record_id,
    createdAt: row.created_at,
    leadsTo: row.leads_to,
  };
}

export function findTag(db: Db, workspace: string, tag: string): FoundTag | undefined {
  const row = db.prepare<Row>(`${FOUND} WHERE t.workspace_name = ? AND t.tag = ?`).get(workspace, tag);
  return row && toTag(row);
}

/** Of all workspaces that are not deleted, at most `limit`. */
export function findTagEverywhere(db: Db, tag: string, limit: number): FoundTag[] {
  return db
    .prepare<Row>(
      `${FOUND} JOIN workspaces w ON w.name = t.workspace_name
        WHERE t.tag = ? AND w.deleted_at IS NULL ORDER BY t.workspace_name LIMIT ?`,
    )
    .all(tag, limit)
    .map(toTag);
}

/** By name. */
export function tagsOfWorkspace(db: Db, workspace: string): FoundTag[] {
  return db.prepare<Row>(`${FOUND} WHERE t.workspace_name = ? ORDER BY t.tag`).all(workspace).map(toTag);
}

/** Every tag of the project that names something people can still work with, the nearest words for a typing error. */
export function tagNames(db: Db, workspace?: string): string[] {
  return db
    .prepare<{ tag: string }>(
      `SELECT DISTINCT t.tag FROM tags t JOIN workspaces w ON w.name = t.workspace_name
        WHERE (? IS NULL AND w.deleted_at IS NULL) OR t.workspace_name = ? ORDER BY t.tag`,
    )
    .all(workspace ?? null, workspace ?? null)
    .map((row) => row.tag);
}

export function insertTag(db: Db, tag: Tag): void {
  db.prepare(
    'INSERT INTO tags (workspace_name, tag, version, record_id, created_at) VALUES (?, ?, ?, ?, ?)',
  ).run(tag.workspace, tag.tag, tag.version, tag.recordId, tag.createdAt);
}

export function deleteTag(db: Db, workspace: string, tag: string): void {
  db.prepare('DELETE FROM tags WHERE workspace_name = ? AND tag = ?').run(workspace, tag);
}
