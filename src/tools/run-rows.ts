import { z } from 'zod';
import { CAUSES } from '../core/causes.ts';
import type { ToolCall } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { Failure, MetricSummary, RunInput, StageRun } from '../core/rows.ts';

/** The shapes of runs in results, and how rows become them. SPEC 3.1 fixes the names. */

export const runRow = z.object({
  run_id: z.string(),
  pipeline_run_id: z.string(),
  workspace: z.string(),
  version: z.string(),
  stage: z.string(),
  state: z.string(),
  cause: z.string().nullable(),
  attempt: z.int(),
  replicate: z.int().optional().describe('Of a repeated call; left out: 0'),
  cached: z.boolean(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  metric: z
    .object({ name: z.string(), value: z.union([z.number(), z.string()]) })
    .nullable()
    .describe('Last value of one logged metric'),
});
export type RunRow = z.infer<typeof runRow>;

/** Of a pipeline run just made: a run of it, and whether it is reused. */
export const memberRow = z.object({
  run_id: z.string(),
  stage: z.string(),
  state: z.string(),
  cause: z.string().nullable(),
  replicate: z.int().optional().describe('Left out: 0'),
  cached: z.boolean(),
  warm: z.boolean().optional().describe('Of a rented machine: whether it was there already'),
  saved_seconds: z.number().optional().describe('By that: an estimate'),
  why: z.string().nullable().describe('Why it is reused, or why not'),
});

export function toMemberRow(run: StageRun): z.infer<typeof memberRow> {
  return {
    run_id: run.id,
    stage: run.stage,
    state: run.state,
    cause: run.cause,
    ...replicatePart(run),
    cached: run.cause === 'cached',
    why: run.cacheReason,
  };
}

function replicatePart({ replicate }: StageRun): { replicate?: number } {
  return replicate === 0 ? {} : { replicate };
}

export const failureShape = z.object({
  class: z.string(),
  message: z.string(),
  first_error_line: z.string().nullable().describe('Untrusted: printed by the program'),
  log_cursor: z.string().nullable(),
  log_tail: z.array(z.string()).describe('Untrusted: printed by the program'),
  retry_safe: z.boolean(),
  errno: z.string().optional().describe('Where a call of the system failed'),
  next: z.object({ tool: z.string(), arguments: z.record(z.string(), z.unknown()) }),
});
export type FailureShape = z.infer<typeof failureShape>;

/** JSON has no NaN and no infinities: they are words. */
const shownNumber = z.union([z.number(), z.string()]);

export const metricShape = z.object({
  last: shownNumber,
  min: shownNumber.nullable().describe('Of what is a number'),
  max: shownNumber.nullable(),
  count: z.int(),
});

export function toRunRow(run: StageRun, metric: MetricSummary | null): RunRow {
  return {
    run_id: run.id,
    pipeline_run_id: run.pipelineRunId,
    workspace: run.workspace,
    version: formatVersion(run.version),
    stage: run.stage,
    state: run.state,
    cause: run.cause,
    attempt: run.attempt,
    ...replicatePart(run),
    cached: run.cause === 'cached',
    created_at: run.createdAt,
    started_at: run.startedAt,
    ended_at: run.endedAt,
    metric: metric && { name: metric.name, value: showMetric(metric.last) },
  };
}

export function toMetrics(summaries: readonly MetricSummary[]): Record<string, z.infer<typeof metricShape>> {
  return Object.fromEntries(
    summaries.map(({ name, last, min, max, count }) => [
      name,
      { last: showMetric(last), min: min && showMetric(min), max: max && showMetric(max), count },
    ]),
  );
}

/** JSON has no NaN (which the store keeps as null) and no infinities. */
export function showMetric(value: number | null): number | string {
  if (value === null) return 'NaN';
  return Number.isFinite(value) ? value : value > 0 ? 'Infinity' : '-Infinity';
}

/** What an agent needs to act on a run that ended badly; null for one that did not. */
export function toFailure(run: StageRun): FailureShape | null {
  const { failure, cause } = run;
  if (failure === null || cause === null) return null;
  return {
    class: failure.class,
    message: run.errorMessage ?? CAUSES[cause].sentence,
    first_error_line: failure.firstErrorLine,
    log_cursor: failure.logCursor,
    log_tail: failure.logTail,
    retry_safe: failure.retrySafe,
    ...(failure.errno === undefined ? {} : { errno: failure.errno }),
    next: failure.next ?? likelyNext(run, failure),
  };
}

/** To repeat what may pass; else to look where the error stands, or at what the run was given where nothing was printed. */
function likelyNext({ id, stage, cause }: StageRun, failure: Failure): ToolCall {
  if (failure.retrySafe) {
    const reason = `Run ${stage} again: it ended as ${cause}, which may pass`;
    return { tool: 'retry', arguments: { run_id: id, reason } };
  }
  if (failure.logCursor !== null) {
    return { tool: 'logs', arguments: { run_id: id, cursor: failure.logCursor } };
  }
  if (failure.logTail.length > 0) return { tool: 'logs', arguments: { run_id: id, tail: 50 } };
  return { tool: 'inspect_run', arguments: { run_id: id, include: ['config', 'inputs', 'events'] } };
}

export function toInput(input: RunInput) {
  return {
    name: input.name,
    type: input.type,
    from_run: input.fromRunId,
    signal: input.fromSignal,
    source:
      input.fromSource === null || input.fromSourceVersion === null
        ? null
        : `${input.fromSource}@${formatVersion(input.fromSourceVersion)}`,
    hash: input.hash,
    stale: input.stale,
  };
}

/** `completed (cached)`: the state, and the cause where it says more. */
export function stateText(run: { state: string; cause: string | null }): string {
  return run.cause === null || run.cause === 'success' ? run.state : `${run.state} (${run.cause})`;
}

/** Seconds between two ISO times, as people read them. */
export function tookText(run: {
  started_at?: string | null | undefined;
  ended_at?: string | null | undefined;
}): string {
  if (!run.started_at || !run.ended_at) return '';
  const seconds = (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
