import { GoldfishError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { formatVersion } from '../core/names.ts';
import type { PipelineRun, StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import { getPipelineRun } from '../store/pipeline-runs.ts';
import { needsOf, runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';
import type { CallPlan } from './plan-call.ts';
import { pinPlan, planAnew, requestOf } from './retry-plans.ts';
import { chooseStart } from './start-from.ts';
import type { Submission } from './submission.ts';
import { storeCall } from './submit.ts';

export type RetryRequest = {
  runId: string;
  reason: string;
  /** `latest`, the name of a stage checkpoint of that run, or the id of one. */
  fromCheckpoint?: string;
  configOverride?: JsonObject;
};

export type Retry = Submission & {
  retryOf: string;
  /** Completed runs of the same pipeline run whose outputs are inputs now. */
  reused: { stage: string; runId: string }[];
  /** Stages that were canceled because of this run and wait for another one that did not complete. */
  leftOut: { stage: string; runId: string; needs: string }[];
  /** The stage checkpoints it starts with. */
  startFrom: StagePlan['startFrom'];
};

/**
 * Runs again, from the same version, what did not complete: the run, and those canceled because of it. Completed ones
 * are not touched; their outputs are inputs, pinned by content. The stored plans are used as they are, but for stages
 * that the override names, which are planned anew from the version, and for the checkpoints it is told to go on from.
 * Errors: RUN_NOT_FOUND, CONFLICT (active, completed, or behind another run), WORKSPACE_NOT_FOUND (deleted),
 * BACKEND_UNAVAILABLE, those of `planCall` for the override and of `chooseStart` for the checkpoint.
 */
export async function retryRun(deps: RunsDeps, request: RetryRequest): Promise<Retry> {
  const { db } = deps;
  const run = runToRetry(deps, request.runId);
  const original = getPipelineRun(db, run.pipelineRunId);
  if (!original) throw new Error(`${run.id} has no pipeline run`);
  deps.workspaces.get(run.workspace);
  const version = deps.workspaces.version(`${run.workspace}@${formatVersion(run.version)}`);
  const members = runsOfPipelineRun(db, original.id);
  const { again, leftOut } = chooseAgain(deps, run, members);
  const startFrom = await chooseStart(deps, run, request.fromCheckpoint);
  const pinned = again.map((member) => {
    const plan = pinPlan(deps, member.plan, { again, members });
    return member.id === run.id && startFrom ? { ...plan, startFrom } : plan;
  });
  const call = requestOf(original, { ...request, stages: again.map((member) => member.stage) });
  const stages = request.configOverride
    ? await planAnew(deps, { call, pinned, version, named: Object.keys(request.configOverride) })
    : pinned;
  const backends = await availableBackends(deps, stages);
  const plan: CallPlan = { pipeline: original.pipeline, stages, backends };
  const stored = db.write(() => storeCall(deps, { request: call, plan, version, retryOf: run.id }));
  const feeding = new Set(stages.flatMap((stage) => stage.inputs.flatMap(runBehind)));
  return {
    ...stored,
    version,
    versionCreated: false,
    backends,
    retryOf: run.id,
    reused: members
      .filter((member) => feeding.has(member.id))
      .map((member) => ({ stage: member.stage, runId: member.id })),
    leftOut,
    startFrom,
  };
}

function runBehind({ origin }: PlannedInput): string[] {
  return origin.kind === 'run' ? [origin.runId] : [];
}

function runToRetry(deps: Pick<RunsDeps, 'db'>, typed: string): StageRun {
  const found = findRun(deps.db, typed);
  if (found.kind === 'pipeline_run') throw isPipelineRun(deps, found.run);
  const { run } = found;
  if (!isTerminal(run.state)) {
    throw new GoldfishError('CONFLICT', {
      message: `${run.id} is ${run.state}: there is nothing to retry yet.`,
      hint: 'Wait for its end, or cancel it first.',
      fix: { tool: 'wait', arguments: { targets: [run.id] } },
      details: { run_id: run.id, state: run.state },
    });
  }
  if (run.state === 'completed') {
    throw new GoldfishError('CONFLICT', {
      message: `${run.id} completed: there is nothing to retry.`,
      hint: 'To run the stage once more all the same, call run with use_cache false.',
      fix: {
        tool: 'run',
        arguments: {
          workspace: run.workspace,
          stages: [run.stage],
          use_cache: false,
          reason: `Run ${run.stage} once more`,
        },
      },
      details: { run_id: run.id, state: run.state },
    });
  }
  requireProducers(deps, run);
  return run;
}

function isPipelineRun(deps: Pick<RunsDeps, 'db'>, run: PipelineRun): GoldfishError {
  const members = runsOfPipelineRun(deps.db, run.id);
  const bad =
    members.find(({ state }) => state === 'failed' || state === 'terminated') ??
    members.find(({ state }) => state === 'canceled');
  return new GoldfishError('RUN_NOT_FOUND', {
    message: `${run.id} is a pipeline run; this needs the run of one stage.`,
    hint: bad
      ? `Retry ${bad.id}: ${bad.stage} ${bad.state}.`
      : 'list_runs with pipeline_run_id shows its runs.',
    fix: bad
      ? { tool: 'retry', arguments: { run_id: bad.id, reason: `Try ${bad.stage} of ${run.id} again` } }
      : { tool: 'list_runs', arguments: { pipeline_run_id: run.id } },
  });
}

/** A run that never started because of another one: that one is to be retried, and takes this one along. */
function requireProducers(deps: Pick<RunsDeps, 'db'>, run: StageRun): void {
  let behind = run;
  for (;;) {
    const missing = needsOf(deps.db, behind.id).find((need) => need.state !== 'completed');
    if (!missing) break;
    behind = missing;
  }
  if (behind.id === run.id) return;
  throw new GoldfishError('CONFLICT', {
    message: `${run.stage} needs ${behind.stage}, whose run ${behind.id} is ${behind.state}.`,
    hint: isTerminal(behind.state)
      ? `Retry ${behind.id}; what was canceled because of it runs again with it.`
      : `Wait for ${behind.id} first.`,
    fix: isTerminal(behind.state)
      ? { tool: 'retry', arguments: { run_id: behind.id, reason: `Try ${behind.stage} again` } }
      : { tool: 'wait', arguments: { targets: [behind.id] } },
    details: { run_id: run.id, needs: behind.id, state: behind.state },
  });
}

/** In the order of the pipeline, so that each is judged after those it needs. */
function chooseAgain(
  deps: Pick<RunsDeps, 'db'>,
  run: StageRun,
  members: readonly StageRun[],
): { again: StageRun[]; leftOut: Retry['leftOut'] } {
  const again = new Map([[run.id, run]]);
  const leftOut: Retry['leftOut'] = [];
  for (const member of members) {
    if (member.cause !== 'upstream_failed') continue;
    const needs = needsOf(deps.db, member.id);
    if (!needs.some((need) => again.has(need.id))) continue;
    const missing = needs.find((need) => need.state !== 'completed' && !again.has(need.id));
    if (missing) leftOut.push({ stage: member.stage, runId: member.id, needs: missing.id });
    else again.set(member.id, member);
  }
  return { again: members.filter((member) => again.has(member.id)), leftOut };
}

/** Errors: BACKEND_UNAVAILABLE. */
async function availableBackends(
  deps: Pick<RunsDeps, 'backends'>,
  plans: readonly StagePlan[],
): Promise<CallPlan['backends']> {
  const names = [...new Set(plans.map((plan) => plan.compute.backend))];
  return Promise.all(names.map((name) => deps.backends.choose(name)));
}
