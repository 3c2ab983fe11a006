import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { formatVersion } from '../core/names.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { StagePlan } from '../core/stage-plan.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, runId, text } from './fields.ts';
import { memberRow, stateText, toMemberRow } from './run-rows.ts';
import { callText, lines } from './text.ts';

export const retry = defineTool({
  name: 'retry',
  title: 'Retry a run',
  description:
    'Runs a failed, terminated or canceled run again, from the same version, with those canceled because of it. Completed stages are reused: their outputs are the inputs. Mended code needs run instead.',
  toolset: 'default',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: true },
  input: z.strictObject({
    run_id: runId,
    reason,
    from_checkpoint: text(80)
      .min(1)
      .optional()
      .describe('Name or id of a stage checkpoint to go on from; "latest": all of them'),
    config_override: z
      .record(text(64).min(1), z.record(text(200), z.unknown()))
      .optional()
      .describe('{stage: {key: value}}, such as {train: {compute: {memory: 8g}}}'),
  }),
  output: answer({
    pipeline_run_id: z.string(),
    retry_of: z.string(),
    workspace: z.string(),
    version: z.string(),
    deduplicated: z.boolean().describe('true: an equal call was made before; this is its pipeline run'),
    state: z.string(),
    runs: z.array(memberRow),
    from_checkpoint: z
      .object({ run_id: z.string(), checkpoint: z.string(), step: z.number().nullable(), count: z.int() })
      .nullable()
      .describe('What it starts with: the newest, and how many'),
    reused: z
      .array(z.object({ stage: z.string(), run_id: z.string() }))
      .describe('Completed before; their outputs are inputs'),
    left_out: z
      .array(z.object({ stage: z.string(), run_id: z.string(), needs: z.string() }))
      .describe('Canceled because of it, but waiting for another run that did not complete'),
    backends: z.array(z.object({ name: z.string(), why: z.string() })),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.run_id, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const done = await ctx.runs.retry({
      runId: input.run_id,
      reason: input.reason,
      ...(input.from_checkpoint === undefined ? {} : { fromCheckpoint: input.from_checkpoint }),
      // Arguments came as JSON, so what zod calls unknown is JSON.
      ...(input.config_override ? { configOverride: input.config_override as JsonObject } : {}),
    });
    const { id, state } = done.pipelineRun;
    return {
      pipeline_run_id: id,
      retry_of: done.retryOf,
      workspace: done.version.workspace,
      version: formatVersion(done.version.version),
      deduplicated: done.deduplicated,
      state,
      runs: done.runs.map(toMemberRow),
      from_checkpoint: toStart(done.startFrom),
      reused: done.reused.map(({ stage, runId: run_id }) => ({ stage, run_id })),
      left_out: done.leftOut.map(({ stage, runId: run_id, needs }) => ({ stage, run_id, needs })),
      backends: done.backends,
      next: done.runs.every((run) => isTerminal(run.state))
        ? { tool: 'list_runs', arguments: { pipeline_run_id: id } }
        : { tool: 'wait', arguments: { targets: [id] } },
    };
  },
  render: (output, kit) =>
    lines(
      `${output.pipeline_run_id} of ${output.workspace}@${output.version} retries ${output.retry_of} and is ${output.state}.`,
      output.deduplicated &&
        'An equal call was made before: this is its pipeline run, nothing new was started.',
      kit.table(
        (output.runs ?? []).map((row) => [row.run_id, row.stage, stateText(row), row.why]),
        ['run', 'stage', 'state', 'reused, or why not'],
      ),
      output.from_checkpoint && startText(output.from_checkpoint),
      ...(output.reused ?? []).map(
        (row) => `${row.stage} is not run again: its outputs are those of ${row.run_id}.`,
      ),
      ...(output.left_out ?? []).map((row) => `${row.stage} stays canceled: it also needs ${row.needs}.`),
      output.next && `next: ${callText(output.next)}`,
    ),
});

type Start = { run_id: string; checkpoint: string; step: number | null; count: number };

function toStart(startFrom: StagePlan['startFrom']): Start | null {
  const newest = startFrom?.checkpoints.at(-1);
  if (!startFrom || !newest) return null;
  const { id: checkpoint, step } = newest;
  return { run_id: startFrom.runId, checkpoint, step, count: startFrom.checkpoints.length };
}

function startText({ run_id, checkpoint, step, count }: Start): string {
  const at = step === null ? '' : ` (step ${step})`;
  const more = count > 1 ? `; the ${count - 1} before it are there too` : '';
  return `It goes on from checkpoint ${checkpoint}${at} of ${run_id}${more}.`;
}
