import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import { type HistoryRow, readHistory } from '../experiments/history.ts';
import { RECORD_SORTS } from '../store/records.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, text, workspace } from './fields.ts';
import { listPage } from './list-page.ts';
import { showMetric } from './run-rows.ts';
import { lines } from './text.ts';
import { tagText } from './version-tags.ts';

const OUTCOMES = ['pending', 'running', 'completed', 'failed', 'terminated', 'canceled'] as const;

const recordRow = z.object({
  record_id: z.string(),
  kind: z.enum(['pipeline_run', 'checkpoint']),
  version: z.string(),
  message: z.string().describe('Reason of the run, message of the checkpoint'),
  created_at: z.string(),
  ended_at: z.string().nullable(),
  pipeline_run_id: z.string().nullable(),
  outcome: z.string().nullable().describe('State of the pipeline run'),
  stages: z.array(z.string()),
  metrics: z.record(z.string(), z.union([z.number(), z.string()])).describe('stage.metric: last value'),
  tags: z.array(z.string()),
  group: z.string().nullable(),
  retry_of: z.string().nullable(),
});

export const history = defineTool({
  name: 'history',
  title: 'History of experiments',
  description:
    'What was tried in a workspace and what came out: one record per pipeline run and checkpoint, newest first. Filter by stage, tag, metric, group or outcome; sort by a metric to find the best.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    stage: text(64).min(1).optional().describe('That ran this stage'),
    tag: text(64).min(1).optional().describe('With this tag'),
    metric: text(200).min(1).optional().describe('That logged it'),
    min_value: z.number().optional().describe('Of the metric, at least'),
    group: text(200).min(1).optional().describe('Of this group'),
    outcome: z.enum(OUTCOMES).optional().describe('State of the pipeline run'),
    sort: z.enum(RECORD_SORTS).optional().describe('Default newest; highest, lowest: of the metric'),
    limit,
    cursor,
  }),
  output: answer({ ...listFields, workspace: z.string(), records: z.array(recordRow) }),
  handler: async (ctx, input) => {
    const { name } = ctx.workspaces.known(input.workspace);
    const filter = {
      workspace: name,
      sort: input.sort ?? 'newest',
      ...(input.stage === undefined ? {} : { stage: input.stage }),
      ...(input.tag === undefined ? {} : { tag: input.tag.replace(/^@/, '') }),
      ...(input.metric === undefined ? {} : { metric: input.metric }),
      ...(input.min_value === undefined ? {} : { minValue: input.min_value }),
      ...(input.group === undefined ? {} : { group: input.group }),
      ...(input.outcome === undefined ? {} : { outcome: input.outcome }),
      ...(input.cursor === undefined ? {} : { after: input.cursor }),
    };
    const page = await listPage('records', input.limit, (size) => {
      const found = readHistory(ctx.db, { ...filter, limit: size });
      return { rows: found.records.map(toRow), nextCursor: found.nextCursor };
    });
    return { ...page, workspace: name };
  },
  render: (output, kit) => {
    const rows = output.records ?? [];
    if (rows.length === 0) return `No record of ${output.workspace} fits.`;
    return lines(
      kit.table(
        rows.map((row) => [
          row.record_id,
          row.version,
          row.created_at,
          row.outcome ?? row.kind,
          Object.entries(row.metrics)
            .map(([name, value]) => `${name} ${value}`)
            .join(', '),
          tagText(row.tags),
          row.message,
        ]),
        ['record', 'version', 'created', 'outcome', 'metrics', 'tags', 'why'],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

function toRow(row: HistoryRow): z.infer<typeof recordRow> {
  return {
    record_id: row.id,
    kind: row.kind,
    version: formatVersion(row.version),
    message: row.message.slice(0, 200),
    created_at: row.createdAt,
    ended_at: row.endedAt,
    pipeline_run_id: row.pipelineRunId,
    outcome: row.outcome,
    stages: row.stages.map(({ stage, state }) => (state === 'completed' ? stage : `${stage} (${state})`)),
    metrics: Object.fromEntries(
      row.metrics.map(({ stage, name, last }) => [`${stage}.${name}`, showMetric(last)]),
    ),
    tags: row.tags,
    group: row.group,
    retry_of: row.retryOf,
  };
}
