import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { CAUSES } from '../core/causes.ts';
import type { RunEvent, StoredOutput } from '../core/rows.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';
import { machinesOfRuns, type RunMachine } from '../pool/run-machines.ts';
import type { RunDetails } from '../runs/runs.ts';
import { ranMs } from '../runs/runtime-so-far.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, runId } from './fields.ts';
import { findingShape, toFinding } from './finding-rows.ts';
import { machineShape, toMachine, warmPart } from './run-machine.ts';
import {
  failureShape,
  metricShape,
  runRow,
  stateText,
  toFailure,
  toInput,
  toMetrics,
  tookText,
  toRunRow,
} from './run-rows.ts';
import { callText, lines, type TextKit } from './text.ts';

const INCLUDES = ['config', 'inputs', 'outputs', 'metrics', 'events', 'attempts', 'debug'] as const;
/** Metrics shown where they were not asked for. */
const DEFAULT_METRICS = 12;
/** As many findings of monitors are shown; the first are those that count. */
const MAX_FINDINGS = 10;

/** States whose message is told beside them. */
const TOLD: readonly RunState[] = ['canceled', 'completed'];

const output = answer({
  ...runRow.omit({ metric: true }).shape,
  sentence: z.string().nullable().describe('What the cause means'),
  reason: z.string().nullable(),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  restarts: z.int().describe('Where it was started anew by itself'),
  runtime_seconds: z.number().describe('Of its ended attempts, where there were several'),
  progress: z.number().nullable(),
  progress_message: z.string().nullable().describe('Untrusted: said by the program'),
  message: z.string().describe('Of a canceled run: why; of a completed one: what is not whole'),
  failure: failureShape.nullable(),
  findings: z.array(findingShape).describe('What monitors noticed'),
  findings_omitted: z.int(),
  blocked_by: z.string().nullable().describe('Why a waiting run waits'),
  backend: z.string(),
  profile: z.string(),
  warm: z.boolean().describe('Of a rented machine: whether it was there already'),
  saved_seconds: z.number().describe('By that: an estimate'),
  cached_from: z.string().nullable(),
  cache_reason: z.string().nullable(),
  outputs: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      path: z.string().describe('Read only'),
      size: z.int(),
      hash: z.string(),
    }),
  ),
  metrics: z.record(z.string(), metricShape),
  metrics_omitted: z.int().describe('Shown with include: ["metrics"]'),
  command: z.array(z.string()),
  config: z.record(z.string(), z.unknown()),
  environment_names: z.array(z.string()),
  inputs: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      from_run: z.string().nullable(),
      signal: z.string().nullable(),
      source: z.string().nullable(),
      hash: z.string().nullable(),
      stale: z.boolean(),
    }),
  ),
  events: z.array(
    z.object({
      event: z.string(),
      from: z.string().nullable(),
      to: z.string(),
      source: z.string(),
      attempt: z.int(),
      at: z.string(),
      cause: z.string().optional().describe('Of a restart: how the attempt ended'),
      exit_code: z.int().optional(),
      signal: z.string().optional(),
      errno: z.string().optional(),
    }),
  ),
  attempts: z.array(
    z.object({
      attempt: z.int(),
      cause: z.string().nullable(),
      exit_code: z.int().nullable(),
      signal: z.string().nullable(),
      launched_at: z.string().nullable(),
      started_at: z.string().nullable(),
      ended_at: z.string().nullable(),
      machine: machineShape.optional().describe('Where it was rented'),
    }),
  ),
  debug: z.record(z.string(), z.unknown()),
  next: nextCall(),
});
type Output = z.input<typeof output>;

export const inspectRun = defineTool({
  name: 'inspect_run',
  title: 'Inspect a run',
  description:
    'One run in full: state, cause, exit code, progress, timings, outputs, metrics, and of a failed run the error, the tail of its log and what to do next.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    run_id: runId,
    include: z.array(z.enum(INCLUDES)).max(INCLUDES.length).optional().describe('Further parts'),
  }),
  output,
  handler: (ctx, input) => {
    const details = ctx.runs.inspect(input.run_id);
    return describe(ctx, details, new Set(input.include ?? []));
  },
  render,
});

