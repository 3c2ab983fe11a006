import type { PipelineRun } from '../core/rows.ts';
import { isStored } from '../data/stored-content.ts';
import { findLivePipelineRun } from '../store/pipeline-runs.ts';
import { outputsOfRun } from '../store/signals.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { type CallPlan, type RunRequest, submissionKey } from './plan-call.ts';

type EqualDeps = Pick<RunsDeps, 'db' | 'storage'>;

/** The key of a call, and the pipeline run it is answered with because that is active or completed. Reads only. */
export function findEqualCall(
  deps: EqualDeps,
  call: {
    request: Pick<RunRequest, 'useCache'>;
    plan: Pick<CallPlan, 'pipeline' | 'stages'>;
    version: { workspace: string; version: number };
    /** The run this call tries again. */
    retryOf?: string | undefined;
  },
): { key: string; equal: PipelineRun | undefined } {
  const { request, plan, version, retryOf } = call;
  const key = submissionKey({
    workspace: version.workspace,
    version: version.version,
    pipeline: plan.pipeline,
    stages: plan.stages,
  });
  const found = findLivePipelineRun(deps.db, key);
  const live = found && isWhole(deps, found) ? found : undefined;
  // A retry that is asked for twice is one, also where nothing is to be reused.
  const isSameRetry = retryOf !== undefined && live?.retryOf === retryOf;
  return { key, equal: request.useCache || isSameRetry ? live : undefined };
}

/** What a completed one stored may be gone since; then the call makes it again. */
function isWhole(deps: EqualDeps, { id, state }: PipelineRun): boolean {
  if (state !== 'completed') return true;
  const outputs = runsOfPipelineRun(deps.db, id).flatMap((run) => outputsOfRun(deps.db, run.id));
  return outputs.every((output) => isStored(deps.storage, output));
}
