import { GoldfishError } from '../core/errors.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from '../store/database.ts';
import { type LastMetric, lastMetrics, stageStates } from '../store/record-details.ts';
import { getRecord, listRecords, type RecordFilter, type RecordWithRun } from '../store/records.ts';
import { tagsOfWorkspace } from '../store/tags.ts';

export type HistoryRow = RecordWithRun & {
  /** Of the record, and of its version. */
  tags: string[];
  /** Empty for a checkpoint. */
  stages: { stage: string; state: RunState }[];
  metrics: LastMetric[];
};

export type HistoryPage = { records: HistoryRow[]; nextCursor: string | null };

/** Metrics shown of one record. */
const SHOWN_METRICS = 4;

/**
 * The records of a workspace with what became of each. Reads only.
 * Errors: INVALID_ARGUMENT for a value or an order without a metric, and for a cursor of elsewhere.
 */
export function readHistory(db: Db, filter: RecordFilter): HistoryPage {
  const { metric, minValue, sort } = filter;
  if (metric === undefined && (minValue !== undefined || sort === 'highest' || sort === 'lowest')) {
    const field = minValue === undefined ? 'sort' : 'min_value';
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `"${field}" needs to know of which metric.`,
      hint: 'Name it in "metric"; inspect_run and metrics show what a run logged.',
      details: { field: 'metric' },
    });
  }
  if (filter.after !== undefined && getRecord(db, { id: filter.after })?.workspace !== filter.workspace) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'The cursor is not one of this list.',
      hint: 'Hand back next_cursor as it was returned, with the same workspace, or leave it out to start again.',
      details: { field: 'cursor' },
    });
  }
  return db.read(() => {
    // One more than asked for tells whether there is a next page.
    const found = listRecords(db, { ...filter, limit: filter.limit + 1 });
    const shown = found.slice(0, filter.limit);
    const tags = tagsOfWorkspace(db, filter.workspace);
    const records = shown.map((record) => ({
      ...record,
      tags: tags
        .filter((tag) => tag.recordId === record.id || tag.version === record.version)
        .map((tag) => tag.tag),
      ...runParts(db, filter, record.pipelineRunId),
    }));
    return { records, nextCursor: found.length > filter.limit ? (shown.at(-1)?.id ?? null) : null };
  });
}

function runParts(db: Db, filter: RecordFilter, pipelineRunId: string | null) {
  if (pipelineRunId === null) return { stages: [], metrics: [] };
  const { metric: name, stage } = filter;
  return {
    stages: stageStates(db, pipelineRunId),
    metrics: lastMetrics(db, { pipelineRunId, name, stage, limit: SHOWN_METRICS }),
  };
}