function describe(ctx: ServerContext, details: RunDetails, include: ReadonlySet<string>): Output {
  const { run, pipelineRun, metrics } = details;
  const { metric: _, ...row } = toRunRow(run, null);
  const shown = include.has('metrics') ? metrics : metrics.slice(0, DEFAULT_METRICS);
  const machines = machinesOfRuns(ctx.db, [run.id]);
  return {
    ...row,
    sentence: run.cause === null ? null : CAUSES[run.cause].sentence,
    reason: pipelineRun?.reason ?? null,
    exit_code: run.exitCode,
    signal: run.signal,
    ...restartsPart(details),
    progress: run.progress,
    progress_message: run.progressMessage,
    // A failed run says it in `failure`.
    ...(TOLD.includes(run.state) && run.errorMessage !== null ? { message: run.errorMessage } : {}),
    failure: toFailure(run),
    ...findingsPart(details),
    blocked_by: details.blockedBy,
    backend: run.backend,
    profile: run.profile,
    ...warmPart(machines.at(-1)),
    cached_from: run.cause === 'cached' ? run.cachedFrom : null,
    cache_reason: run.cacheReason,
    outputs: details.outputs.map((output) => {
      const { name, type, size, hash } = output;
      return { name, type, size, hash, path: outputPath(ctx, details, output) };
    }),
    metrics: toMetrics(shown),
    ...(shown.length < metrics.length ? { metrics_omitted: metrics.length - shown.length } : {}),
    ...(include.has('config') ? configPart(details) : {}),
    ...(include.has('inputs') ? { inputs: details.inputs.map(toInput) } : {}),
    ...(include.has('events') ? { events: eventsPart(details) } : {}),
    ...(include.has('attempts') ? { attempts: attemptsPart(details, machines) } : {}),
    ...(include.has('debug') ? { debug: debugPart(details) } : {}),
    next: nextOf(details),
  };
}

/** Where the content can be looked at: a file in the storage; a folder as it was made, or as others read it. */
function outputPath(ctx: ServerContext, { run }: RunDetails, output: StoredOutput): string {
  const stored = ctx.storage.localPath(output.storageLocation);
  if (output.kind === 'file') {
    return stored === undefined ? output.storageLocation : ctx.layout.shown(stored);
  }
  const maker = run.cachedFrom === null ? run : ctx.runs.inspect(run.cachedFrom).run;
  const made = join(ctx.layout.attempt(maker.id, maker.attempt).outputs, output.name);
  const place = [ctx.layout.folder(output.hash), made].find((path) => existsSync(path));
  return place === undefined ? output.storageLocation : ctx.layout.shown(place);
}

function configPart({ run }: RunDetails) {
  const { command, config, environment } = run.plan;
  // Values of the environment may be secrets one day; names are enough to compare.
  return { command, config, environment_names: Object.keys(environment).sort() };
}

function eventsPart({ events }: RunDetails) {
  return events.map(({ event, fromState, toState, source, attempt, createdAt, detail }) => ({
    event,
    from: fromState,
    to: toState,
    source,
    attempt,
    at: createdAt,
    ...(event === 'restart' ? { cause: String(detail['cause']) } : {}),
    ...endDetail(detail),
  }));
}

/** How the program ended, as far as the event of a restart or an end knows it. */
function endDetail({ exit_code, signal, errno }: RunEvent['detail']) {
  return {
    ...(typeof exit_code === 'number' ? { exit_code } : {}),
    ...(typeof signal === 'string' ? { signal } : {}),
    ...(typeof errno === 'string' ? { errno } : {}),
  };
}

function findingsPart({ findings }: RunDetails) {
  if (findings.length === 0) return {};
  const omitted = findings.length - MAX_FINDINGS;
  return {
    findings: findings.slice(0, MAX_FINDINGS).map(toFinding),
    ...(omitted > 0 ? { findings_omitted: omitted } : {}),
  };
}

function restartsPart({ run, attempts }: RunDetails) {
  if (run.attempt === 1) return {};
  const ran = attempts.reduce((sum, attempt) => sum + (ranMs(attempt) ?? 0), 0);
  return { restarts: run.attempt - 1, runtime_seconds: ran / 1000 };
}

