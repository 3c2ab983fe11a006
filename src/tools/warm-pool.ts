import { z } from 'zod';
import { GCE_HINT, gceNotConfigured } from '../config/gce-keys.ts';
import type { ServerContext } from '../context.ts';
import { isoTime } from '../core/clock.ts';
import { cleanUpPool } from '../pool/cleanup.ts';
import { poolReport } from '../pool/pool-report.ts';
import { fittingCount } from './budget.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, SCHEMA_VERSION, text } from './fields.ts';
import {
  countsText,
  limitsShape,
  limitsText,
  sumsShape,
  sumTexts,
  toLimits,
  toSums,
  toWorkerRow,
  whyNoneIsKept,
  workerRow,
} from './pool-rows.ts';
import { callText, lines } from './text.ts';

/** What the rows of workers may cost; the counts tell of the rest. */
const WORKERS_TOKENS = 1_300;

const NO_SECTION = 'goldfish.yaml has no section "gce"';
const NO_POOL = { enabled: false, maxInstances: 0, idleTimeoutSeconds: 0, profiles: null };

export const warmPoolStatus = defineTool({
  name: 'warm_pool_status',
  title: 'Rented machines',
  description:
    'Machines rented for runs: which there are, in what state, what each costs, whether they are kept for the next run, and what that saved. Times and money saved are estimates.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({}),
  output: answer({
    schema_version: z.int(),
    enabled: z.boolean().describe('Whether machines are kept for the next run'),
    why: z.string().nullable().describe('Why none is'),
    limits: limitsShape.nullable(),
    counts: z.record(z.string(), z.int()).describe('By state'),
    workers: z.array(workerRow),
    workers_omitted: z.int(),
    ...sumsShape,
    errors: z.array(z.object({ component: z.string(), message: z.string() })),
  }),
  handler: async (ctx) => {
    const { gce } = ctx.config;
    const neglect = await ctx.backends.tending.neglect();
    const report = poolReport(ctx.db, { policy: gce?.warmPool ?? NO_POOL, now: ctx.clock.now() });
    const rows = report.workers.map(toWorkerRow);
    const shown = rows.slice(0, fittingCount(rows, WORKERS_TOKENS));
    return {
      schema_version: SCHEMA_VERSION,
      enabled: report.enabled,
      why: gce === null ? whyNothing(rows.length) : whyNoneIsKept(gce.warmPool),
      limits: gce === null ? null : toLimits(report),
      counts: report.counts,
      workers: shown,
      ...(shown.length < rows.length ? { workers_omitted: rows.length - shown.length } : {}),
      ...toSums(report),
      errors:
        neglect === null ? [] : [{ component: 'supervisor', message: `${neglect.message} ${neglect.hint}` }],
    };
  },
  render: (output, kit) =>
    lines(
      output.limits && output.enabled ? limitsText(output.limits) : output.why,
      countsText(output.counts ?? {}),
      (output.workers ?? []).length > 0 &&
        kit.table(
          (output.workers ?? []).map((row) => [
            row.worker,
            row.state,
            row.profile,
            row.zone,
            row.model,
            row.run_id,
            `${row.age_seconds} s`,
            row.cost,
            row.images,
            row.driver,
          ]),
          ['worker', 'state', 'profile', 'zone', 'model', 'run', 'age', 'cost', 'images', 'driver'],
        ),
      output.workers_omitted !== undefined && `${output.workers_omitted} more are not shown.`,
      ...sumTexts(output),
      ...(output.errors ?? []).map(({ message }) => message),
    ),
});

/** Whoever takes the section away while there are machines leaves them to their own deadlines. */
function whyNothing(left: number): string {
  return left === 0
    ? `${NO_SECTION}: no machine is rented. ${GCE_HINT}`
    : `${NO_SECTION} any more: nobody here gives these machines back. Put it back, or delete them where they are rented.`;
}

export const warmPoolCleanup = defineTool({
  name: 'warm_pool_cleanup',
  title: 'Give machines back',
  description:
    'Gives back every rented machine that has no work, or the one named. One that has work is refused: cancel its run first. The deletion goes on after the answer.',
  toolset: 'default',
  annotations: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.strictObject({
    reason,
    worker: text(64).min(1).optional().describe('goldfish-…; a prefix is enough'),
  }),
  output: answer({
    deleted: z.array(z.string()).describe('Gone; without worker: by clean-ups of the last hour'),
    pending: z.array(z.string()).describe('Being deleted'),
    remaining: z.array(z.object({ worker: z.string(), state: z.string(), run_id: z.string().nullable() })),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: null, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, { worker }) => {
    if (ctx.config.gce === null) throw gceNotConfigured();
    const { deleted, pending, remaining } = cleanUpPool(ctx.db, { worker, at: isoTime(ctx.clock.now()) });
    await wake(ctx);
    return {
      deleted,
      pending,
      remaining: remaining.map(({ id, state, lease }) => ({
        worker: id,
        state,
        run_id: lease?.runId ?? null,
      })),
      next: { tool: 'warm_pool_status', arguments: {} },
    };
  },
  render: ({ deleted = [], pending = [], remaining = [], next }) =>
    lines(
      pending.length > 0 && `Being deleted: ${pending.join(', ')}.`,
      deleted.length > 0 && `Gone: ${deleted.join(', ')}.`,
      pending.length + deleted.length === 0 && 'There is no machine without work.',
      ...remaining.map((row) => `${row.worker} stays: ${row.state}${row.run_id ? `, ${row.run_id}` : ''}.`),
      next && `next: ${callText(next)}`,
    ),
});

/** What is written is written: a supervisor that cannot be woken now is started by the next who looks. */
async function wake(ctx: ServerContext): Promise<void> {
  await ctx.ensureSupervisor().catch((error: unknown) => {
    ctx.log.error({ err: error }, 'the supervisor could not be woken or started');
  });
}
