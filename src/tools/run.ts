import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { formatVersion } from '../core/names.ts';
import type { StageRun } from '../core/rows.ts';
import { isTerminal, pipelineState } from '../core/run-lifecycle.ts';
import { machinesOfRuns, type RunMachine } from '../pool/run-machines.ts';
import type { PlannedStage } from '../runs/plan-preview.ts';
import type { SubmittedCall } from '../runs/submission.ts';
import { fittingCount } from './budget.ts';
import { type CallContext, defineTool } from './define-tool.ts';
import { answer, nextCall } from './fields.ts';
import { warmPart } from './run-machine.ts';
import { computeText, planRow, toPlanRow } from './run-plan.ts';
import { type RunInput, runInput, toRequest } from './run-request.ts';
import { memberRow, stateText, toMemberRow } from './run-rows.ts';
import { similarRow, similarText, toSimilarRow } from './run-similar.ts';
import { callText, count, lines, type TextKit } from './text.ts';

/** What the rows of a call may cost: a hundred replicates have thousands. */
const MEMBERS_TOKENS = 2_500;

const inputFrom = z.object({
  stage: z.string(),
  input: z.string(),
  run_id: z.string(),
  signal: z.string(),
  stale: z.boolean().describe('Its code, config or inputs have changed since'),
});

const output = answer({
  pipeline_run_id: z.string(),
  pipeline_run_ids: z.array(z.string()).describe('With replicate: of each, in order'),
  workspace: z.string(),
  version: z.string(),
  version_created: z.boolean().describe('false: the files are those of the newest version'),
  deduplicated: z.boolean().describe('true: the same call was made before; nothing new is started'),
  state: z.string(),
  group: z.string().nullable(),
  runs: z.array(memberRow),
  runs_omitted: z.int().describe('Of many replicates; list_runs shows them'),
  similar: z.array(similarRow).describe('Earlier pipeline runs that differ little, and how they ended'),
  plan: z.array(planRow).describe('With dry_run'),
  replicates: z
    .array(
      z.object({
        replicate: z.int(),
        run: z.int(),
        reuse: z.int(),
        pipeline_run_id: z.string().nullable().describe('Of the same call before: it would be the answer'),
      }),
    )
    .describe('With dry_run and replicate: how many stages each would run or reuse'),
  earlier_inputs: z.array(inputFrom).describe('Inputs whose producer is not part of the call'),
  backends: z.array(z.object({ name: z.string(), why: z.string() })),
  timed_out: z.boolean(),
  waited_at_most: z.number().describe('Where wait_seconds was more than is allowed'),
  next: nextCall(),
});
type RunOutput = z.input<typeof output>;

export const run = defineTool({
  name: 'run',
  title: 'Run a pipeline',
  description:
    'Versions the slot and runs its pipeline, or some stages, from that version. Returns ids at once; what is unchanged is reused, and the same call again returns the same pipeline run. Tells how similar runs ended. Use dry_run to see the plan, wait for the end.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: true },
  input: runInput,
  output,
  audit: (args) =>
    args.dry_run ? null : { workspace: args.workspace, reason: args.reason, reasonField: 'reason' },
  handler: (ctx, args, call) => (args.dry_run ? preview(ctx, args) : submit(ctx, args, call)),
  render: (result, kit) => (result.plan ? renderPlan(result, kit) : renderRuns(result, kit)),
});

