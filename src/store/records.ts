import type { ExperimentRecord } from '../core/rows.ts';
import type { Db } from './database.ts';

export function insertRecord(db: Db, record: ExperimentRecord): void {
  db.prepare(
    `INSERT INTO records (id, kind, workspace_name, version, pipeline_run_id, snapshot_id, message, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    record.id,
    record.kind,
    record.workspace,
    record.version,
    record.pipelineRunId,
    record.snapshotId,
    record.message,
    record.createdAt,
  );
}
