import { z } from 'zod';
import { formatPlace, type Problem } from '../config/problem.ts';
import type { ServerContext } from '../context.ts';
import { formatBytes } from '../core/memory-size.ts';
import { clip, formatVersion } from '../core/names.ts';
import { type DiskState, diskState } from '../data/disk.ts';
import { recentAudit } from '../store/audit.ts';
import { countProject, listActiveRuns, listBadEnds, listWarned } from '../store/overview.ts';
import { defineOpenTool } from './define-tool.ts';
import { answer, FIRST_WORKSPACE, nextCall, SCHEMA_VERSION } from './fields.ts';
import { findingCall } from './finding-rows.ts';
import { partReader } from './parts.ts';
import { poolAttention } from './pool-attention.ts';
import { projectNotFound } from './session.ts';
import { callText, count, lines, type TextKit } from './text.ts';

/** How many of each are shown; the counts tell of the rest. */
const SHOWN = { active: 6, attention: 4, actions: 4 };
/** Goals and reasons are cut to this. */
const SHORT = 80;
const WARNING = 140;

const attentionRow = z.object({ message: z.string(), call: nextCall() });

const output = answer({
  schema_version: z.int(),
  project: z.object({ name: z.string(), goldfish_version: z.string() }).nullable(),
  backend: z.object({ name: z.string(), why: z.string() }),
  slots: z.array(
    z.object({
      slot: z.string(),
      path: z.string(),
      workspace: z.string().nullable(),
      goal: z.string().optional(),
      version: z.string().optional(),
      dirty: z.boolean().optional().describe('Edited since that version'),
    }),
  ),
  active_runs: z.array(
    z.object({
      run_id: z.string(),
      pipeline_run_id: z.string(),
      workspace: z.string(),
      stage: z.string(),
      state: z.string(),
    }),
  ),
  attention: z.array(attentionRow).describe('What needs a decision, with the call that resolves it'),
  recent_actions: z.array(
    z.object({
      tool: z.string(),
      workspace: z.string().nullable(),
      reason: z.string().nullable(),
      outcome: z.string(),
      at: z.string(),
    }),
  ),
  counts: z.object({
    workspaces: z.int(),
    versions: z.int(),
    runs: z.int(),
    active_runs: z.int(),
  }),
  disk: z
    .object({
      free: z.int(),
      total: z.int(),
      stored: z.int().describe('Outputs and sources'),
      low: z.boolean().describe('Nothing new is started'),
    })
    .describe('Bytes'),
  config: z
    .array(z.object({ key: z.string(), value: z.unknown(), origin: z.string() }))
    .describe('With include'),
  config_notes: z
    .array(z.string())
    .describe('What goldfish.yaml calls by names of the earlier system, and the like'),
  next: nextCall(),
  errors: z.array(z.object({ component: z.string(), message: z.string() })),
});
type Output = z.input<typeof output>;

export const status = defineOpenTool({
  name: 'status',
  title: 'Project status',
  description:
    'Where things stand: slots and what is mounted, active runs, what needs a decision and the call that resolves it, recent actions, counts. Call it first, and whenever you have lost the thread.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    include: z
      .array(z.enum(['config']))
      .max(1)
      .optional()
      .describe('Further parts'),
  }),
  output,
  handler: async (session, input) => {
    if ((await session.findRoot()) === undefined) throw projectNotFound();
    const parts = partReader(session.log);
    const ctx = await parts.read('project', () => session.context());
    if (ctx === undefined) return unopened(parts.errors);
    return describe(ctx, { parts, withConfig: input.include?.includes('config') ?? false });
  },
  render,
});

/** Even a project that cannot be opened has a status: what is wrong, and the call that shows it all. */
function unopened(errors: Output['errors']): Output {
  const call = { tool: 'validate', arguments: {} };
  const attention = [{ message: 'The project cannot be opened.', call }];
  return { schema_version: SCHEMA_VERSION, project: null, attention, errors, next: call };
}

async function describe(
  ctx: ServerContext,
  options: { parts: ReturnType<typeof partReader>; withConfig: boolean },
): Promise<Output> {
  const { read, errors } = options.parts;
  const slots = (await read('slots', () => slotRows(ctx))) ?? [];
  const active = (await read('active_runs', () => listActiveRuns(ctx.db, SHOWN.active))) ?? [];
  const counts = await read('counts', () => countProject(ctx.db));
  const disk = await read('disk', () => diskState(ctx));
  const backend = await read('backend', () => ctx.backends.choose(ctx.config.defaults.backend));
  const attention = (await read('attention', () => attentionRows(ctx))) ?? [];
  const actions = (await read('recent_actions', () => recentAudit(ctx.db, SHOWN.actions))) ?? [];
  return {
    schema_version: SCHEMA_VERSION,
    project: { name: ctx.config.projectName, goldfish_version: ctx.goldfishVersion },
    ...(backend ? { backend } : {}),
    slots,
    active_runs: active.map(({ runId, pipelineRunId, workspace, stage, state }) => ({
      run_id: runId,
      pipeline_run_id: pipelineRunId,
      workspace,
      stage,
      state,
    })),
    attention,
    recent_actions: actions.map((row) => ({
      tool: row.operation,
      workspace: row.workspace,
      reason: row.reason === null ? null : short(row.reason),
      outcome: row.outcome,
      at: row.createdAt,
    })),
    ...(disk ? { disk: toDisk(disk) } : {}),
    ...(counts
      ? {
          counts: {
            workspaces: counts.workspaces,
            versions: counts.versions,
            runs: counts.runs,
            active_runs: counts.activeRuns,
          },
        }
      : {}),
    ...(options.withConfig ? { config: ctx.settings, config_notes: ctx.configNotes.map(noteText) } : {}),
    next: nextOf({ slots, active, workspaces: counts?.workspaces ?? 0, attention }),
    errors,
  };
}

