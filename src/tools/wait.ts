import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { WaitOutcome } from '../runs/wait.ts';
import { defineTool } from './define-tool.ts';
import { estimateEta } from './eta.ts';
import { answer, cursor, nextCall, reference } from './fields.ts';
import { badCursor } from './ids.ts';
import { stateText } from './run-rows.ts';
import { callText, lines } from './text.ts';

const DEFAULT_WAIT_SECONDS = 45;
/** Waiting runs whose reason is told. */
const MAX_BLOCKED = 10;

const output = answer({
  done: z.boolean(),
  timed_out: z.boolean(),
  targets: z.array(
    z.object({ id: z.string(), kind: z.string(), state: z.string(), cause: z.string().nullable() }),
  ),
  changes: z.array(
    z.object({
      run_id: z.string(),
      stage: z.string(),
      from: z.string().nullable(),
      to: z.string(),
      at: z.string(),
    }),
  ),
  attention: z.array(z.object({ message: z.string(), call: nextCall() })),
  blocked: z.array(z.object({ run_id: z.string(), stage: z.string(), blocked_by: z.string() })),
  eta: z
    .object({ p50: z.number(), p90: z.number() })
    .nullable()
    .describe('Seconds until the end, from earlier runs of the same stages'),
  look_again_seconds: z.number().nullable(),
  waited_at_most: z.number().describe('Where timeout_seconds was more than is allowed'),
  cursor: z.string(),
  next: nextCall(),
});

export const wait = defineTool({
  name: 'wait',
  title: 'Wait for runs',
  description:
    'Waits until runs or pipeline runs end, at most about 45 seconds, and says what changed meanwhile. A timeout is no error: call again with the cursor. until: all (default), any, or attention (something failed).',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    targets: z.array(reference).min(1).max(50).describe('Runs or pipeline runs'),
    until: z.enum(['any', 'all', 'attention']).optional().describe('Default: all'),
    timeout_seconds: z.number().min(0).max(86_400).optional().describe('Default 45'),
    cursor: cursor.describe('Only what changed since'),
  }),
  output,
  handler: async (ctx, input, call) => {
    const asked = input.timeout_seconds ?? DEFAULT_WAIT_SECONDS;
    const timeoutSeconds = Math.min(asked, ctx.config.mcp.maxWaitSeconds);
    const outcome = await ctx.runs.wait(
      {
        targets: input.targets,
        until: input.until ?? 'all',
        timeoutSeconds,
        ...(input.cursor === undefined ? {} : { cursor: readCursor(input.cursor) }),
      },
      {
        signal: call.signal,
        progress: (ended, total, message) => call.progress(total === 0 ? 0 : ended / total, message),
      },
    );
    const clamped = input.timeout_seconds !== undefined && timeoutSeconds < asked;
    return { ...describe(ctx, outcome), ...(clamped ? { waited_at_most: timeoutSeconds } : {}) };
  },
  render: (result) =>
    lines(
      ...(result.targets ?? []).map((target) => `${target.id} is ${stateText(target)}.`),
      ...(result.changes ?? []).map((item) => `${item.at} ${item.stage}: ${item.from ?? 'new'} → ${item.to}`),
      ...(result.blocked ?? []).map((item) => `${item.stage} (${item.run_id}) waits for ${item.blocked_by}.`),
      ...(result.attention ?? []).map((item) => `${item.message} → ${callText(item.call)}`),
      result.waited_at_most !== undefined && `At most ${result.waited_at_most} s are waited in one call.`,
      result.timed_out &&
        `Not over yet${result.eta ? `, about ${result.eta.p50} s to go (90 %: ${result.eta.p90} s)` : ''}.`,
      result.next && `next: ${callText(result.next)}`,
    ),
});

function readCursor(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badCursor();
  return Number(text);
}

function describe(ctx: ServerContext, outcome: WaitOutcome): z.input<typeof output> {
  const { runs } = outcome;
  const bad = runs.filter((run) => run.state === 'failed' || run.state === 'terminated');
  const open = runs.filter((run) => !isTerminal(run.state));
  const eta = open.length === 0 ? null : estimateEta(ctx.runs, runs, ctx.clock.now());
  const cursorText = `${outcome.cursor}`;
  return {
    done: outcome.done,
    timed_out: outcome.timedOut,
    targets: outcome.targets,
    changes: outcome.changes.map(({ runId: run_id, ...change }) => ({ run_id, ...change })),
    attention: bad.map((run) => ({
      message: `${run.stage} ${run.state} (${run.cause}): ${run.errorMessage ?? 'see its log'}`,
      call: { tool: 'inspect_run', arguments: { run_id: run.id } },
    })),
    blocked: blockedRuns(ctx, open),
    eta,
    look_again_seconds: outcome.done ? null : Math.min(60, Math.max(1, eta?.p50 ?? 5)),
    cursor: cursorText,
    next: nextOf(outcome, bad[0]?.id),
  };
}

/** Waiting runs with what holds them; those that wait for a stage of their own pipeline run need no word. */
function blockedRuns(ctx: ServerContext, open: readonly WaitOutcome['runs'][number][]) {
  return open
    .filter((run) => run.state === 'pending')
    .map((run) => ({ run_id: run.id, stage: run.stage, blocked_by: ctx.runs.inspect(run.id).blockedBy }))
    .flatMap((row) => (row.blocked_by === null ? [] : [{ ...row, blocked_by: row.blocked_by }]))
    .filter((row) => !row.blocked_by.startsWith('stage '))
    .slice(0, MAX_BLOCKED);
}

function nextOf(outcome: WaitOutcome, badRun: string | undefined) {
  const ids = outcome.targets.map((target) => target.id);
  if (badRun !== undefined) return { tool: 'inspect_run', arguments: { run_id: badRun } };
  if (!outcome.done) return { tool: 'wait', arguments: { targets: ids, cursor: `${outcome.cursor}` } };
  const [first] = outcome.targets;
  if (ids.length > 1) return { tool: 'compare', arguments: { refs: ids.slice(0, 20) } };
  if (first?.kind === 'pipeline_run') return { tool: 'list_runs', arguments: { pipeline_run_id: first.id } };
  return { tool: 'inspect_run', arguments: { run_id: first?.id } };
}
