import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import { workspaceActivity } from '../store/overview.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, newName, nextCall, reason, reference, text } from './fields.ts';
import { listPage } from './list-page.ts';
import { callText, lines } from './text.ts';
import { readVersion, workspaceContext } from './workspace-context.ts';

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
    from_version: text(70).min(1).optional().describe('v3 or @tag; default: the newest'),
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
    const from = parentOf(ctx, input);
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

function parentOf(
  ctx: ServerContext,
  input: { from_workspace?: string | undefined; from_version?: string | undefined },
) {
  const { from_workspace: parent, from_version: typed } = input;
  if (parent === undefined && typed !== undefined) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: '"from_version" is given without "from_workspace".',
      hint: 'Say which workspace the version is of.',
      details: { field: 'from_workspace' },
    });
  }
  if (parent === undefined) return undefined;
  if (typed === undefined) return { workspace: parent };
  return {
    workspace: parent,
    version: readVersion(ctx, { field: 'from_version', typed, workspace: parent }),
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

export const listWorkspaces = defineTool({
  name: 'list_workspaces',
  title: 'List workspaces',
  description: 'Every workspace by name: goal, slot, how many versions and runs, last activity.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({ limit, cursor }),
  output: answer({ ...listFields, workspaces: z.array(workspaceRow) }),
  handler: (ctx, input) =>
    listPage('workspaces', input.limit, (size) => {
      const at = input.cursor === undefined ? {} : { cursor: input.cursor };
      const page = ctx.workspaces.list({ limit: size, ...at });
      const rows = page.workspaces.map((row) => {
        const { runs, lastRunAt } = workspaceActivity(ctx.db, row.name);
        const times = [row.createdAt, row.lastVersionAt ?? '', lastRunAt ?? ''].sort();
        const { name, slot, versions } = row;
        const last_activity = times.at(-1) ?? row.createdAt;
        return { name, goal: row.goal.slice(0, 160), slot, versions, runs, last_activity };
      });
      return { rows, nextCursor: page.nextCursor };
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
