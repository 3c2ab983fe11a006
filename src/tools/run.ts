import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import type { JsonObject } from '../core/json.ts';
import { formatVersion } from '../core/names.ts';
import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { InputOverride } from '../runs/override-input.ts';
import type { RunRequest } from '../runs/plan-call.ts';
import type { PlannedStage } from '../runs/plan-preview.ts';
import type { InputsOverride } from '../runs/resolve-inputs.ts';
import { type CallContext, defineTool } from './define-tool.ts';
import { answer, newName, nextCall, reason, text, workspace } from './fields.ts';
import { computeText, planRow, toPlanRow } from './run-plan.ts';
import { memberRow, stateText, toMemberRow } from './run-rows.ts';
import { callText, count, lines, type TextKit } from './text.ts';

const stageName = text(64).min(1);

const inputOverride = z.union([
  text(1_000).min(1),
  z.strictObject({ run_id: text(64).min(1), signal: stageName }),
]);

const input = z.strictObject({
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
  max_restarts: z.int().min(0).max(100).optional().describe('Of each run, after a crash or loss'),
});
type RunInput = z.infer<typeof input>;

const inputFrom = z.object({
  stage: z.string(),
  input: z.string(),
  run_id: z.string(),
  signal: z.string(),
  stale: z.boolean().describe('Its code, config or inputs have changed since'),
});

const output = answer({
  pipeline_run_id: z.string(),
  workspace: z.string(),
  version: z.string(),
  version_created: z.boolean().describe('false: the files are those of the newest version'),
  deduplicated: z.boolean().describe('true: the same call was made before; this is its pipeline run'),
  state: z.string(),
  group: z.string().nullable(),
  runs: z.array(memberRow),
  plan: z.array(planRow).describe('With dry_run'),
  earlier_inputs: z.array(inputFrom).describe('Inputs whose producer is not part of the call'),
  backends: z.array(z.object({ name: z.string(), why: z.string() })),
  timed_out: z.boolean(),
  next: nextCall(),
});
type RunOutput = z.input<typeof output>;

export const run = defineTool({
  name: 'run',
  title: 'Run a pipeline',
  description:
    'Versions the slot and runs its pipeline, or some stages, from that version. Returns ids at once; what is unchanged is reused, and the same call again returns the same pipeline run. Use dry_run to see the plan, wait for the end.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: true },
  input,
  output,
  audit: (args) =>
    args.dry_run ? null : { workspace: args.workspace, reason: args.reason, reasonField: 'reason' },
  handler: (ctx, args, call) => (args.dry_run ? preview(ctx, args) : submit(ctx, args, call)),
  render: (result, kit) => (result.plan ? renderPlan(result, kit) : renderRuns(result, kit)),
});

function toRequest(args: RunInput): RunRequest {
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

async function preview(ctx: ServerContext, args: RunInput): Promise<RunOutput> {
  const plan = await ctx.runs.plan(toRequest(args));
  const { dry_run: _, ...rest } = args;
  return {
    workspace: plan.workspace,
    version: formatVersion(plan.version),
    version_created: plan.versionCreated,
    plan: plan.stages.map(toPlanRow),
    earlier_inputs: plan.stages.flatMap((stage) => earlierInputs(stage.plan)),
    backends: plan.backends,
    next: { tool: 'run', arguments: rest },
  };
}

function earlierInputs(plan: PlannedStage['plan']): z.infer<typeof inputFrom>[] {
  return plan.inputs.flatMap(({ name, origin }) =>
    origin.kind === 'run'
      ? [{ stage: plan.stage, input: name, run_id: origin.runId, signal: origin.signal, stale: origin.stale }]
      : [],
  );
}

async function submit(ctx: ServerContext, args: RunInput, call: CallContext): Promise<RunOutput> {
  const submitted = await ctx.runs.submit(toRequest(args));
  const id = submitted.pipelineRun.id;
  const waited = await waitBriefly(ctx, { id, seconds: args.wait_seconds ?? 0 }, call);
  const members = waited ? ctx.runs.members(id) : submitted.runs;
  const state = waited?.targets[0]?.state ?? submitted.pipelineRun.state;
  return {
    pipeline_run_id: id,
    workspace: submitted.version.workspace,
    version: formatVersion(submitted.version.version),
    version_created: submitted.versionCreated,
    deduplicated: submitted.deduplicated,
    state,
    group: submitted.pipelineRun.group,
    runs: members.map(toMemberRow),
    earlier_inputs: members.flatMap((member) => earlierInputs(member.plan)),
    backends: submitted.backends,
    ...(waited ? { timed_out: waited.timedOut } : {}),
    next: nextAfter(id, members),
  };
}

async function waitBriefly(ctx: ServerContext, wanted: { id: string; seconds: number }, call: CallContext) {
  if (wanted.seconds === 0) return undefined;
  const timeoutSeconds = Math.min(wanted.seconds, ctx.config.mcp.maxWaitSeconds);
  return ctx.runs.wait(
    { targets: [wanted.id], until: 'all', timeoutSeconds },
    {
      signal: call.signal,
      progress: (ended, total, message) => call.progress(total === 0 ? 0 : ended / total, message),
    },
  );
}

function nextAfter(id: string, members: readonly StageRun[]) {
  const bad = members.find((member) => member.state === 'failed' || member.state === 'terminated');
  if (bad) return { tool: 'inspect_run', arguments: { run_id: bad.id } };
  if (members.every((member) => isTerminal(member.state))) {
    return { tool: 'list_runs', arguments: { pipeline_run_id: id } };
  }
  return { tool: 'wait', arguments: { targets: [id] } };
}

function renderRuns(result: z.output<typeof output>, kit: TextKit): string {
  const made = result.version_created ? 'made for this call' : 'unchanged files';
  return lines(
    `${result.pipeline_run_id} of ${result.workspace}@${result.version} (${made}) is ${result.state}.`,
    result.deduplicated &&
      'The same call was made before: this is its pipeline run, nothing new was started.',
    result.runs &&
      kit.table(
        result.runs.map((row) => [row.run_id, row.stage, stateText(row), row.why]),
        ['run', 'stage', 'state', 'reused, or why not'],
      ),
    ...staleLines(result),
    result.next && `next: ${callText(result.next)}`,
  );
}

function renderPlan(result: z.output<typeof output>, kit: TextKit): string {
  const plan = result.plan ?? [];
  const runs = plan.filter((stage) => stage.action === 'run').length;
  return lines(
    `Dry run on ${result.workspace}@${result.version}${result.version_created ? ' (would be made)' : ''}: ` +
      `${count(runs, 'stage')} would run, ${plan.length - runs} would be reused.`,
    kit.table(
      plan.map((stage) => [stage.stage, stage.action, computeText(stage), stage.why]),
      ['stage', 'action', 'compute', 'why'],
    ),
    ...staleLines(result),
    result.next && `next: ${callText(result.next)}`,
  );
}

function staleLines(result: z.output<typeof output>): string[] {
  return (result.earlier_inputs ?? []).map(
    (item) =>
      `input ${item.stage}.${item.input} comes from the earlier ${item.run_id}${item.stale ? ', which is STALE: its code, config or inputs have changed since' : ''}.`,
  );
}
