import type { ExperimentRecord, PipelineRunState } from '../core/rows.ts';
import type { Bindable, Db } from './database.ts';

type Row = {
  id: string;
  kind: ExperimentRecord['kind'];
  workspace_name: string;
  version: number;
  pipeline_run_id: string | null;
  snapshot_id: string | null;
  message: string;
  created_at: string;
};

function toRecord(row: Row): ExperimentRecord {
  return {
    id: row.id,
    kind: row.kind,
    workspace: row.workspace_name,
    version: row.version,
    pipelineRunId: row.pipeline_run_id,
    snapshotId: row.snapshot_id,
    message: row.message,
    createdAt: row.created_at,
  };
}

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

/** By one of the three names a record has. */
export function getRecord(
  db: Db,
  by: { id: string } | { pipelineRunId: string } | { snapshotId: string },
): ExperimentRecord | undefined {
  const [column, value] =
    'id' in by
      ? ['id', by.id]
      : 'snapshotId' in by
        ? ['snapshot_id', by.snapshotId]
        : ['pipeline_run_id', by.pipelineRunId];
  const row = db.prepare<Row>(`SELECT * FROM records WHERE ${column} = ?`).get(value);
  return row && toRecord(row);
}

/** Ids that begin with a prefix in capitals, at most `limit`. */
export function recordIdsLike(db: Db, prefix: string, limit: number): string[] {
  return db
    .prepare<{ id: string }>('SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?')
    .all(prefix, `${prefix}[`, limit)
    .map((row) => row.id);
}

export const RECORD_SORTS = ['newest', 'oldest', 'highest', 'lowest'] as const;
export type RecordSort = (typeof RECORD_SORTS)[number];

export type RecordFilter = {
  workspace: string;
  /** Of a pipeline run with a run of this stage. */
  stage?: string;
  /** That has this tag, or whose version has. */
  tag?: string;
  /** That has logged this metric, in `stage` where that is given; `highest` and `lowest` sort by it. */
  metric?: string;
  /** Of the metric's last value. */
  minValue?: number;
  group?: string;
  outcome?: PipelineRunState;
  sort: RecordSort;
  limit: number;
  /** Id of the last record of the page before. */
  after?: string;
};

/** A record with what is known of its pipeline run; all null for a checkpoint. */
export type RecordWithRun = ExperimentRecord & {
  outcome: PipelineRunState | null;
  group: string | null;
  retryOf: string | null;
  endedAt: string | null;
  /** The last value of the metric asked for; NaN where that is what was logged, null where nothing was. */
  value: number | null;
};

type RunColumns = Row & {
  seq: number;
  state: PipelineRunState | null;
  group_name: string | null;
  retry_of: string | null;
  ended_at: string | null;
  value: number | null;
  logged: number | null;
};

/** Where several stages log the metric, the last of the pipeline speaks. A reused run has the metrics of its original. */
const MEASURED_RUN = `
  SELECT s.rowid FROM stage_runs s
    JOIN metric_summaries ms ON ms.run_id = coalesce(s.cached_from, s.id) AND ms.name = ?
   WHERE s.pipeline_run_id = rec.pipeline_run_id AND (? IS NULL OR s.stage_name = ?)
   ORDER BY s.position DESC LIMIT 1`;

/** `rank` never is null, so that pages can go on behind any row. */
const ORDERS: Record<RecordSort, { rank: string; further: string; furtherSeq: string; by: string }> = {
  newest: { rank: '0', further: '<', furtherSeq: '<', by: 'seq DESC' },
  oldest: { rank: '0', further: '>', furtherSeq: '>', by: 'seq' },
  highest: {
    rank: 'coalesce(value, -9e999)',
    further: '<',
    furtherSeq: '<',
    by: 'coalesce(value, -9e999) DESC, seq DESC',
  },
  lowest: {
    rank: 'coalesce(value, 9e999)',
    further: '>',
    furtherSeq: '<',
    by: 'coalesce(value, 9e999), seq DESC',
  },
};

/** Rows are in the order of their insertion, which is that of their time. NaN sorts last. */
export function listRecords(db: Db, filter: RecordFilter): RecordWithRun[] {
  const { metric = null, stage = null } = filter;
  const { clause, params } = conditions(filter);
  return db
    .prepare<RunColumns>(
      `WITH measured AS (
         SELECT rec.rowid AS seq, rec.*, p.state, p.group_name, p.retry_of, p.ended_at,
                (${MEASURED_RUN}) AS measured_run
           FROM records rec LEFT JOIN pipeline_runs p ON p.id = rec.pipeline_run_id
          WHERE rec.workspace_name = ?),
       ranked AS (
         SELECT d.*, ms.last AS value, ms.count AS logged
           FROM measured d
           LEFT JOIN stage_runs s ON s.rowid = d.measured_run
           LEFT JOIN metric_summaries ms ON ms.run_id = coalesce(s.cached_from, s.id) AND ms.name = ?)
       SELECT r.* FROM ranked r ${clause} ORDER BY ${ORDERS[filter.sort].by} LIMIT ?`,
    )
    .all(metric, stage, stage, filter.workspace, metric, ...params, filter.limit)
    .map(toRecordWithRun);
}

function conditions(filter: RecordFilter): { clause: string; params: Bindable[] } {
  const where: string[] = [];
  const params: Bindable[] = [];
  const add = (sql: string, ...values: Bindable[]): void => {
    where.push(sql);
    params.push(...values);
  };
  if (filter.stage !== undefined) {
    add(
      'EXISTS (SELECT 1 FROM stage_runs s WHERE s.pipeline_run_id = r.pipeline_run_id AND s.stage_name = ?)',
      filter.stage,
    );
  }
  if (filter.tag !== undefined) {
    add(
      `EXISTS (SELECT 1 FROM tags t WHERE t.workspace_name = r.workspace_name AND t.tag = ?
         AND (t.record_id = r.id OR t.version = r.version))`,
      filter.tag,
    );
  }
  if (filter.metric !== undefined) add('r.logged IS NOT NULL');
  if (filter.minValue !== undefined) add('r.value >= ?', filter.minValue);
  if (filter.group !== undefined) add('r.group_name = ?', filter.group);
  if (filter.outcome !== undefined) add('r.state = ?', filter.outcome);
  if (filter.after !== undefined) {
    const { rank, further, furtherSeq } = ORDERS[filter.sort];
    const there = (what: string): string => `(SELECT ${what} FROM ranked WHERE id = ?)`;
    add(
      `(${rank} ${further} ${there(rank)} OR (${rank} = ${there(rank)} AND seq ${furtherSeq} ${there('seq')}))`,
      filter.after,
      filter.after,
      filter.after,
    );
  }
  return { clause: where.length > 0 ? `WHERE ${where.join(' AND ')}` : '', params };
}

function toRecordWithRun(row: RunColumns): RecordWithRun {
  return {
    ...toRecord(row),
    outcome: row.state,
    group: row.group_name,
    retryOf: row.retry_of,
    endedAt: row.ended_at,
    value: row.logged === null ? null : (row.value ?? Number.NaN),
  };
}
