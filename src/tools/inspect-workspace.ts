import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { clip, formatVersion } from '../core/names.ts';
import { loadPipeline } from '../pipeline/load-pipeline.ts';
import { sourceText } from '../pipeline/pipeline.ts';
import { pipelineLookups } from '../runs/lookups.ts';
import { workspaceActivity } from '../store/overview.ts';
import { listThoughts } from '../store/thoughts.ts';
import type { WorkspaceSummary } from '../store/workspaces.ts';
import { forkCall } from '../workspaces/lookup.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, SCHEMA_VERSION, workspace } from './fields.ts';
import { partReader } from './parts.ts';
import { callText, count, lines } from './text.ts';
import { tagsByVersion, tagText } from './version-tags.ts';
import { contextFields, workspaceContext } from './workspace-context.ts';

const INCLUDES = ['versions', 'pipeline', 'runs', 'lineage', 'thoughts'] as const;
/** Characters shown of a thought. */
const SHOWN_THOUGHT = 400;

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
  deleted_at: z.string().nullable(),
  versions: z.array(
    z.object({
      version: z.string(),
      created_by: z.string(),
      message: z.string(),
      created_at: z.string(),
      tags: z.array(z.string()),
    }),
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
  thoughts: z
    .array(
      z.object({
        thought: z.string(),
        run_id: z.string().nullable(),
        actor: z.string(),
        created_at: z.string(),
      }),
    )
    .describe('Newest first'),
  errors: z.array(z.object({ component: z.string(), message: z.string() })),
  next: nextCall(),
});

export const inspectWorkspace = defineTool({
  name: 'inspect_workspace',
  title: 'Inspect a workspace',
  description:
    'One workspace: goal, slot and whether its files were edited, newest version, recent runs. include adds its versions, pipeline, runs of stages, lineage and thoughts.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    include: z.array(z.enum(INCLUDES)).max(INCLUDES.length).optional().describe('Further parts'),
  }),
  output: inspectOutput,
  handler: async (ctx, input) => {
    const row = ctx.workspaces.known(input.workspace);
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
      deleted_at: row.deletedAt,
      ...(await part('versions', () => versionRows(ctx, name))),
      ...(await part('pipeline', () => pipelinePart(ctx, name))),
      ...(await part('runs', () => runRows(ctx, name))),
      ...(await part('lineage', () => lineageOf(ctx, name))),
      ...(await part('thoughts', () => thoughtRows(ctx, name))),
      errors,
      next: nextOf(row),
    };
  },
  render: (output, kit) =>
    lines(
      `${output.workspace}@${output.version}: ${output.goal}`,
      output.slot ? `mounted in ${output.path}${output.dirty ? ', edited since' : ''}` : 'not mounted',
      output.deleted_at && `deleted ${output.deleted_at}; it can be read only`,
      output.forked_from && `forked from ${output.forked_from}`,
      `${count(output.versions_total ?? 0, 'version')}, ${count(output.runs_total ?? 0, 'pipeline run')}`,
      ...(output.recent_runs ?? []).map(
        (run) => `${run.pipeline_run_id} ${run.version} ${run.state}: ${run.reason}`,
      ),
      output.versions &&
        kit.table(
          output.versions.map((row) => [
            row.version,
            row.created_by,
            row.created_at,
            tagText(row.tags),
            row.message,
          ]),
          ['version', 'by', 'created', 'tags', 'message'],
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
      ...(output.thoughts ?? []).map(
        (row) => `${row.created_at} ${row.actor}${row.run_id ? ` on ${row.run_id}` : ''}: ${row.thought}`,
      ),
      ...(output.errors ?? []).map((row) => `not read: ${row.component}: ${row.message}`),
      output.next && `next: ${callText(output.next)}`,
    ),
});

function nextOf(row: WorkspaceSummary) {
  const { name, slot, deletedAt } = row;
  if (deletedAt !== null) return forkCall(row);
  if (slot === null) return { tool: 'mount', arguments: { workspace: name, reason: `Go on with ${name}` } };
  return { tool: 'run', arguments: { workspace: name, reason: 'See what would run', dry_run: true } };
}

function thoughtRows(ctx: ServerContext, name: string) {
  return listThoughts(ctx.db, { workspace: name, limit: 10 }).map((row) => ({
    thought: clip(row.thought, SHOWN_THOUGHT),
    run_id: row.runId,
    actor: row.actor,
    created_at: row.createdAt,
  }));
}

function versionRows(ctx: ServerContext, name: string) {
  const tags = tagsByVersion(ctx, name);
  return ctx.workspaces.versions({ workspace: name, limit: 10 }).versions.map((row) => ({
    version: formatVersion(row.version),
    created_by: row.createdBy,
    message: row.message.slice(0, 160),
    created_at: row.createdAt,
    tags: tags.get(row.version) ?? [],
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
  const { slot } = ctx.workspaces.known(name);
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
  let current = ctx.workspaces.known(name);
  while (current.fromWorkspace !== null && parents.length < 20) {
    parents.push(`${current.fromWorkspace}@${formatVersion(current.fromVersion ?? 1)}`);
    current = ctx.workspaces.known(current.fromWorkspace);
  }
  return parents;
}
