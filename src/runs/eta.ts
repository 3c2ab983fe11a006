import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import { diskShortage } from '../data/disk.ts';
import { durationsOfStage, getAttempt } from '../store/attempts.ts';
import { getPipelineRun } from '../store/pipeline-runs.ts';
import { openStageRuns } from '../store/stage-runs.ts';
import { missingSecrets } from './admit.ts';
import type { RunsDeps } from './deps.ts';
import { endsOf, type Job, type Limits } from './schedule.ts';

/** Seconds until everything has ended, from how long the same stages took before. */
export type Eta = { p50: number; p90: number };

/** Earlier runs looked at per stage. */
const HISTORY = 20;
/** With more runs open than this the queue is not gone through. */
const MOST_OPEN = 1_000;

type EtaDeps = Pick<RunsDeps, 'db' | 'backends' | 'secrets' | 'clock' | 'config' | 'layout'>;

/**
 * When the last of some runs will have ended: everything that is open in the project goes through its backends' slots
 * in the order in which it is claimed, each as long as its stage took before. Null where that cannot be said: a stage
 * without a history, one that takes longer than ever, a wait for something whose time nobody knows. Reads only.
 */
export function estimateEta(deps: EtaDeps, members: readonly StageRun[]): Eta | null {
  const { db } = deps;
  const wanted = members.filter((run) => !isTerminal(run.state)).map((run) => run.id);
  const open = openStageRuns(db);
  if (wanted.length === 0 || open.length > MOST_OPEN) return null;
  const history = historyOf(deps);
  const isFull = diskShortage(deps) !== null;
  const limits: Limits = {
    backend: (name) => deps.backends.capacity(name),
    pipelineRun: once((id) => getPipelineRun(db, id)?.maxParallel ?? Number.POSITIVE_INFINITY),
  };
  const at = (quantile: number): number | null => {
    const jobs = open.map((run) => jobOf(deps, run, { open, isFull, history, quantile }));
    const ends = endsOf(jobs, limits);
    const own = wanted.map((id) => ends.get(id));
    if (own.some((end) => end === undefined)) return null;
    return Math.ceil(Math.max(...own.map((end) => end ?? 0)));
  };
  const [p50, p90] = [at(0.5), at(0.9)];
  return p50 === null || p90 === null ? null : { p50, p90: Math.max(p50, p90) };
}

type History = (stage: string) => readonly number[];

/** Shortest first, read once per stage of a workspace. */
function historyOf({ db }: EtaDeps): (workspace: string) => History {
  return once((workspace) =>
    once((stage) => durationsOfStage(db, { workspace, stage, limit: HISTORY }).sort((a, b) => a - b)),
  );
}

function once<T>(find: (key: string) => T): (key: string) => T {
  const found = new Map<string, T>();
  return (key) => {
    const known = found.get(key);
    if (known !== undefined) return known;
    const value = find(key);
    found.set(key, value);
    return value;
  };
}

type Situation = {
  open: readonly StageRun[];
  isFull: boolean;
  history: (workspace: string) => History;
  quantile: number;
};

function jobOf(deps: EtaDeps, run: StageRun, { open, isFull, history, quantile }: Situation): Job {
  const holding = run.state !== 'pending';
  const durations = history(run.workspace)(run.stage);
  const pauseMs = run.notBefore === null ? 0 : Date.parse(run.notBefore) - deps.clock.now();
  return {
    id: run.id,
    backend: run.backend,
    pipelineRunId: run.pipelineRunId,
    needs: run.plan.needs.flatMap((stage) =>
      open
        .filter((other) => other.pipelineRunId === run.pipelineRunId && other.stage === stage)
        .map((other) => other.id),
    ),
    seconds: holding ? leftOf(durations, { elapsed: elapsed(deps, run), quantile }) : at(durations, quantile),
    holding,
    notBefore: Math.max(0, pauseMs / 1000),
    // Which GPUs come free when is not gone through.
    stuck: isFull || run.plan.compute.gpus > 0 || missingSecrets(deps, run) !== null,
  };
}

/** Of the current attempt: what earlier ones did is done again. */
function elapsed({ db, clock }: EtaDeps, run: StageRun): number {
  const attempt = getAttempt(db, { runId: run.id, attempt: run.attempt });
  const since = attempt?.launchedAt ?? attempt?.startedAt ?? null;
  return since === null ? 0 : Math.max(0, (clock.now() - Date.parse(since)) / 1000);
}

/** Judged by those that took longer than this one has taken yet. */
function leftOf(
  durations: readonly number[],
  { elapsed: spent, quantile }: { elapsed: number; quantile: number },
): number | null {
  const longer = at(
    durations.filter((seconds) => seconds > spent),
    quantile,
  );
  return longer === null ? null : longer - spent;
}

function at(sorted: readonly number[], quantile: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? null;
}
