import { GCE, gceNotConfigured } from '../config/gce-keys.ts';
import { type Problem, problemsError } from '../config/problem.ts';
import type { ProfileBook } from '../config/profiles.ts';
import { GoldfishError } from '../core/errors.ts';
import { hashJson, type JsonObject } from '../core/json.ts';
import type { StagePlan } from '../core/stage-plan.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import { type ResolvedStage, resolvePipeline } from '../pipeline/resolve-pipeline.ts';
import { requireFit } from './check-fit.ts';
import type { RunsDeps } from './deps.ts';
import { pipelineLookups } from './lookups.ts';
import { type InputsOverride, resolveInputs } from './resolve-inputs.ts';
import { type Settle, type SettledCompute, settler } from './settle-compute.ts';
import { toStagePlan } from './stage-plan-of.ts';

/** What a call of `run` asks for. */
export type RunRequest = {
  workspace: string;
  reason: string;
  /** Exactly these; absent: all. */
  stages?: string[];
  /** `pipelines/<name>.yaml`; absent: `pipeline.yaml`. */
  pipeline?: string;
  configOverride?: JsonObject;
  /** By stage and input. */
  inputsOverride?: InputsOverride;
  /** For all stages of the call, whatever they say themselves. */
  profile?: string;
  backend?: string;
  /** The caller's own word for runs that belong together. */
  group?: string;
  /** How often each run may be started anew by itself; absent: as its stage or the config says. */
  maxRestarts?: number;
  /** False: neither an equal call nor an equal stage is reused. */
  useCache: boolean;
  /** How many times the whole of it is executed, each time for itself; absent: once. */
  replicates?: number;
  /** So that a call that is sent again is known, whatever became of the first. */
  idempotency?: { key: string; arguments: JsonObject };
};

/** The files a call is planned from: a version, or a slot as it is now. */
export type PlanSource = { workspace: string; files: FileReader; codeHash: string };

export type CallPlan = {
  pipeline: string;
  /** So that each stands after those it needs. */
  stages: StagePlan[];
  /** Backend names with the reason each was chosen. */
  backends: { name: string; why: string }[];
};

/**
 * Reads, checks and resolves everything a call needs, from one set of files. Changes nothing, but for data named by
 * path in `inputsOverride`, which is registered where `store` says so.
 * Errors: INVALID_PIPELINE with every problem; INVALID_ARGUMENT for stages and overrides; PROFILE_UNKNOWN;
 * NOT_SUPPORTED for what the backend cannot give; BACKEND_UNAVAILABLE; INPUT_UNAVAILABLE.
 */
export async function planCall(
  deps: RunsDeps,
  source: PlanSource,
  request: RunRequest,
  options: { store: boolean } = { store: false },
): Promise<CallPlan> {
  const lookups = pipelineLookups(deps);
  if (request.profile !== undefined) requireProfile(lookups.profiles, request.profile);
  if (request.backend === GCE && deps.config.gce === null) throw gceNotConfigured();
  const { pipeline, problems } = await loadPipeline({
    files: source.files,
    lookups,
    pipeline: request.pipeline,
  });
  if (!pipeline || problems.length > 0) throw invalidPipeline(problems, source.workspace);
  const { stages: names, configOverride, inputsOverride = {}, profile, backend, maxRestarts } = request;
  const project = { pipeline, lookups, defaults: deps.config.defaults, settings: deps.settings };
  const stages = resolvePipeline({
    ...project,
    stages: names,
    configOverride,
    inputsOverride,
    profile,
    backend,
    maxRestarts,
  });
  const settle = settler(deps, source);
  const search = {
    deps,
    workspace: source.workspace,
    pipeline: request.pipeline,
    all: new Map(resolvePipeline(project).map((stage) => [stage.name, stage])),
    settle,
    codeHash: source.codeHash,
  };
  const settled = await settleAll(stages, settle);
  const plans: StagePlan[] = [];
  for (const [stage, compute] of settled) {
    const origins = await resolveInputs(search, stage, { override: inputsOverride, ...options });
    const { codeHash } = source;
    plans.push(toStagePlan({ stage, settled: compute, codeHash, origins, reuse: request.useCache }));
  }
  // From here on this process knows what later refusals, the audit and the log must not repeat.
  deps.secrets.everyValue(plans.flatMap((plan) => Object.values(plan.secrets)));
  const choices = [...settled.values()].map(({ choice }) => [choice.name, choice] as const);
  return { pipeline: pipeline.name, stages: plans, backends: [...new Map(choices).values()] };
}

/** Before any input is looked for: what cannot run at all is said first. */
async function settleAll(
  stages: readonly ResolvedStage[],
  settle: Settle,
): Promise<Map<ResolvedStage, SettledCompute>> {
  const settled = new Map<ResolvedStage, SettledCompute>();
  for (const stage of stages) {
    const compute = await settle(stage.compute);
    requireFit(stage.name, stage.compute, compute);
    settled.set(stage, compute);
  }
  return settled;
}

function requireProfile(profiles: ProfileBook, name: string): void {
  const refusal = profiles.refuse(name);
  if (refusal === undefined) return;
  const { code, message, hint, allowed } = refusal;
  const fix = { tool: 'list_profiles', arguments: {} };
  throw new GoldfishError(code, { message, hint, details: { field: 'profile', allowed }, fix });
}

/** With the call that shows every problem again, once the files are mended. */
function invalidPipeline(problems: readonly Problem[], workspace: string): GoldfishError {
  const { code, message, hint, details } = problemsError('INVALID_PIPELINE', [...problems]);
  const fix = { tool: 'validate', arguments: { workspace } };
  return new GoldfishError(code, { message, details, fix, ...(hint === undefined ? {} : { hint }) });
}

/** Version, stages, merged configs, resolved inputs, replicate: equal calls have equal keys. */
export function submissionKey(call: {
  workspace: string;
  version: number;
  pipeline: string;
  stages: readonly StagePlan[];
}): string {
  return hashJson({
    workspace: call.workspace,
    version: call.version,
    pipeline: call.pipeline,
    replicate: call.stages[0]?.replicate ?? 0,
    stages: call.stages.map((plan) => ({
      stage: plan.stage,
      command: plan.command,
      config: plan.config,
      compute: plan.compute,
      environment: plan.environment,
      secrets: plan.secrets,
      inputs: plan.inputs.map((input) => [
        input.name,
        input.origin.kind === 'run' ? input.origin.hash : input.origin,
      ]),
      image: plan.environmentKey,
      ...(plan.startFrom ? { startFrom: plan.startFrom } : {}),
    })),
  });
}
