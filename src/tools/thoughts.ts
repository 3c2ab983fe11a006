import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { findStageRun } from '../runs/find.ts';
import { insertThought } from '../store/thoughts.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, runId, text, workspace } from './fields.ts';
import { callText, lines } from './text.ts';

const MAX_THOUGHT = 4_000;

export const logThought = defineTool({
  name: 'log_thought',
  title: 'Keep a thought',
  description:
    'Keeps an observation, an idea or a decision with the project, a workspace or a run, for whoever works here next. inspect_workspace shows those of a workspace (include: thoughts).',
  toolset: 'all',
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.strictObject({
    thought: text(MAX_THOUGHT)
      .refine((value) => value.trim() !== '', 'must say something')
      .describe('What was seen, concluded or decided'),
    workspace: workspace.optional(),
    run_id: runId.optional(),
  }),
  output: answer({
    thought_id: z.string(),
    workspace: z.string().nullable(),
    run_id: z.string().nullable(),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.workspace ?? input.run_id ?? null, reason: input.thought }),
  handler: (ctx, input, call) => {
    const about = subjectOf(ctx, input);
    const now = ctx.clock.now();
    const thoughtId = ctx.ids.record(now);
    const { workspace: name, runId: run } = about;
    const { thought } = input;
    const { actor } = call;
    insertThought(ctx.db, {
      id: thoughtId,
      workspace: name,
      runId: run,
      thought,
      actor,
      createdAt: isoTime(now),
    });
    return {
      thought_id: thoughtId,
      workspace: name,
      run_id: run,
      next:
        name === null
          ? { tool: 'status', arguments: {} }
          : { tool: 'inspect_workspace', arguments: { workspace: name, include: ['thoughts'] } },
    };
  },
  render: (output) =>
    lines(
      `Kept as ${output.thought_id}, with ${output.run_id ?? output.workspace ?? 'the project'}.`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

/** Errors: those of looking up either, INVALID_ARGUMENT where the run is of another workspace. */
function subjectOf(
  ctx: ServerContext,
  input: { thought: string; workspace?: string | undefined; run_id?: string | undefined },
): { workspace: string | null; runId: string | null } {
  const name = input.workspace === undefined ? null : ctx.workspaces.known(input.workspace).name;
  if (input.run_id === undefined) return { workspace: name, runId: null };
  const run = findStageRun(ctx.db, input.run_id);
  if (name === null || name === run.workspace) return { workspace: run.workspace, runId: run.id };
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${run.id} is a run of ${run.workspace}, not of ${name}.`,
    hint: 'Leave out one of the two.',
    fix: { tool: 'log_thought', arguments: { thought: input.thought, run_id: run.id } },
    details: { field: 'workspace', workspace: run.workspace },
  });
}
