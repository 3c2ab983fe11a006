import { z } from 'zod';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, reference } from './fields.ts';
import { callText, count, lines } from './text.ts';

export const cancel = defineTool({
  name: 'cancel',
  title: 'Cancel runs',
  description:
    'Stops a run, or every run of a pipeline run, together with everything it started. What waits ends at once; what runs is asked to stop and killed after its grace period. Ended runs stay as they are.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.strictObject({
    target: reference.describe('Run or pipeline run'),
    reason,
  }),
  output: answer({
    target: z.string(),
    runs: z.array(
      z.object({
        run_id: z.string(),
        stage: z.string(),
        state: z.string(),
        outcome: z
          .enum(['canceled', 'stopping', 'over'])
          .describe('stopping: asked to stop; over: had ended before'),
      }),
    ),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.target, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const { targetId, runs } = await ctx.runs.cancel(input);
    const stopping = runs.some((run) => run.outcome === 'stopping');
    return {
      target: targetId,
      runs: runs.map(({ runId: run_id, ...row }) => ({ run_id, ...row })),
      next: stopping
        ? { tool: 'wait', arguments: { targets: [targetId] } }
        : { tool: 'status', arguments: {} },
    };
  },
  render: (output, kit) => {
    const rows = output.runs ?? [];
    const ended = rows.filter((row) => row.outcome !== 'over').length;
    return lines(
      ended === 0
        ? `${output.target} had ended before; nothing was changed.`
        : `${count(ended, 'run')} of ${output.target} canceled.`,
      kit.table(
        rows.map((row) => [row.run_id, row.stage, row.state, row.outcome]),
        ['run', 'stage', 'state', 'outcome'],
      ),
      output.next && `next: ${callText(output.next)}`,
    );
  },
});