function noteText(note: Problem): string {
  return `${formatPlace(note)}: ${note.message}${note.hint === undefined ? '' : ` ${note.hint}`}`;
}

function toDisk(disk: DiskState): NonNullable<Output['disk']> {
  const { freeBytes: free, totalBytes: total, storedBytes: stored, minFreeBytes } = disk;
  return { free, total, stored, low: free < minFreeBytes };
}

async function slotRows(ctx: ServerContext): Promise<NonNullable<Output['slots']>> {
  const rows = ctx.workspaces.slots().map(async (slot) => {
    const path = ctx.layout.shown(ctx.layout.slot(slot.name));
    if (slot.workspace === null) return { slot: slot.name, path, workspace: null };
    const { name, goal, newest } = ctx.workspaces.get(slot.workspace);
    const dirty = await ctx.workspaces.dirty(slot.name);
    const version = formatVersion(newest);
    return { slot: slot.name, path, workspace: name, goal: short(goal), version, dirty };
  });
  return Promise.all(rows);
}

async function attentionRows(ctx: ServerContext): Promise<z.input<typeof attentionRow>[]> {
  const neglect = await ctx.backends.tending.neglect();
  const look = { tool: 'warm_pool_status', arguments: {} };
  const untended = neglect === null ? [] : [{ message: neglect.message, call: look }];
  const bad = listBadEnds(ctx.db, SHOWN.attention).map(({ workspace, stage, state, cause, runId }) => ({
    message: `${workspace}: ${stage} ${state} (${cause}) in the newest pipeline run`,
    call: { tool: 'inspect_run', arguments: { run_id: runId } },
  }));
  const warned = listWarned(ctx.db, SHOWN.attention).map((run) => ({
    message: clip(`${run.workspace}: ${run.stage} ${run.state}, warning: ${run.message}`, WARNING),
    call: findingCall(run, run.state),
  }));
  return [...untended, ...poolAttention(ctx), ...bad, ...warned].slice(0, SHOWN.attention);
}

type Situation = {
  slots: readonly { slot: string; workspace: string | null }[];
  active: readonly { pipelineRunId: string }[];
  workspaces: number;
  attention: readonly z.input<typeof attentionRow>[];
};

function nextOf({ slots, active, workspaces, attention }: Situation) {
  if (active[0]) return { tool: 'wait', arguments: { targets: [active[0].pipelineRunId] } };
  if (attention[0]) return attention[0].call;
  const mounted = slots.find((slot) => slot.workspace !== null)?.workspace;
  if (mounted)
    return { tool: 'run', arguments: { workspace: mounted, reason: 'See what would run', dry_run: true } };
  if (workspaces > 0) return { tool: 'list_workspaces', arguments: {} };
  return { tool: 'create_workspace', arguments: FIRST_WORKSPACE };
}

function short(text: string): string {
  const flat = text.replaceAll(/\s+/g, ' ');
  return flat.length <= SHORT ? flat : `${flat.slice(0, SHORT - 1).toWellFormed()}…`;
}

function render(result: z.output<typeof output>, kit: TextKit): string {
  const { counts } = result;
  return lines(
    result.project ? `Project ${result.project.name}` : 'The project cannot be opened.',
    counts &&
      `${count(counts.workspaces, 'workspace')}, ${count(counts.versions, 'version')}, ${count(counts.runs, 'run')}, ${counts.active_runs} active.`,
    result.disk &&
      `disk: ${formatBytes(result.disk.free)} free, ${formatBytes(result.disk.stored)} stored${result.disk.low ? '; too little to start anything new, `goldfish gc` frees some' : ''}`,
    result.backend && `backend: ${result.backend.name} (${result.backend.why})`,
    (result.slots ?? []).length > 0 &&
      kit.table(
        (result.slots ?? []).map((row) => [
          row.path,
          row.workspace ?? '(empty)',
          row.version,
          row.dirty ? 'edited' : '',
          row.goal,
        ]),
        ['slot', 'workspace', 'version', 'files', 'goal'],
      ),
    (result.active_runs ?? []).length > 0 &&
      kit.table(
        (result.active_runs ?? []).map((row) => [
          row.run_id,
          row.pipeline_run_id,
          row.workspace,
          row.stage,
          row.state,
        ]),
        ['active run', 'pipeline run', 'workspace', 'stage', 'state'],
      ),
    ...(result.attention ?? []).map((row) => `attention: ${row.message} → ${callText(row.call)}`),
    ...(result.recent_actions ?? []).map(
      (row) =>
        `${row.at} ${row.tool}${row.workspace ? ` ${row.workspace}` : ''}: ${row.outcome}${row.reason ? `, ${row.reason}` : ''}`,
    ),
    ...(result.config ?? []).map((row) => `${row.key}: ${JSON.stringify(row.value)} (${row.origin})`),
    ...(result.config_notes ?? []).map((note) => `note: ${note}`),
    ...(result.errors ?? []).map((row) => `not read: ${row.component}: ${row.message}`),
    result.next && `next: ${callText(result.next)}`,
  );
}
