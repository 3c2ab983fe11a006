import type { RunFinding } from '../core/monitors.ts';
import type {
  MetricSummary,
  PipelineRun,
  RunAttempt,
  RunEvent,
  RunInput,
  StageRun,
  StoredOutput,
} from '../core/rows.ts';
import { requireDiskRoom } from '../data/disk.ts';
import { attemptsOfRun } from '../store/attempts.ts';
import { countFindings, findingsOfRun } from '../store/findings.ts';
import { metricSeries, metricSummaries } from '../store/metrics.ts';
import { getPipelineRun, listPipelineRuns } from '../store/pipeline-runs.ts';
import { eventsOfRun } from '../store/run-events.ts';
import { inputsOfRun, outputsOfRun } from '../store/signals.ts';
import { listStageRuns, runsOfPipelineRun, type StageRunFilter } from '../store/stage-runs.ts';
import { blockedBy, whyWaiting } from './blocked.ts';
import { type CancelOutcome, cancelRuns } from './cancel.ts';
import { type Comparison, compareRuns } from './compare.ts';
import type { RunsDeps } from './deps.ts';
import { downsample, type SeriesPoint } from './downsample.ts';
import { type Eta, estimateEta } from './eta.ts';
import { type FoundRun, findRun, findStageRun } from './find.ts';
import type { RunRequest } from './plan-call.ts';
import { type Preview, previewRun } from './plan-preview.ts';
import { type LogsPage, type LogsRequest, readRunLogs } from './read-logs.ts';
import { findResent } from './resent-call.ts';
import { type Retry, type RetryRequest, retryRun } from './retry.ts';
import type { SubmittedCall } from './submission.ts';
import { submitRun } from './submit.ts';
import { type WaitCall, type WaitOutcome, type WaitRequest, waitForRuns } from './wait.ts';

export type RunDetails = {
  run: StageRun;
  pipelineRun: PipelineRun | undefined;
  /** Why a run waits that has not begun. */
  blockedBy: string | null;
  inputs: RunInput[];
  outputs: StoredOutput[];
  metrics: MetricSummary[];
  /** What monitors noticed; where it was reused, of the run that did the work. */
  findings: RunFinding[];
  attempts: RunAttempt[];
  events: RunEvent[];
};

export type MetricsRequest = { runIds: string[]; names?: string[]; maxPoints: number; fromStep?: number };
export type RunMetrics = {
  runId: string;
  summary: MetricSummary[];
  series: { name: string; points: SeriesPoint[]; total: number }[];
};

export type BlockedRun = { run: StageRun; why: string };

/** Everything tools and commands do with runs. Writers only write rows; the supervisor acts. */
export type Runs = {
  plan(request: RunRequest): Promise<Preview>;
  /** What the first call under the key was answered with; undefined where there was none. Errors: IDEMPOTENCY_CONFLICT. */
  resent(request: RunRequest): SubmittedCall | undefined;
  submit(request: RunRequest): Promise<SubmittedCall>;
  retry(request: RetryRequest): Promise<Retry>;
  list(filter: StageRunFilter): StageRun[];
  listPipelineRuns(filter: { workspace?: string; limit: number }): PipelineRun[];
  /** The runs of one pipeline run, in the order of the pipeline. */
  members(pipelineRunId: string): StageRun[];
  find(id: string): FoundRun;
  inspect(runId: string): RunDetails;
  summary(run: StageRun): MetricSummary[];
  /** How much monitors noticed of each of some runs; those without anything are left out. */
  countFindings(runs: readonly StageRun[]): Map<string, number>;
  logs(request: Omit<LogsRequest, 'run'> & { runId: string }): Promise<LogsPage>;
  metrics(request: MetricsRequest): RunMetrics[];
  wait(request: WaitRequest, call?: WaitCall): Promise<WaitOutcome>;
  /** When the last of some runs will have ended; null where that cannot be said. */
  eta(members: readonly StageRun[]): Eta | null;
  /** What the first `limit` of some runs wait for that wait for anything but another stage. */
  blocked(members: readonly StageRun[], limit: number): BlockedRun[];
  cancel(request: { target: string; reason: string }): Promise<{ targetId: string; runs: CancelOutcome[] }>;
  compare(refs: readonly string[]): Comparison;
};

