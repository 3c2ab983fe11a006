import { z } from 'zod';
import { deepMerge, type JsonObject } from '../core/json.ts';
import type { PipelineRun, StageRun, WorkspaceVersion } from '../core/rows.ts';
import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import { outputsOfRun } from '../store/signals.ts';
import type { RunsDeps } from './deps.ts';
import type { InputOverride } from './override-input.ts';
import { planCall, type RunRequest } from './plan-call.ts';
import type { InputsOverride } from './resolve-inputs.ts';

/** The stored plan, with what completed stages made as inputs of known content. */
export function pinPlan(
  deps: Pick<RunsDeps, 'db'>,
  plan: StagePlan,
  { again, members }: { again: readonly StageRun[]; members: readonly StageRun[] },
): StagePlan {
  const stages = new Set(again.map((member) => member.stage));
  const inputs = plan.inputs.map((input): PlannedInput => {
    const { origin } = input;
    if (origin.kind !== 'stage' || stages.has(origin.stage)) return input;
    const producer = members.find((member) => member.stage === origin.stage);
    const output = producer && outputsOfRun(deps.db, producer.id).find((made) => made.name === origin.signal);
    if (!producer || !output)
      throw new Error(`${origin.stage}.${origin.signal} of a completed run is missing`);
    const { stage, signal } = origin;
    return {
      ...input,
      origin: { kind: 'run', runId: producer.id, stage, signal, hash: output.hash, stale: false },
    };
  });
  return { ...plan, inputs, needs: plan.needs.filter((need) => stages.has(need)) };
}

/** What of the first call's request decides plans; kept with every pipeline run, so that a retry can be retried. */
const storedRequest = z.looseObject({
  pipeline: z.string().optional(),
  configOverride: z.record(z.string(), z.json()).optional(),
  profile: z.string().optional(),
  backend: z.string().optional(),
  maxRestarts: z.int().nonnegative().optional(),
  useCache: z.boolean().default(true),
});

/** The call that the retry is, as it is stored. */
export function requestOf(
  original: PipelineRun,
  retry: { reason: string; stages: string[]; configOverride?: JsonObject },
): RunRequest {
  const request = storedRequest.parse(original.request);
  const { pipeline, configOverride = {}, profile, backend, maxRestarts, useCache } = request;
  const kept = Object.entries(configOverride).filter(([stage]) => retry.stages.includes(stage));
  const merged = deepMerge(Object.fromEntries(kept), retry.configOverride ?? {});
  return {
    workspace: original.workspace,
    reason: retry.reason,
    stages: retry.stages,
    useCache,
    ...(pipeline === undefined ? {} : { pipeline }),
    ...(Object.keys(merged).length === 0 ? {} : { configOverride: merged }),
    ...(profile === undefined ? {} : { profile }),
    ...(backend === undefined ? {} : { backend }),
    ...(maxRestarts === undefined ? {} : { maxRestarts }),
    ...(original.group === null ? {} : { group: original.group }),
  };
}

/** Stages that the override names are planned as `run` would plan them, with the inputs they have; the others stay. */
export async function planAnew(
  deps: RunsDeps,
  of: { call: RunRequest; pinned: readonly StagePlan[]; version: WorkspaceVersion; named: readonly string[] },
): Promise<StagePlan[]> {
  const { call, pinned, version } = of;
  const source = {
    workspace: version.workspace,
    files: deps.workspaces.files(version),
    codeHash: await deps.workspaces.codeHash(version),
  };
  const { stages } = await planCall(deps, source, { ...call, inputsOverride: pinsOf(pinned) });
  return pinned.map((before) => {
    const now = of.named.includes(before.stage)
      ? stages.find((stage) => stage.stage === before.stage)
      : undefined;
    if (!now) return before;
    const { inputs, needs, startFrom, replicate } = before;
    return {
      ...now,
      inputs,
      needs,
      ...(startFrom ? { startFrom } : {}),
      ...(replicate ? { replicate } : {}),
    };
  });
}

/** So that planning looks for no input anew. */
function pinsOf(plans: readonly StagePlan[]): InputsOverride {
  const stages = plans.map(({ stage, inputs }) => {
    const pins = inputs.flatMap(({ name, origin }): [string, InputOverride][] => {
      if (origin.kind === 'stage') return [];
      if (origin.kind === 'source') return [[name, `${origin.name}@v${origin.version}`]];
      return [[name, { runId: origin.runId, signal: origin.signal }]];
    });
    return [stage, Object.fromEntries(pins)] as const;
  });
  return Object.fromEntries(stages.filter(([, pins]) => Object.keys(pins).length > 0));
}
