import { unknownName } from '../config/check-shape.ts';
import type { Config } from '../config/config.ts';
import { type Problem, problemList } from '../config/problem.ts';
import { BACKENDS } from '../config/schema.ts';
import type { Setting } from '../config/settings.ts';
import { GoldfishError } from '../core/errors.ts';
import { topologicalOrder } from '../core/graph.ts';
import type { JsonObject } from '../core/json.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';
import { type MergedConfig, mergeStageConfig } from './merge-stage-config.ts';
import type { Pipeline, PipelineLookups, Stage, StageInput } from './pipeline.ts';
import { readStageConfig, type StageSettings } from './stage-config.ts';

/** An input of a stage that is called. Where its producer is not called too, an earlier run must give the data. */
export type ResolvedInput = StageInput & { inCall: boolean };

/** One stage of a call with every setting decided. JSON-safe. */
export type ResolvedStage = {
  name: string;
  command: string[];
  /** Merged config without reserved keys: what the stage sees. */
  config: JsonObject;
  compute: {
    /** `auto`, or a backend by name. */
    backend: string;
    timeoutSeconds: number;
    stopGraceSeconds: number;
    /** Null: no limit. */
    memoryBytes: number | null;
  };
  /** Where each of compute comes from: `built-in`, `goldfish.yaml:12`, `configs/train.yaml:3`, `config_override`. */
  origins: { backend: string; timeout_seconds: string; stop_grace_seconds: string; memory: string };
  environment: Record<string, string>;
  inputs: ResolvedInput[];
  outputs: PlannedOutput[];
  cache: boolean;
  /** Stages of the same call it waits for, each once. */
  needs: string[];
};

export type ResolveRequest = {
  pipeline: Pipeline;
  /** Exactly these; absent: all. */
  stages?: readonly string[] | undefined;
  /** By stage; merged over its config file. */
  configOverride?: JsonObject | undefined;
  defaults: Config['defaults'];
  /** Of the loaded config, for the origins of defaults. */
  settings?: readonly Setting[];
  lookups?: PipelineLookups;
};

/**
 * Decides everything about the stages of a call, in an order in which each stands after what it needs.
 * The only way from a pipeline to settings: validation, plan and execution all read configs through the same merge.
 * Errors: INVALID_ARGUMENT for an unknown stage, or with `details.problems` for what an override gets wrong.
 */
export function resolvePipeline(request: ResolveRequest): ResolvedStage[] {
  const chosen = chooseStages(request);
  const override = request.configOverride ?? {};
  requireCalled(Object.keys(override), chosen, request.pipeline);
  const problems: Problem[] = [];
  const resolved = chosen.map((stage) => {
    const merged = mergeStageConfig({
      stage: stage.name,
      file: request.pipeline.configs.get(stage.name),
      override: Object.hasOwn(override, stage.name) ? override[stage.name] : undefined,
    });
    const found = problemList();
    const lookups = request.lookups ?? { backends: BACKENDS };
    const settings = readStageConfig({ ...merged, problems: found, lookups });
    problems.push(...merged.problems, ...found.found());
    return resolveStage(request, chosen, { stage, settings, merged });
  });
  if (problems.length > 0) throw overrideError(problems);
  return resolved;
}

function chooseStages({ pipeline, stages }: ResolveRequest): Stage[] {
  const known = pipeline.stages.map((stage) => stage.name);
  if (stages?.length === 0) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'The list of stages is empty.',
      hint: 'Name at least one stage, or leave "stages" out to run all.',
      details: { field: 'stages', allowed: known.slice(0, 100) },
    });
  }
  for (const name of stages ?? []) if (!known.includes(name)) throw unknownStage('stages', name, known);
  const wanted = new Set(stages ?? known);
  const needs = pipeline.stages.map(
    (stage) => [stage.name, stage.inputs.map((input) => input.from.stage)] as const,
  );
  const order = topologicalOrder(new Map(needs));
  const byName = new Map(pipeline.stages.map((stage) => [stage.name, stage]));
  return order.flatMap((name) => (wanted.has(name) ? (byName.get(name) ?? []) : []));
}

function unknownStage(field: string, name: string, known: readonly string[]): GoldfishError {
  const { message, hint, allowed } = unknownName('stage', name, known);
  return new GoldfishError('INVALID_ARGUMENT', { message, hint, details: { field, allowed } });
}

/** An override that nobody reads is a mistake: the caller believes that it has an effect. */
function requireCalled(overridden: readonly string[], chosen: readonly Stage[], pipeline: Pipeline): void {
  const called = chosen.map((stage) => stage.name);
  for (const name of overridden) {
    if (called.includes(name)) continue;
    const known = pipeline.stages.some((stage) => stage.name === name);
    if (!known) throw unknownStage('config_override', name, called);
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `config_override names the stage "${name}", which this call does not run.`,
      hint: 'Add it to "stages", or remove it from config_override.',
      details: { field: 'config_override', allowed: called.slice(0, 100) },
    });
  }
}

/** The files were checked when the pipeline was loaded, so whatever is wrong now came with the override. */
function overrideError(problems: readonly Problem[]): GoldfishError {
  const [first] = problems;
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`;
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `config_override, ${first?.path ?? ''}: ${first?.message ?? ''}${more}`,
    ...(first?.hint === undefined ? {} : { hint: first.hint }),
    details: { field: 'config_override', problems: problems.slice(0, 100) },
  });
}

function resolveStage(
  request: ResolveRequest,
  chosen: readonly Stage[],
  own: { stage: Stage; settings: StageSettings; merged: MergedConfig },
): ResolvedStage {
  const { stage, settings, merged } = own;
  const { defaults } = request;
  const inputs = stage.inputs.map((input) => ({
    ...input,
    inCall: chosen.some((other) => other.name === input.from.stage),
  }));
  const { backend, timeout_seconds, memory } = settings.compute;
  const origin = (key: keyof StageSettings['compute']): string =>
    settings.compute[key] === undefined ? defaultOrigin(request, key) : merged.originOf(['compute', key]);
  return {
    name: stage.name,
    command: stage.command,
    config: settings.config,
    compute: {
      backend: backend ?? defaults.backend,
      timeoutSeconds: timeout_seconds ?? defaults.timeoutSeconds,
      stopGraceSeconds: defaults.stopGraceSeconds,
      memoryBytes: memory ?? null,
    },
    origins: {
      backend: origin('backend'),
      timeout_seconds: origin('timeout_seconds'),
      stop_grace_seconds: defaultOrigin(request, 'stop_grace_seconds'),
      memory: origin('memory'),
    },
    environment: settings.environment,
    inputs,
    outputs: stage.outputs,
    cache: stage.cache,
    needs: [...new Set(inputs.flatMap((input) => (input.inCall ? [input.from.stage] : [])))],
  };
}

function defaultOrigin({ settings }: ResolveRequest, key: string): string {
  return settings?.find((setting) => setting.key === `defaults.${key}`)?.origin ?? 'built-in';
}
