import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import type { StageRun } from '../core/rows.ts';
import { RUN_STATES } from '../core/run-lifecycle.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, reference, text, workspace } from './fields.ts';
import { formatPosition, readPosition, readTime } from './ids.ts';
import { firstOf, listPage } from './list-page.ts';
import { runRow, stateText, tookText, toRunRow } from './run-rows.ts';
import { lines } from './text.ts';

const findings = z.int().optional().describe('What monitors noticed; left out: nothing');

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
  output: answer({ ...listFields, runs: z.array(runRow.extend({ findings })) }),
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
    return await listPage('runs', input.limit, (size) =>
      pageOf(ctx, ctx.runs.list({ ...filter, limit: size + 1 }), size),
    );
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
          row.replicate,
          stateText(row),
          row.created_at,
          tookText(row),
          row.metric ? `${row.metric.name} ${row.metric.value}` : '',
          row.findings,
        ]),
        [
          'run',
          'pipeline run',
          'version',
          'stage',
          'replicate',
          'state',
          'created',
          'took',
          'metric',
          'warnings',
        ],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

function pageOf(ctx: ServerContext, runs: readonly StageRun[], size: number) {
  const counts = ctx.runs.countFindings(runs);
  return firstOf(runs, size, {
    row: (run) => {
      const noticed = counts.get(run.id);
      return {
        ...toRunRow(run, ctx.runs.summary(run)[0] ?? null),
        ...(noticed === undefined ? {} : { findings: noticed }),
      };
    },
    cursor: formatPosition,
  });
}

function pipelineRunId(found: { kind: string; run: { id: string; pipelineRunId?: string } }): string {
  return found.run.pipelineRunId ?? found.run.id;
}
