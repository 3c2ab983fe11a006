import type { StagePlan } from '../core/stage-plan.ts';
import { outputsOfRun } from '../store/signals.ts';
import { decideCache } from './cache.ts';
import { type InputIdentities, inputIdentity } from './cache-key.ts';
import type { RunsDeps } from './deps.ts';
import { type CallPlan, planCall, type RunRequest } from './plan-call.ts';

export type PlannedStage = {
  plan: StagePlan;
  action: 'run' | 'reuse';
  /** Why it is reused, or why not. */
  reason: string;
  reusedFrom: string | null;
};

export type Preview = {
  workspace: string;
  /** The version the call would run. */
  version: number;
  versionCreated: boolean;
  pipeline: string;
  stages: PlannedStage[];
  backends: CallPlan['backends'];
};

/** What a call of `run` would do, without doing it: no version, no rows. Errors: as `submitRun`. */
export async function previewRun(deps: RunsDeps, request: RunRequest): Promise<Preview> {
  const source = await deps.workspaces.preview(request.workspace);
  const plan = await planCall(deps, source, request);
  const reused = new Map<string, string>();
  const stages = plan.stages.map((stage): PlannedStage => {
    const inputs = knownInputs(deps, stage, reused);
    if (!inputs) {
      const makers = stage.inputs.flatMap(({ origin }) => (origin.kind === 'stage' ? [origin.stage] : []));
      const waiting = makers.filter((maker) => !reused.has(maker));
      return {
        plan: stage,
        action: 'run',
        reason: `its inputs are made anew by ${waiting.join(', ')}`,
        reusedFrom: null,
      };
    }
    const decision = decideCache(deps, { plan: stage, inputs, workspace: source.workspace });
    if (decision.hit) reused.set(stage.stage, decision.hit.id);
    return {
      plan: stage,
      action: decision.hit ? 'reuse' : 'run',
      reason: decision.reason,
      reusedFrom: decision.hit?.id ?? null,
    };
  });
  return {
    workspace: source.workspace,
    version: source.version,
    versionCreated: source.wouldCreate,
    pipeline: plan.pipeline,
    stages,
    backends: plan.backends,
  };
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
