import { z } from 'zod';
import { RUN_STATES } from '../core/run-lifecycle.ts';
import { fitPage } from './budget.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, reference, SCHEMA_VERSION, text, workspace } from './fields.ts';
import { formatPosition, readPosition, readTime } from './ids.ts';
import { type RunRow, runRow, stateText, tookText, toRunRow } from './run-rows.ts';
import { lines } from './text.ts';

type ListPage = { schema_version: number; runs: RunRow[]; next_cursor: string | null; errors: [] };

export const listRuns = defineTool({
  name: 'list_runs',
  title: 'List runs',
  description:
    'Runs of stages, newest first, in short rows. Filter by workspace, stage, state, group, pipeline run or time.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace: workspace.optional(),
    stage: text(64).min(1).optional().describe('Name of a stage'),
    state: z.enum(RUN_STATES).optional().describe('Only in this state'),
    group: text(64).min(1).optional().describe('The group its call named'),
    pipeline_run_id: reference.optional().describe('prun-…: its runs'),
    since: text(40).min(1).optional().describe('Created at or after this time'),
    limit,
    cursor,
  }),
  output: answer({ ...listFields, runs: z.array(runRow) }),
  handler: async (ctx, input) => {
    const filter = {
      ...(input.workspace === undefined ? {} : { workspace: ctx.workspaces.known(input.workspace).name }),
      ...(input.stage === undefined ? {} : { stage: input.stage }),
      ...(input.state === undefined ? {} : { state: input.state }),
      ...(input.group === undefined ? {} : { group: input.group }),
      ...(input.pipeline_run_id === undefined
        ? {}
        : { pipelineRunId: pipelineRunId(ctx.runs.find(input.pipeline_run_id)) }),
      ...(input.since === undefined ? {} : { since: readTime('since', input.since) }),
      ...(input.cursor === undefined ? {} : { after: readPosition(input.cursor) }),
    };
    return fitPage<ListPage>({
      limit: input.limit,
      rows: (page) => page.runs,
      fetch: (size) => {
        // One more than shown tells whether there is a next page.
        const found = ctx.runs.list({ ...filter, limit: size + 1 });
        const shown = found.slice(0, size);
        const last = shown.at(-1);
        return {
          schema_version: SCHEMA_VERSION,
          runs: shown.map((run) => toRunRow(run, ctx.runs.summary(run)[0] ?? null)),
          next_cursor: last && found.length > size ? formatPosition(last) : null,
          errors: [],
        };
      },
    });
  },
  render: (output, kit) => {
    const rows = output.runs ?? [];
    if (rows.length === 0) return 'No runs fit.';
    return lines(
      kit.table(
        rows.map((row) => [
          row.run_id,
          row.pipeline_run_id,
          `${row.workspace}@${row.version}`,
          row.stage,
          stateText(row),
          row.created_at,
          tookText(row),
          row.metric ? `${row.metric.name} ${row.metric.value}` : '',
        ]),
        ['run', 'pipeline run', 'version', 'stage', 'state', 'created', 'took', 'metric'],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

function pipelineRunId(found: { kind: string; run: { id: string; pipelineRunId?: string } }): string {
  return found.run.pipelineRunId ?? found.run.id;
}
