import { type Problem, problemsError } from '../config/problem.ts';
import { GoldfishError } from '../core/errors.ts';
import { hashJson, type JsonObject } from '../core/json.ts';
import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import { type ResolvedStage, resolvePipeline } from '../pipeline/resolve-pipeline.ts';
import type { RunsDeps } from './deps.ts';
import { earlierOrigin } from './resolve-inputs.ts';
import { toStagePlan, type VersionIdentity } from './stage-plan-of.ts';

/** What a call of `run` asks for. */
export type RunRequest = {
  workspace: string;
  reason: string;
  /** Exactly these; absent: all. */
  stages?: string[];
  /** `pipelines/<name>.yaml`; absent: `pipeline.yaml`. */
  pipeline?: string;
  configOverride?: JsonObject;
  /** False: neither an equal call nor an equal stage is reused. */
  useCache: boolean;
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
 * Reads, checks and resolves everything a call needs, from one set of files. Reads only.
 * Errors: INVALID_PIPELINE with every problem, INVALID_ARGUMENT for stages and overrides, INPUT_UNAVAILABLE.
 */
export async function planCall(deps: RunsDeps, source: PlanSource, request: RunRequest): Promise<CallPlan> {
  const lookups = { backends: ['auto', ...deps.backends.names] };
  const loaded = await loadPipeline({
    files: source.files,
    lookups,
    ...(request.pipeline === undefined ? {} : { pipeline: request.pipeline }),
  });
  if (!loaded.pipeline || loaded.problems.length > 0)
    throw invalidPipeline(loaded.problems, source.workspace);
  const { pipeline } = loaded;
  const stages = resolvePipeline({
    pipeline,
    lookups,
    defaults: deps.config.defaults,
    ...(request.stages ? { stages: request.stages } : {}),
    ...(request.configOverride ? { configOverride: request.configOverride } : {}),
  });
  const all = resolvePipeline({ pipeline, lookups, defaults: deps.config.defaults });
  const { identity, backends } = await identify(deps, source, [...stages, ...all]);
  const search = {
    deps,
    workspace: source.workspace,
    pipeline: request.pipeline,
    all: new Map(all.map((stage) => [stage.name, stage])),
    identity,
  };
  const plans = stages.map((stage) => {
    const origins = stage.inputs.map((input): PlannedInput => {
      const { name, type, from } = input;
      if (input.inCall) return { name, type, origin: { kind: 'stage', ...from } };
      return { name, type, origin: earlierOrigin(search, { stage: stage.name, input: name, from }) };
    });
    return toStagePlan({ stage, identity, origins, reuse: request.useCache });
  });
  return { pipeline: pipeline.name, stages: plans, backends };
}

/** Each backend is asked once per call, so that every stage gets the same answer. */
async function identify(
  deps: RunsDeps,
  source: PlanSource,
  stages: readonly ResolvedStage[],
): Promise<{ identity: VersionIdentity; backends: { name: string; why: string }[] }> {
  const chosen = new Map<string, { name: string; why: string }>();
  const environmentKeys = new Map<string, string>();
  for (const { compute } of stages) {
    if (chosen.has(compute.backend)) continue;
    const choice = await deps.backends.choose(compute.backend);
    chosen.set(compute.backend, choice);
    if (!environmentKeys.has(choice.name)) {
      environmentKeys.set(
        choice.name,
        await deps.backends.environmentKey(choice.name, { files: source.files, image: null }),
      );
    }
  }
  const backendOf = (requested: string): string => chosen.get(requested)?.name ?? requested;
  const backends = [...new Map([...chosen.values()].map((choice) => [choice.name, choice])).values()];
  return { identity: { codeHash: source.codeHash, environmentKeys, backendOf }, backends };
}

/** With the call that shows every problem again, once the files are mended. */
function invalidPipeline(problems: readonly Problem[], workspace: string): GoldfishError {
  const { code, message, hint, details } = problemsError('INVALID_PIPELINE', [...problems]);
  const fix = { tool: 'validate', arguments: { workspace } };
  return new GoldfishError(code, { message, details, fix, ...(hint === undefined ? {} : { hint }) });
}

/** Version, stages, merged configs, resolved inputs: equal calls have equal keys. */
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
    replicate: 0,
    stages: call.stages.map((plan) => ({
      stage: plan.stage,
      command: plan.command,
      config: plan.config,
      compute: plan.compute,
      environment: plan.environment,
      inputs: plan.inputs.map((input) => [
        input.name,
        input.origin.kind === 'run' ? input.origin.hash : input.origin,
      ]),
      image: plan.environmentKey,
    })),
  });
}
