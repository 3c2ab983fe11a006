import type { Cause } from '../core/causes.ts';
import type { PipelineRun, PipelineRunState, StageRun } from '../core/rows.ts';
import type { StagePlan } from '../core/stage-plan.ts';
import { metricSummaries } from '../store/metrics.ts';
import { listPipelineRuns } from '../store/pipeline-runs.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import { differencesOf, type InputIdentities, inputIdentity } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';

/** How many of the workspace's newest pipeline runs, and of their runs, are looked at. */
const LOOKED_AT = 50;
const RUNS_LOOKED_AT = 500;
/** Config keys, inputs and other parts that may differ in what still counts as similar. */
const FEW = 4;
const SHOWN = 3;

export type SimilarRun = {
  pipelineRunId: string;
  version: number;
  state: PipelineRunState;
  /** Of the first of its runs that did not complete. */
  cause: Cause | null;
  /** From it to this call, in words; empty: it was given the same. */
  differs: string[];
  /** Last value of one metric, of the last stage that logged one. */
  metric: { name: string; last: number | null } | null;
};

type Call = { workspace: string; plan: { stages: readonly StagePlan[] }; not?: readonly PipelineRun[] };
type Candidate = { pipelineRun: PipelineRun; runs: StageRun[]; distance: number; differs: string[] };

/**
 * Earlier pipeline runs of the same stages that differ little from a call, and how they ended: the nearest first, of
 * equally near ones the newest. Repetitions of one call count once. Reads only.
 */
export function findSimilar({ db }: Pick<RunsDeps, 'db'>, call: Call): SimilarRun[] {
  const found = new Map<string, Candidate>();
  for (const candidate of candidates(db, call)) {
    const same = candidate.differs.join('; ');
    if (candidate.distance <= FEW && !found.has(same)) found.set(same, candidate);
  }
  const nearest = [...found.values()].sort((a, b) => a.distance - b.distance).slice(0, SHOWN);
  return nearest.map((candidate) => outcomeOf(db, candidate));
}

/** Newest first. */
function* candidates(db: RunsDeps['db'], { workspace, plan, not = [] }: Call): Generator<Candidate> {
  const own = new Set(not.map(({ id }) => id));
  const names = stageNames(plan.stages);
  let looked = 0;
  for (const pipelineRun of listPipelineRuns(db, { workspace, limit: LOOKED_AT })) {
    if (own.has(pipelineRun.id)) continue;
    const runs = runsOfPipelineRun(db, pipelineRun.id);
    looked += runs.length;
    if (looked > RUNS_LOOKED_AT) return;
    if (stageNames(runs) === names) yield { pipelineRun, runs, ...compare(plan.stages, runs) };
  }
}

function stageNames(stages: readonly { stage: string }[]): string {
  return stages
    .map(({ stage }) => stage)
    .sort()
    .join(' ');
}

/** What all stages share, such as the code, is named once. */
function compare(
  stages: readonly StagePlan[],
  runs: readonly StageRun[],
): Pick<Candidate, 'distance' | 'differs'> {
  const then = new Map(runs.map((run) => [run.stage, run.plan]));
  const counted = new Map<string, number>();
  for (const plan of stages) {
    const before = then.get(plan.stage);
    if (!before) continue;
    for (const { part, keys, text } of differencesOf(toCompare(plan), toCompare(before))) {
      const shared = part === 'code' || part === 'image';
      counted.set(shared ? text : `${plan.stage}: ${text}`, Math.max(1, keys.length));
    }
  }
  const distance = [...counted.values()].reduce((sum, count) => sum + count, 0);
  return { distance, differs: [...counted.keys()] };
}

/** As whatever replicate; inputs of the same call by who makes them, for their content is not known yet. */
function toCompare({ replicate: _, ...plan }: StagePlan): { plan: StagePlan; inputs: InputIdentities } {
  const inputs = plan.inputs.map(({ name, type, origin }) => {
    const hash = origin.kind === 'stage' ? `${origin.stage}.${origin.signal}` : origin.hash;
    return [name, inputIdentity({ type, hash })] as const;
  });
  return { plan, inputs: Object.fromEntries(inputs) };
}

function outcomeOf(db: RunsDeps['db'], { pipelineRun, runs, differs }: Candidate): SimilarRun {
  const bad = runs.find((run) => run.cause !== null && run.state !== 'completed');
  const metrics = runs.flatMap((run) => metricSummaries(db, run.cachedFrom ?? run.id).slice(0, 1));
  const metric = metrics.at(-1);
  return {
    pipelineRunId: pipelineRun.id,
    version: pipelineRun.version,
    state: pipelineRun.state,
    cause: bad?.cause ?? null,
    differs,
    metric: metric ? { name: metric.name, last: metric.last } : null,
  };
}