function attemptsPart({ attempts }: RunDetails, machines: readonly RunMachine[]) {
  return attempts.map((attempt) => ({
    attempt: attempt.attempt,
    cause: attempt.cause,
    exit_code: attempt.exitCode,
    signal: attempt.signal,
    launched_at: attempt.launchedAt,
    started_at: attempt.startedAt,
    ended_at: attempt.endedAt,
    ...machinePart(machines.find((machine) => machine.attempt === attempt.attempt)),
  }));
}

function machinePart(machine: RunMachine | undefined) {
  return machine === undefined ? {} : { machine: toMachine(machine) };
}

/** What only people who debug Goldfish itself need: raw states and keys. */
function debugPart({ run, pipelineRun, attempts }: RunDetails) {
  return {
    cache_key: run.cacheKey,
    submission_key: pipelineRun?.submissionKey ?? null,
    goldfish_version: pipelineRun?.goldfishVersion ?? null,
    code_hash: run.plan.codeHash,
    environment_key: run.plan.environmentKey,
    attempts: attempts.map(({ externalId, rawState, handle, result }) => ({
      external_id: externalId,
      raw_state: rawState,
      handle,
      result,
    })),
  };
}

function nextOf(details: RunDetails) {
  const { run } = details;
  const failure = toFailure(run);
  if (failure) return failure.next;
  if (!isTerminal(run.state)) return { tool: 'wait', arguments: { targets: [run.id] } };
  return { tool: 'list_runs', arguments: { pipeline_run_id: run.pipelineRunId } };
}

function render(run: z.output<typeof output>, kit: TextKit): string {
  const state = stateText({ state: run.state ?? '', cause: run.cause ?? null });
  const code =
    run.exit_code === null ? run.signal && ` by ${run.signal}` : ` with exit code ${run.exit_code}`;
  const took = tookText(run);
  return lines(
    `${run.run_id}: ${run.stage} of ${run.workspace}@${run.version} is ${state}${run.cause === 'exit_nonzero' ? code : ''}${took && ` after ${took}`}.`,
    run.cause !== 'success' && run.sentence,
    run.message,
    run.replicate !== undefined && `Replicate ${run.replicate} of its call.`,
    run.cached && `Reused from ${run.cached_from}: ${run.cache_reason}.`,
    run.restarts !== undefined &&
      `Attempt ${run.attempt}: started anew ${run.restarts === 1 ? 'once' : `${run.restarts} times`}; the attempts ran ${run.runtime_seconds} s together.`,
    run.warm === true &&
      `Its rented machine was there already${run.saved_seconds === undefined ? '' : `, which saved about ${run.saved_seconds} s`}.`,
    run.blocked_by && `It waits for ${run.blocked_by}.`,
    typeof run.progress === 'number' && `progress: ${Math.round(run.progress * 100)} %`,
    run.failure && renderFailure(run.failure, kit),
    ...(run.findings ?? []).map(
      (item) => `${item.action === 'stop' ? 'stopped for' : 'warning'}: ${item.message}`,
    ),
    run.findings_omitted !== undefined && `${run.findings_omitted} more warnings are not shown.`,
    (run.outputs ?? []).length > 0 &&
      kit.table(
        (run.outputs ?? []).map((item) => [item.name, item.type, item.size, item.path]),
        ['output', 'type', 'bytes', 'path'],
      ),
    Object.keys(run.metrics ?? {}).length > 0 &&
      kit.table(
        Object.entries(run.metrics ?? {}).map(([name, metric]) => [
          name,
          metric.last,
          metric.min,
          metric.max,
        ]),
        ['metric', 'last', 'min', 'max'],
      ),
    run.next && `next: ${callText(run.next)}`,
  );
}

function renderFailure(failure: z.output<typeof failureShape>, kit: TextKit): string {
  const retry = failure.retry_safe
    ? 'repeating it unchanged is safe'
    : 'repeating it unchanged is not likely to help';
  return lines(
    `error (${failure.class}; ${retry}): ${failure.message}${failure.errno === undefined ? '' : ` (${failure.errno})`}`,
    failure.log_tail.length > 0 && kit.untrusted(failure.log_tail),
  );
}
