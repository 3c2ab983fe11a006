import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import type { InputOverride } from '../runs/override-input.ts';
import type { RunRequest } from '../runs/plan-call.ts';
import type { InputsOverride } from '../runs/resolve-inputs.ts';
import { newName, reason, text, workspace } from './fields.ts';

const stageName = text(64).min(1);

const inputOverride = z.union([
  text(1_000).min(1),
  z.strictObject({ run_id: text(64).min(1), signal: stageName }),
]);

/** What `run` takes. */
export const runInput = z.strictObject({
  workspace,
  reason,
  stages: z.array(stageName).min(1).max(200).optional().describe('Exactly these; default: all'),
  pipeline: stageName.optional().describe('pipelines/<name>.yaml; default: pipeline.yaml'),
  config_override: z
    .record(stageName, z.record(text(200), z.unknown()))
    .optional()
    .describe('{stage: {key: value}}, merged into configs/<stage>.yaml'),
  inputs_override: z
    .record(stageName, z.record(stageName, inputOverride))
    .optional()
    .describe(
      '{stage: {input: run id, {run_id, signal}, source, source@v2, or path in the project or data_roots}}',
    ),
  profile: stageName.optional().describe('Amount of compute for all stages: see list_profiles'),
  backend: stageName.optional().describe('What runs all stages; default: as they say'),
  group: newName.optional().describe('Label; list_runs filters by it'),
  dry_run: z.boolean().optional().describe('Only say what would run and why'),
  wait_seconds: z.number().min(0).max(3_600).optional().describe('Wait this long for the end'),
  use_cache: z.boolean().optional().describe('false: reuse nothing'),
  replicate: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('Execute it all this often, each for itself: measures noise'),
  idempotency_key: z
    .string()
    .regex(/^[ -~]{1,128}$/, 'must be 1 to 128 printable ASCII characters')
    .optional()
    .describe('Yours: sent again, the call starts nothing twice'),
  max_restarts: z.int().min(0).max(100).optional().describe('Of each run, after a crash or loss'),
});
export type RunInput = z.infer<typeof runInput>;

export function toRequest(args: RunInput): RunRequest {
  return {
    workspace: args.workspace,
    reason: args.reason,
    useCache: args.use_cache ?? true,
    ...(args.stages ? { stages: args.stages } : {}),
    ...(args.pipeline === undefined ? {} : { pipeline: args.pipeline }),
    // Arguments came as JSON, so what zod calls unknown is JSON.
    ...(args.config_override ? { configOverride: args.config_override as JsonObject } : {}),
    ...(args.inputs_override ? { inputsOverride: toInputsOverride(args.inputs_override) } : {}),
    ...(args.profile === undefined ? {} : { profile: args.profile }),
    ...(args.backend === undefined ? {} : { backend: args.backend }),
    ...(args.group === undefined ? {} : { group: args.group }),
    ...(args.max_restarts === undefined ? {} : { maxRestarts: args.max_restarts }),
    ...(args.replicate === undefined ? {} : { replicates: args.replicate }),
    ...(args.idempotency_key === undefined
      ? {}
      : { idempotency: { key: args.idempotency_key, arguments: decidingArguments(args) } }),
  };
}

function toInputsOverride(given: NonNullable<RunInput['inputs_override']>): InputsOverride {
  const stages = Object.entries(given).map(([stage, inputs]) => {
    const values = Object.entries(inputs).map(([name, value]): [string, InputOverride] => [
      name,
      typeof value === 'string' ? value : { runId: value.run_id, signal: value.signal },
    ]);
    return [stage, Object.fromEntries(values)] as const;
  });
  return Object.fromEntries(stages);
}

/** What makes two calls of one key the same: neither how long they wait, nor what is the default anyway. */
function decidingArguments(args: RunInput): JsonObject {
  const { wait_seconds: _, dry_run: __, idempotency_key: ___, ...rest } = args;
  const isDefault = (name: string, value: unknown): boolean =>
    (name === 'use_cache' && value === true) || (name === 'replicate' && value === 1);
  const deciding = Object.entries(rest).filter(
    ([name, value]) => value !== undefined && !isDefault(name, value),
  );
  return Object.fromEntries(deciding) as JsonObject;
}
