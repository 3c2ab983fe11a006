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
          .enum(['canceled', 'stopping', 'finishing', 'over'])
          .describe(
            'stopping: asked to stop; finishing: its program had ended, and it ends by that; over: had ended before',
          ),
      }),
    ),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.target, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const { targetId, runs } = await ctx.runs.cancel(input);
    const goesOn = runs.some(({ outcome }) => outcome === 'stopping' || outcome === 'finishing');
    return {
      target: targetId,
      runs: runs.map(({ runId: run_id, ...row }) => ({ run_id, ...row })),
      next: goesOn ? { tool: 'wait', arguments: { targets: [targetId] } } : { tool: 'status', arguments: {} },
    };
  },
  render: (output, kit) => {
    const rows = output.runs ?? [];
    const having = (...outcomes: string[]): number =>
      rows.filter(({ outcome }) => outcomes.includes(outcome)).length;
    const canceled = having('canceled', 'stopping');
    const finishing = having('finishing');
    return lines(
      canceled > 0 && `${count(canceled, 'run')} of ${output.target} canceled.`,
      finishing > 0 &&
        `${count(finishing, 'run')} had ended already and ${finishing === 1 ? 'is' : 'are'} storing outputs: too late to cancel.`,
      canceled + finishing === 0 && `${output.target} had ended before; nothing was changed.`,
      kit.table(
        rows.map((row) => [row.run_id, row.stage, row.state, row.outcome]),
        ['run', 'stage', 'state', 'outcome'],
      ),
      output.next && `next: ${callText(output.next)}`,
    );
  },
});
