import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { Eta } from '../runs/eta.ts';
import type { WaitOutcome } from '../runs/wait.ts';
import { formatWaitCursor, readWaitCursor } from '../runs/wait-cursor.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, nextCall, reference } from './fields.ts';
import { findingCall } from './finding-rows.ts';
import { stateText } from './run-rows.ts';
import { callText, lines } from './text.ts';

const DEFAULT_WAIT_SECONDS = 45;
/** Waiting runs whose reason is told, and failed ones that are named. */
const MAX_BLOCKED = 6;
const MAX_ATTENTION = 6;
/** What went wrong is cut to this; the whole is in inspect_run. */
const SHORT = 240;
/** The pauses that are proposed between two calls, in seconds. */
const SOONEST = 2;
const LATEST = 300;

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
      note: z.string().optional().describe('Why it was started anew, or what a monitor noticed'),
    }),
  ),
  more_changes: z.boolean().describe('Not all are told yet: call again at once with the cursor'),
  attention: z.array(z.object({ message: z.string(), call: nextCall() })),
  blocked: z.array(z.object({ run_id: z.string(), stage: z.string(), blocked_by: z.string() })),
  eta: z
    .object({ p50: z.number(), p90: z.number() })
    .nullable()
    .describe('Seconds until the end, from earlier runs of the same stages; null: cannot be said'),
  look_again_seconds: z.number().nullable(),
  attention_omitted: z.int().describe('More of it: see list_runs'),
  waited_at_most: z.number().describe('Where timeout_seconds was more than is allowed'),
  cursor: z.string(),
  next: nextCall(),
});

export const wait = defineTool({
  name: 'wait',
  title: 'Wait for runs',
  description:
    'Waits until runs or pipeline runs end, at most about 45 seconds, and says what changed meanwhile, what holds back what waits, and how long it may take. A timeout is no error: call again with the cursor. until: all (default), any, or attention (something failed, or a monitor warns).',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    targets: z.array(reference).min(1).max(100).describe('Runs or pipeline runs'),
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
        ...(input.cursor === undefined ? {} : { cursor: readWaitCursor(ctx.db, input.cursor) }),
      },
      { signal: call.signal, progress: call.progress },
    );
    const clamped = input.timeout_seconds !== undefined && timeoutSeconds < asked;
    return { ...describe(ctx, outcome), ...(clamped ? { waited_at_most: timeoutSeconds } : {}) };
  },
  render: (result) =>
    lines(
      ...(result.targets ?? []).map((target) => `${target.id} is ${stateText(target)}.`),
      ...(result.changes ?? []).map((item) => changeText(item)),
      result.more_changes && 'There are more changes: call again at once with the cursor.',
      ...(result.blocked ?? []).map((item) => `${item.stage} (${item.run_id}) waits for ${item.blocked_by}.`),
      ...(result.attention ?? []).map((item) => `${item.message} → ${callText(item.call)}`),
      result.attention_omitted !== undefined && `${result.attention_omitted} more need attention.`,
      result.waited_at_most !== undefined && `At most ${result.waited_at_most} s are waited in one call.`,
      result.timed_out &&
        `Not over yet${result.eta ? `, about ${result.eta.p50} s to go (90 %: ${result.eta.p90} s)` : ''}.`,
      result.next && `next: ${callText(result.next)}`,
    ),
});

type Change = { at: string; stage: string; from: string | null; to: string; note?: string | undefined };

function changeText({ at, stage, from, to, note }: Change): string {
  return `${at} ${stage}: ${from ?? 'new'} → ${to}${note === undefined ? '' : ` (${note})`}`;
}

function describe(ctx: ServerContext, outcome: WaitOutcome): z.input<typeof output> {
  const { runs } = outcome;
  const bad = runs.filter((run) => run.state === 'failed' || run.state === 'terminated');
  const open = runs.filter((run) => !isTerminal(run.state));
  const attention = [...bad.map(attentionRow), ...warningRows(outcome, bad)];
  const eta = open.length === 0 ? null : ctx.runs.eta(open);
  const cursorText = formatWaitCursor(ctx.db, outcome.cursor);
  return {
    done: outcome.done,
    timed_out: outcome.timedOut,
    targets: outcome.targets,
    changes: outcome.changes.map(({ runId: run_id, seq: _, noticed: __, note, ...change }) => ({
      run_id,
      ...change,
      ...(note === null ? {} : { note }),
    })),
    ...(outcome.more ? { more_changes: true } : {}),
    attention: attention.slice(0, MAX_ATTENTION),
    ...(attention.length > MAX_ATTENTION ? { attention_omitted: attention.length - MAX_ATTENTION } : {}),
    blocked: ctx.runs
      .blocked(open, MAX_BLOCKED)
      .map(({ run, why }) => ({ run_id: run.id, stage: run.stage, blocked_by: why })),
    eta,
    look_again_seconds: outcome.done ? null : lookAgain(eta, open, ctx.clock.now()),
    cursor: cursorText,
    next: nextOf(outcome, { cursor: cursorText, badRun: bad[0]?.id }),
  };
}

function attentionRow(run: StageRun) {
  const message = `${run.stage} ${run.state} (${run.cause}): ${run.errorMessage ?? 'see its log'}`;
  return { message: shorten(message), call: { tool: 'inspect_run', arguments: { run_id: run.id } } };
}

/** What monitors noticed of runs that did not end badly: those are told with their causes. */
function warningRows({ runs, findings }: WaitOutcome, bad: readonly StageRun[]) {
  const told = new Map(runs.filter((run) => !bad.includes(run)).map((run) => [run.id, run]));
  return findings.flatMap((finding) => {
    const run = told.get(finding.runId);
    if (run === undefined) return [];
    const message = shorten(`${run.stage} ${run.state}, warning: ${finding.message}`);
    return [{ message, call: findingCall(finding, run.state) }];
  });
}

function shorten(message: string): string {
  return message.length <= SHORT ? message : `${message.slice(0, SHORT - 1).toWellFormed()}…`;
}

/** When the end is likely; where that cannot be said, rarer the longer it has taken already. */
function lookAgain(eta: Eta | null, open: readonly StageRun[], nowMs: number): number {
  const oldest = Math.min(...open.map((run) => Date.parse(run.createdAt)));
  const soon = eta?.p50 ?? Math.max(5, (nowMs - oldest) / 10_000);
  return Math.ceil(Math.min(LATEST, Math.max(SOONEST, soon)));
}

function nextOf(outcome: WaitOutcome, known: { cursor: string; badRun: string | undefined }) {
  const ids = outcome.targets.map((target) => target.id);
  const again = { tool: 'wait', arguments: { targets: ids, cursor: known.cursor } };
  if (outcome.more) return again;
  if (known.badRun !== undefined) return { tool: 'inspect_run', arguments: { run_id: known.badRun } };
  if (!outcome.done) return again;
  const [first] = outcome.targets;
  if (ids.length > 1) return { tool: 'compare', arguments: { refs: ids.slice(0, 20) } };
  if (first?.kind === 'pipeline_run') return { tool: 'list_runs', arguments: { pipeline_run_id: first.id } };
  return { tool: 'inspect_run', arguments: { run_id: first?.id } };
}
