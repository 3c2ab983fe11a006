import type { JsonObject } from '../core/json.ts';
import type { AuditRow } from '../core/rows.ts';
import type { Bindable, Db } from './database.ts';

type Columns = {
  id: number;
  operation: string;
  workspace: string | null;
  actor: string;
  reason: string | null;
  outcome: string;
  details_json: string;
  created_at: string;
};

function toRow(columns: Columns): AuditRow {
  return {
    id: columns.id,
    operation: columns.operation,
    workspace: columns.workspace,
    actor: columns.actor,
    reason: columns.reason,
    outcome: columns.outcome,
    details: JSON.parse(columns.details_json) as JsonObject,
    createdAt: columns.created_at,
  };
}

/** Appends one row; `outcome` is `ok` or the error code of a refusal. */
export function insertAudit(db: Db, row: Omit<AuditRow, 'id'>): void {
  db.write(() => {
    db.prepare(
      `INSERT INTO audit (operation, workspace, actor, reason, outcome, details_json, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      row.operation,
      row.workspace,
      row.actor,
      row.reason,
      row.outcome,
      JSON.stringify(row.details),
      row.createdAt,
    );
  });
}

export type AuditFilter = {
  workspace?: string;
  operation?: string;
  /** ISO time: at or after. */
  since?: string;
  /** Only rows before the one of this id. */
  before?: number;
  limit: number;
};

/** The newest rows first. */
export function listAudit(db: Db, filter: AuditFilter): AuditRow[] {
  const where: string[] = [];
  const params: Bindable[] = [];
  const add = (sql: string, value: Bindable | undefined): void => {
    if (value === undefined) return;
    where.push(sql);
    params.push(value);
  };
  add('workspace = ?', filter.workspace);
  add('operation = ?', filter.operation);
  add('created_at >= ?', filter.since);
  add('id < ?', filter.before);
  const clause = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
  return db
    .prepare<Columns>(`SELECT * FROM audit ${clause} ORDER BY id DESC LIMIT ?`)
    .all(...params, filter.limit)
    .map(toRow);
}

/** The newest rows first. */
export function recentAudit(db: Db, limit: number): AuditRow[] {
  return db.prepare<Columns>('SELECT * FROM audit ORDER BY id DESC LIMIT ?').all(limit).map(toRow);
}
