import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import { sourceText } from '../pipeline/pipeline.ts';
import { pipelineLookups } from '../runs/lookups.ts';
import { workspaceActivity } from '../store/overview.ts';
import { fitPage } from './budget.ts';
import { defineTool } from './define-tool.ts';
import {
  answer,
  cursor,
  limit,
  listFields,
  newName,
  nextCall,
  reason,
  reference,
  SCHEMA_VERSION,
  text,
  workspace,
} from './fields.ts';
import { type PartError, partReader } from './parts.ts';
import { callText, count, lines } from './text.ts';
import { contextFields, readVersion, workspaceContext } from './workspace-context.ts';

export const createWorkspace = defineTool({
  name: 'create_workspace',
  title: 'Create a workspace',
  description:
    'Starts a line of experimentation with a goal. It begins as v1: a small runnable template, or the files of another workspace (from_workspace, from_version). Mount it to edit.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.strictObject({
    name: newName.describe('Letters, digits, - and _'),
    goal: text(2_000).min(1).describe('What it is to find out'),
    reason,
    from_workspace: reference.optional().describe('Fork this one instead of the template'),
    from_version: text(12).min(1).optional().describe('v3; default: the newest'),
  }),
  output: answer({
    workspace: z.string(),
    version: z.string(),
    created_by: z.string(),
    goal: z.string(),
    forked_from: z.string().nullable(),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.name, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const from = parentOf(input);
    const made = await ctx.workspaces.create({
      name: input.name,
      goal: input.goal,
      ...(from ? { from } : {}),
    });
    return {
      workspace: made.workspace,
      version: formatVersion(made.version),
      created_by: made.createdBy,
      goal: input.goal,
      forked_from: workspaceContext(ctx, made.workspace).forked_from,
      next: {
        tool: 'mount',
        arguments: { workspace: made.workspace, reason: `Begin: ${input.reason}`.slice(0, 200) },
      },
    };
  },
  render: (output) =>
    lines(
      `${output.workspace}@${output.version} is made${output.forked_from ? ` from ${output.forked_from}` : ' from the template'}.`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

function parentOf(input: { from_workspace?: string | undefined; from_version?: string | undefined }) {
  const { from_workspace: parent, from_version: version } = input;
  if (parent === undefined && version !== undefined) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: '"from_version" is given without "from_workspace".',
      hint: 'Say which workspace the version is of.',
      details: { field: 'from_workspace' },
    });
  }
  if (parent === undefined) return undefined;
  return {
    workspace: parent,
    ...(version === undefined ? {} : { version: readVersion('from_version', version) }),
  };
}

const workspaceRow = z.object({
  name: z.string(),
  goal: z.string(),
  slot: z.string().nullable(),
  versions: z.int(),
  runs: z.int().describe('Pipeline runs'),
  last_activity: z.string(),
});
type ListPage = {
  schema_version: number;
  workspaces: z.infer<typeof workspaceRow>[];
  next_cursor: string | null;
  errors: PartError[];
};