/** @param nudge wakes the supervisor, or starts one where there is work and none */
export function createRuns(deps: RunsDeps, nudge: () => Promise<unknown>): Runs {
  const { db } = deps;
  // What was stored is stored: a supervisor that cannot be started now is started by the next who looks.
  const nudgeQuietly = async (): Promise<void> => {
    await nudge().catch((error: unknown) => {
      deps.log.error({ err: error }, 'the supervisor could not be woken or started');
    });
  };
  const metricsOf = (run: StageRun): string => run.cachedFrom ?? run.id;
  return {
    plan: (request) => previewRun(deps, request),
    resent: (request) => findResent(deps, request),
    submit: async (request) => {
      // What is not started anew needs no room.
      if (findResent(deps, request) === undefined) await requireDiskRoom(deps);
      const submission = await submitRun(deps, request);
      await nudgeQuietly();
      return submission;
    },
    retry: async (request) => {
      await requireDiskRoom(deps);
      const retry = await retryRun(deps, request);
      await nudgeQuietly();
      return retry;
    },
    list: (filter) => listStageRuns(db, filter),
    listPipelineRuns: (filter) => listPipelineRuns(db, filter),
    members: (pipelineRunId) => runsOfPipelineRun(db, pipelineRunId),
    find: (id) => findRun(db, id),
    inspect: (runId) =>
      db.read(() => {
        const run = findStageRun(db, runId);
        return {
          run,
          pipelineRun: getPipelineRun(db, run.pipelineRunId),
          blockedBy: whyWaiting(deps, run),
          inputs: inputsOfRun(db, run.id),
          outputs: outputsOfRun(db, run.id),
          metrics: metricSummaries(db, metricsOf(run)),
          findings: findingsOfRun(db, metricsOf(run)),
          attempts: attemptsOfRun(db, run.id),
          events: eventsOfRun(db, run.id),
        };
      }),
    summary: (run) => metricSummaries(db, metricsOf(run)),
    countFindings: (runs) =>
      countFindings(
        db,
        runs.map(({ id }) => id),
      ),
    logs: ({ runId, ...request }) => readRunLogs(deps, { ...request, run: findStageRun(db, runId) }),
    metrics: (request) => request.runIds.map((id) => seriesOf(deps, findStageRun(db, id), request)),
    wait: (request, call) => waitForRuns({ ...deps, nudge: nudgeQuietly }, request, call),
    eta: (members) => db.read(() => estimateEta(deps, members)),
    blocked: (members, limit) => db.read(() => blockedRuns(deps, { members, limit })),
    cancel: async (request) => {
      const outcome = cancelRuns(deps, request);
      await nudgeQuietly();
      return outcome;
    },
    compare: (refs) => compareRuns(deps, refs),
  };
}

/** Thousands may wait: no more are looked at than are asked for. */
function blockedRuns(deps: RunsDeps, of: { members: readonly StageRun[]; limit: number }): BlockedRun[] {
  const found: BlockedRun[] = [];
  for (const run of of.members) {
    if (found.length === of.limit) break;
    const block = blockedBy(deps, run);
    if (block !== null && block.kind !== 'stage') found.push({ run, why: block.text });
  }
  return found;
}

function seriesOf(deps: RunsDeps, run: StageRun, request: MetricsRequest): RunMetrics {
  const source = run.cachedFrom ?? run.id;
  const summary = metricSummaries(deps.db, source);
  const wanted = summary.filter((metric) => request.names?.includes(metric.name) ?? true);
  const series = wanted.map(({ name }) => {
    const from = request.fromStep === undefined ? {} : { fromStep: request.fromStep };
    const points = metricSeries(deps.db, { runId: source, name, ...from });
    return { name, points: downsample(points, request.maxPoints), total: points.length };
  });
  return { runId: run.id, summary: wanted, series };
}
