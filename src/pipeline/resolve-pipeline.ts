import { unknownName } from '../config/check-shape.ts';
import type { Config } from '../config/config.ts';
import { type Problem, problemList } from '../config/problem.ts';
import type { Setting } from '../config/settings.ts';
import { RESTARTABLE } from '../core/causes.ts';
import { GoldfishError } from '../core/errors.ts';
import { topologicalOrder } from '../core/graph.ts';
import type { JsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';
import type { RestartPolicy } from '../core/restart-policy.ts';
import type { PlannedOutput } from '../core/stage-plan.ts';
import { type MergedConfig, mergeStageConfig } from './merge-stage-config.ts';
import { type Pipeline, type PipelineLookups, producerOf, type Stage, type StageInput } from './pipeline.ts';
import { type AskedCompute, type Decided, resolveCompute } from './resolve-compute.ts';
import { readStageConfig, type StageSettings } from './stage-config.ts';

/**
 * An input of a stage that is called. Where its producer is not called too, an earlier run must give the data; where
 * the call itself says what it reads, its producer does not matter.
 */
export type ResolvedInput = StageInput & { inCall: boolean; overridden: boolean };

/** One stage of a call with every setting decided but those that its backend gives. JSON-safe. */
export type ResolvedStage = {
  name: string;
  command: string[];
  /** Merged config without reserved keys: what the stage sees. */
  config: JsonObject;
  compute: AskedCompute;
  environment: Record<string, string>;
  /** By name, the name each has in the environment it is read from at launch. */
  secrets: Record<string, string>;
  inputs: ResolvedInput[];
  outputs: PlannedOutput[];
  cache: boolean;
  retries: RestartPolicy;
  /** Stages of the same call it waits for, each once. */
  needs: string[];
};

export type ResolveRequest = {
  pipeline: Pipeline;
  /** Exactly these; absent: all. */
  stages?: readonly string[] | undefined;
  /** By stage; merged over its config file. */
  configOverride?: JsonObject | undefined;
  /** By stage and input; what each stands for is looked up elsewhere. */
  inputsOverride?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  /** Of the call, for all its stages. */
  profile?: string | undefined;
  backend?: string | undefined;
  maxRestarts?: number | undefined;
  defaults: Config['defaults'];
  /** Of the loaded config, for the origins of defaults. */
  settings?: readonly Setting[];
  lookups: PipelineLookups;
};

/**
 * Decides everything about the stages of a call, in an order in which each stands after what it needs.
 * The only way from a pipeline to settings: validation, plan and execution all read configs through the same merge.
 * Errors: INVALID_ARGUMENT for an unknown stage, or with `details.problems` for what an override gets wrong.
 */
export function resolvePipeline(request: ResolveRequest): ResolvedStage[] {
  const chosen = chooseStages(request);
  const override = request.configOverride ?? {};
  requireCalled(request, { field: 'config_override', names: Object.keys(override), chosen });
  checkInputNames(request, chosen);
  const problems: Problem[] = [];
  const resolved = chosen.map((stage) => {
    const merged = mergeStageConfig({
      stage: stage.name,
      file: request.pipeline.configs.get(stage.name),
      override: Object.hasOwn(override, stage.name) ? override[stage.name] : undefined,
    });
    const found = problemList();
    const settings = readStageConfig({ ...merged, problems: found, lookups: request.lookups });
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
    (stage) => [stage.name, stage.inputs.flatMap((input) => producerOf(input)?.stage ?? [])] as const,
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
function requireCalled(
  { pipeline }: ResolveRequest,
  overridden: {
    field: 'config_override' | 'inputs_override';
    names: readonly string[];
    chosen: readonly Stage[];
  },
): void {
  const { field, names, chosen } = overridden;
  const called = chosen.map((stage) => stage.name);
  for (const name of names) {
    if (called.includes(name)) continue;
    const known = pipeline.stages.some((stage) => stage.name === name);
    if (!known) throw unknownStage(field, name, called);
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `${field} names the stage "${clip(name)}", which this call does not run.`,
      hint: `Add it to "stages", or remove it from ${field}.`,
      details: { field, allowed: called.slice(0, 100) },
    });
  }
}

function checkInputNames(request: ResolveRequest, chosen: readonly Stage[]): void {
  const override = request.inputsOverride ?? {};
  requireCalled(request, { field: 'inputs_override', names: Object.keys(override), chosen });
  for (const stage of chosen) {
    const names = Object.hasOwn(override, stage.name) ? Object.keys(override[stage.name] ?? {}) : [];
    const known = stage.inputs.map((input) => input.name);
    const wrong = names.find((name) => !known.includes(name));
    if (wrong === undefined) continue;
    const { hint, allowed } = unknownName('input', wrong, known);
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: `The stage "${stage.name}" has no input "${clip(wrong)}".`,
      hint: known.length === 0 ? `"${stage.name}" has no inputs.` : hint,
      details: { field: 'inputs_override', stage: stage.name, allowed },
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
  const override = request.inputsOverride ?? {};
  const given = Object.hasOwn(override, stage.name) ? (override[stage.name] ?? {}) : {};
  const inputs = stage.inputs.map((input): ResolvedInput => {
    const overridden = Object.hasOwn(given, input.name);
    const producer = producerOf(input);
    const called = chosen.some((other) => other.name === producer?.stage);
    return { ...input, overridden, inCall: called && !overridden };
  });
  return {
    name: stage.name,
    command: stage.command,
    config: settings.config,
    compute: resolveCompute({
      stage: { compute: settings.compute, image: imageOf(request.pipeline, stage) },
      originOf: merged.originOf,
      call: { profile: request.profile, backend: request.backend },
      profiles: request.lookups.profiles,
      defaults: request.defaults,
      settings: request.settings ?? [],
    }),
    environment: settings.environment,
    secrets: settings.secrets,
    inputs,
    outputs: stage.outputs,
    cache: stage.cache,
    retries: {
      maxRestarts: request.maxRestarts ?? stage.retries.maxRestarts ?? request.defaults.maxRestarts,
      on: stage.retries.on ?? RESTARTABLE,
    },
    needs: [...new Set(inputs.flatMap((input) => (input.inCall ? (producerOf(input)?.stage ?? []) : [])))],
  };
}

function imageOf(pipeline: Pipeline, stage: Stage): Decided<string> | undefined {
  if (stage.image === null) return undefined;
  const { file, line } = pipeline.locate(stage.name, ['image']);
  return { value: stage.image, origin: `${file}:${line}` };
}