export const listWorkspaces = defineTool({
  name: 'list_workspaces',
  title: 'List workspaces',
  description: 'Every workspace by name: goal, slot, how many versions and runs, last activity.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({ limit, cursor }),
  output: answer({ ...listFields, workspaces: z.array(workspaceRow) }),
  handler: (ctx, input) =>
    fitPage<ListPage>({
      limit: input.limit,
      rows: (page) => page.workspaces,
      fetch: (size) => {
        const at = input.cursor === undefined ? {} : { cursor: input.cursor };
        const page = ctx.workspaces.list({ limit: size, ...at });
        return {
          schema_version: SCHEMA_VERSION,
          workspaces: page.workspaces.map((row) => {
            const { runs, lastRunAt } = workspaceActivity(ctx.db, row.name);
            const times = [row.createdAt, row.lastVersionAt ?? '', lastRunAt ?? ''].sort();
            const { name, goal, slot, versions } = row;
            return {
              name,
              goal: goal.slice(0, 160),
              slot,
              versions,
              runs,
              last_activity: times.at(-1) ?? row.createdAt,
            };
          }),
          next_cursor: page.nextCursor,
          errors: [],
        };
      },
    }),
  render: (output, kit) => {
    const rows = output.workspaces ?? [];
    if (rows.length === 0) return 'There is no workspace yet; create_workspace makes one.';
    return lines(
      kit.table(
        rows.map((row) => [row.name, row.slot, row.versions, row.runs, row.last_activity, row.goal]),
        ['workspace', 'slot', 'versions', 'runs', 'last activity', 'goal'],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

const INCLUDES = ['versions', 'pipeline', 'runs', 'lineage'] as const;

const inspectOutput = answer({
  schema_version: z.int(),
  workspace: z.string(),
  slot: z.string().nullable(),
  path: z.string().nullable(),
  dirty: z.boolean().describe('Edited since the newest version'),
  ...contextFields,
  versions_total: z.int(),
  runs_total: z.int(),
  created_at: z.string(),
  versions: z.array(
    z.object({ version: z.string(), created_by: z.string(), message: z.string(), created_at: z.string() }),
  ),
  pipeline: z.object({
    name: z.string(),
    file: z.string(),
    stages: z.array(
      z.object({
        stage: z.string(),
        inputs: z.array(z.string()).describe('name from stage.signal'),
        outputs: z.array(z.string()),
      }),
    ),
    problems: z.int().describe('validate shows them'),
  }),
  runs: z.array(
    z.object({
      run_id: z.string(),
      stage: z.string(),
      version: z.string(),
      state: z.string(),
      cause: z.string().nullable(),
    }),
  ),
  lineage: z.array(z.string()).describe('Parents, the nearest first'),
  errors: z.array(z.object({ component: z.string(), message: z.string() })),
  next: nextCall(),
});

export const inspectWorkspace = defineTool({
  name: 'inspect_workspace',
  title: 'Inspect a workspace',
  description:
    'One workspace: goal, slot and whether its files were edited, newest version, recent runs. include adds its versions, pipeline, runs of stages and lineage.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    include: z.array(z.enum(INCLUDES)).max(INCLUDES.length).optional().describe('Further parts'),
  }),
  output: inspectOutput,
  handler: async (ctx, input) => {
    const row = ctx.workspaces.get(input.workspace);
    const { name, slot } = row;
    const { read, errors } = partReader(ctx.log);
    const wanted = new Set(input.include ?? []);
    const part = async <T>(which: (typeof INCLUDES)[number], work: () => Promise<T> | T) =>
      wanted.has(which) ? { [which]: await read(which, work) } : {};
    const dirty = slot === null ? false : await read('slot', () => ctx.workspaces.dirty(slot));
    return {
      schema_version: SCHEMA_VERSION,
      workspace: name,
      slot,
      path: slot === null ? null : ctx.layout.shown(ctx.layout.slot(slot)),
      ...(dirty === undefined ? {} : { dirty }),
      ...workspaceContext(ctx, name),
      versions_total: row.versions,
      runs_total: workspaceActivity(ctx.db, name).runs,
      created_at: row.createdAt,
      ...(await part('versions', () => versionRows(ctx, name))),
      ...(await part('pipeline', () => pipelinePart(ctx, name))),
      ...(await part('runs', () => runRows(ctx, name))),
      ...(await part('lineage', () => lineageOf(ctx, name))),
      errors,
      next:
        slot === null
          ? { tool: 'mount', arguments: { workspace: name, reason: `Go on with ${name}` } }
          : { tool: 'run', arguments: { workspace: name, reason: 'See what would run', dry_run: true } },
    };
  },
  render: (output, kit) =>
    lines(
      `${output.workspace}@${output.version}: ${output.goal}`,
      output.slot ? `mounted in ${output.path}${output.dirty ? ', edited since' : ''}` : 'not mounted',
      output.forked_from && `forked from ${output.forked_from}`,
      `${count(output.versions_total ?? 0, 'version')}, ${count(output.runs_total ?? 0, 'pipeline run')}`,
      ...(output.recent_runs ?? []).map(
        (run) => `${run.pipeline_run_id} ${run.version} ${run.state}: ${run.reason}`,
      ),
      output.versions &&
        kit.table(
          output.versions.map((row) => [row.version, row.created_by, row.created_at, row.message]),
          ['version', 'by', 'created', 'message'],
        ),
      output.pipeline &&
        kit.table(
          output.pipeline.stages.map((row) => [row.stage, row.inputs.join(', '), row.outputs.join(', ')]),
          ['stage', 'inputs', 'outputs'],
        ),
      output.runs &&
        kit.table(
          output.runs.map((row) => [row.run_id, row.stage, row.version, row.state, row.cause]),
          ['run', 'stage', 'version', 'state', 'cause'],
        ),
      output.lineage && output.lineage.length > 0 && `parents: ${output.lineage.join(' ← ')}`,
      ...(output.errors ?? []).map((row) => `not read: ${row.component}: ${row.message}`),
      output.next && `next: ${callText(output.next)}`,
    ),
});

function versionRows(ctx: ServerContext, name: string) {
  return ctx.workspaces.versions({ workspace: name, limit: 10 }).versions.map((row) => ({
    version: formatVersion(row.version),
    created_by: row.createdBy,
    message: row.message.slice(0, 160),
    created_at: row.createdAt,
  }));
}

async function pipelinePart(ctx: ServerContext, name: string) {
  const lookups = pipelineLookups(ctx);
  const { pipeline, problems } = await loadPipeline({ files: workspaceFiles(ctx, name), lookups });
  return {
    name: pipeline?.name ?? '',
    file: pipeline?.file ?? '',
    stages: (pipeline?.stages ?? []).map((stage) => ({
      stage: stage.name,
      inputs: stage.inputs.map((item) => `${item.name} from ${sourceText(item.from)}`),
      outputs: stage.outputs.map((item) => `${item.name} (${item.type})`),
    })),
    problems: problems.length,
  };
}

/** The files a run would read: the slot's as they are, or the newest version's. */
export function workspaceFiles(ctx: ServerContext, name: string) {
  const { slot } = ctx.workspaces.get(name);
  return slot === null ? ctx.workspaces.files(ctx.workspaces.version(name)) : ctx.workspaces.slotFiles(slot);
}

function runRows(ctx: ServerContext, name: string) {
  return ctx.runs.list({ workspace: name, limit: 10 }).map((run) => ({
    run_id: run.id,
    stage: run.stage,
    version: formatVersion(run.version),
    state: run.state,
    cause: run.cause,
  }));
}

/** Forks of forks end at a workspace without a parent; the limit is a guard. */
function lineageOf(ctx: ServerContext, name: string): string[] {
  const parents: string[] = [];
  let current = ctx.workspaces.get(name);
  while (current.fromWorkspace !== null && parents.length < 20) {
    parents.push(`${current.fromWorkspace}@${formatVersion(current.fromVersion ?? 1)}`);
    current = ctx.workspaces.get(current.fromWorkspace);
  }
  return parents;
}
