import type { StagePlan } from '../core/stage-plan.ts';
import { outputsOfRun } from '../store/signals.ts';
import { decideCache } from './cache.ts';
import { type InputIdentities, inputIdentity } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';
import { findEqualCall } from './equal-call.ts';
import type { CallPlan, RunRequest } from './plan-call.ts';
import { planLive } from './plan-live.ts';
import { planOfReplicate, replicatesOf } from './replicates.ts';
import { findSimilar, type SimilarRun } from './similar.ts';

export type PlannedStage = {
  plan: StagePlan;
  action: 'run' | 'reuse';
  /** Why it is reused, or why not. */
  reason: string;
  reusedFrom: string | null;
};

/** One repetition of the call in short. */
export type PlannedReplicate = {
  replicate: number;
  /** Stages that would be executed, and that would be reused. */
  run: number;
  reuse: number;
  /** The pipeline run of an equal call, which would be the answer. */
  equal: string | null;
};

export type Preview = {
  workspace: string;
  /** The version the call would run. */
  version: number;
  versionCreated: boolean;
  pipeline: string;
  /** Of the call itself; its repetitions differ in what is reused. */
  stages: PlannedStage[];
  /** In order, the call itself first. */
  replicates: PlannedReplicate[];
  similar: SimilarRun[];
  backends: CallPlan['backends'];
};

/** What a call of `run` would do, without doing it: no version, no rows. Errors: as `submitRun`. */
export async function previewRun(deps: RunsDeps, request: RunRequest): Promise<Preview> {
  const { source, call } = await planLive(deps, request);
  const { workspace, version, wouldCreate } = source;
  const replicates = replicatesOf(request).map((replicate): PlannedReplicate => {
    const plan = planOfReplicate(call, replicate);
    const stages = planStages(deps, plan, workspace);
    const run = stages.filter(({ action }) => action === 'run').length;
    // Files that would become a version cannot have run yet.
    const found = wouldCreate ? undefined : findEqualCall(deps, { request, plan, version: source });
    return { replicate, run, reuse: stages.length - run, equal: found?.equal?.id ?? null };
  });
  const isKnown = replicates.every(({ equal }) => equal !== null);
  return {
    workspace,
    version,
    versionCreated: wouldCreate,
    pipeline: call.pipeline,
    stages: planStages(deps, call, workspace),
    replicates,
    similar: isKnown ? [] : findSimilar(deps, { workspace, plan: call }),
    backends: call.backends,
  };
}

function planStages(deps: RunsDeps, plan: Pick<CallPlan, 'stages'>, workspace: string): PlannedStage[] {
  const reused = new Map<string, string>();
  return plan.stages.map((stage): PlannedStage => {
    const inputs = knownInputs(deps, stage, reused);
    if (!inputs) {
      const makers = stage.inputs.flatMap(({ origin }) => (origin.kind === 'stage' ? [origin.stage] : []));
      const waiting = makers.filter((maker) => !reused.has(maker));
      const reason = `its inputs are made anew by ${waiting.join(', ')}`;
      return { plan: stage, action: 'run', reason, reusedFrom: null };
    }
    const { hit, reason } = decideCache(deps, { plan: stage, inputs, workspace });
    if (hit) reused.set(stage.stage, hit.id);
    return { plan: stage, action: hit ? 'reuse' : 'run', reason, reusedFrom: hit?.id ?? null };
  });
}

/** Content of every input, or undefined while one is still to be made. */
function knownInputs(
  deps: Pick<RunsDeps, 'db'>,
  plan: StagePlan,
  reused: ReadonlyMap<string, string>,
): InputIdentities | undefined {
  const known: InputIdentities = {};
  for (const { name, type, origin } of plan.inputs) {
    if (origin.kind !== 'stage') {
      known[name] = inputIdentity({ type, hash: origin.hash });
      continue;
    }
    const producer = reused.get(origin.stage);
    const output =
      producer === undefined
        ? undefined
        : outputsOfRun(deps.db, producer).find((made) => made.name === origin.signal);
    if (!output) return undefined;
    known[name] = inputIdentity({ type, hash: output.hash });
  }
  return known;
}