async function preview(ctx: ServerContext, args: RunInput): Promise<RunOutput> {
  const request = toRequest(args);
  const first = ctx.runs.resent(request);
  if (first) return describe(args, first);
  const plan = await ctx.runs.plan(request);
  const { dry_run: _, ...rest } = args;
  const known = plan.replicates.flatMap(({ equal }) => equal ?? []);
  return {
    workspace: plan.workspace,
    version: formatVersion(plan.version),
    version_created: plan.versionCreated,
    ...(known.length === plan.replicates.length ? { deduplicated: true, pipeline_run_id: known[0] } : {}),
    plan: plan.stages.map(toPlanRow),
    ...(plan.replicates.length > 1
      ? {
          replicates: plan.replicates.map(({ equal: pipeline_run_id, ...row }) => ({
            ...row,
            pipeline_run_id,
          })),
        }
      : {}),
    ...(plan.similar.length > 0 ? { similar: plan.similar.map(toSimilarRow) } : {}),
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
  const wanted = args.wait_seconds ?? 0;
  if (wanted === 0) return describe(args, submitted);
  const seconds = Math.min(wanted, ctx.config.mcp.maxWaitSeconds);
  const ids = submitted.pipelineRuns.map(({ id }) => id);
  const waited = await waitBriefly(ctx, { ids, seconds }, call);
  const runs = ids.flatMap((id) => ctx.runs.members(id));
  const machines = machinesOfRuns(
    ctx.db,
    runs.map(({ id }) => id),
  );
  return {
    ...describe(args, { ...submitted, runs, machines }),
    timed_out: waited.timedOut,
    ...(seconds < wanted ? { waited_at_most: seconds } : {}),
  };
}

function waitBriefly(ctx: ServerContext, wanted: { ids: string[]; seconds: number }, call: CallContext) {
  return ctx.runs.wait(
    { targets: wanted.ids, until: 'all', timeoutSeconds: wanted.seconds },
    { signal: call.signal, progress: call.progress },
  );
}

/** `machines`: those that are rented for its runs, as far as that was waited for. */
function describe(
  args: RunInput,
  submitted: SubmittedCall & { machines?: readonly RunMachine[] },
): RunOutput {
  const { pipelineRun, pipelineRuns, version, runs: members, similar, machines = [] } = submitted;
  const ids = pipelineRuns.map(({ id }) => id);
  // The one of the newest attempt stands last.
  const machineOf = new Map(machines.map((machine) => [machine.runId, machine]));
  const rows = members.map((member) => ({
    ...toMemberRow(member),
    ...warmPart(machineOf.get(member.id)),
  }));
  const shown = rows.slice(0, ids.length === 1 ? rows.length : fittingCount(rows, MEMBERS_TOKENS));
  // Every replicate reads the same from outside of the call.
  const ofFirst = members.filter((member) => member.pipelineRunId === pipelineRun.id);
  return {
    pipeline_run_id: pipelineRun.id,
    ...(args.replicate === undefined ? {} : { pipeline_run_ids: ids }),
    workspace: version.workspace,
    version: formatVersion(version.version),
    version_created: submitted.versionCreated,
    deduplicated: submitted.deduplicated,
    state: pipelineState(members),
    group: pipelineRun.group,
    runs: shown,
    ...(shown.length < rows.length ? { runs_omitted: rows.length - shown.length } : {}),
    ...(similar.length > 0 ? { similar: similar.map(toSimilarRow) } : {}),
    earlier_inputs: ofFirst.flatMap((member) => earlierInputs(member.plan)),
    backends: submitted.backends,
    next: nextAfter(ids, members),
  };
}

function nextAfter(ids: string[], members: readonly StageRun[]) {
  const bad = members.find((member) => member.state === 'failed' || member.state === 'terminated');
  if (bad) return { tool: 'inspect_run', arguments: { run_id: bad.id } };
  if (!members.every((member) => isTerminal(member.state))) {
    return { tool: 'wait', arguments: { targets: ids } };
  }
  if (ids.length > 1) return { tool: 'compare', arguments: { refs: ids.slice(0, 20) } };
  return { tool: 'list_runs', arguments: { pipeline_run_id: ids[0] } };
}

function renderRuns(result: z.output<typeof output>, kit: TextKit): string {
  const { pipeline_run_ids: ids = [], runs_omitted: omitted } = result;
  const made = result.version_created ? 'made for this call' : 'unchanged files';
  const files = result.deduplicated ? '' : ` (${made})`;
  const several = ids.length > 1;
  return lines(
    several
      ? `${ids.length} replicates of ${result.workspace}@${result.version}${files} are ${result.state}: ${ids.join(', ')}.`
      : `${result.pipeline_run_id} of ${result.workspace}@${result.version}${files} is ${result.state}.`,
    result.deduplicated &&
      `The same call was made before: ${several ? 'these are its pipeline runs' : 'this is its pipeline run'}, nothing new was started.`,
    result.runs &&
      kit.table(
        result.runs.map((row) => [
          row.run_id,
          row.stage,
          several ? (row.replicate ?? 0) : null,
          stateText(row),
          row.warm === undefined ? null : row.warm ? 'was there' : 'new',
          row.why,
        ]),
        ['run', 'stage', 'replicate', 'state', 'machine', 'reused, or why not'],
      ),
    omitted !== undefined && `${omitted} more runs are not shown.`,
    ...staleLines(result),
    ...(result.similar ?? []).map(similarText),
    result.waited_at_most !== undefined && `At most ${result.waited_at_most} s are waited in one call.`,
    result.next && `next: ${callText(result.next)}`,
  );
}

function renderPlan(result: z.output<typeof output>, kit: TextKit): string {
  const plan = result.plan ?? [];
  const runs = plan.filter((stage) => stage.action === 'run').length;
  return lines(
    `Dry run on ${result.workspace}@${result.version}${result.version_created ? ' (would be made)' : ''}: ` +
      `${count(runs, 'stage')} would run, ${plan.length - runs} would be reused.`,
    result.deduplicated &&
      `The same call was made before: ${result.pipeline_run_id} would be the answer, and nothing new started.`,
    kit.table(
      plan.map((stage) => [stage.stage, stage.action, computeText(stage), stage.why]),
      ['stage', 'action', 'compute', 'why'],
    ),
    result.replicates &&
      kit.table(
        result.replicates.map((row) => [row.replicate, row.run, row.reuse, row.pipeline_run_id]),
        ['replicate', 'would run', 'would reuse', 'the same call before'],
      ),
    ...staleLines(result),
    ...(result.similar ?? []).map(similarText),
    result.next && `next: ${callText(result.next)}`,
  );
}

function staleLines(result: z.output<typeof output>): string[] {
  return (result.earlier_inputs ?? []).map(
    (item) =>
      `input ${item.stage}.${item.input} comes from the earlier ${item.run_id}${item.stale ? ', which is STALE: its code, config or inputs have changed since' : ''}.`,
  );
}
