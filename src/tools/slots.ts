import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import { defineTool } from './define-tool.ts';
import { answer, message, nextCall, reason, slot, text, workspace } from './fields.ts';
import { callText, count, lines } from './text.ts';
import { contextFields, slotOf, workspaceContext } from './workspace-context.ts';

/** Names of ignored files shown. */
const SHOWN_NAMES = 20;

export const mount = defineTool({
  name: 'mount',
  title: 'Mount a workspace',
  description:
    "Puts a workspace's newest files into a slot, a plain folder you edit with your own tools. It is in at most one slot: mounting again says where.",
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    reason,
    slot: text(64).min(1).optional().describe('Default: the first free one'),
  }),
  output: answer({
    slot: z.string(),
    path: z.string(),
    workspace: z.string(),
    dirty: z.boolean().describe('Edited since the newest version'),
    ...contextFields,
    restored: z.array(z.string()).describe('Ignored files that came back'),
    kept_aside: z.array(z.string()).describe('Ignored files that could not come back: their names are taken'),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.workspace, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const mounted = await ctx.workspaces.mount({
      workspace: input.workspace,
      ...(input.slot === undefined ? {} : { slot: input.slot }),
    });
    return {
      slot: mounted.slot,
      path: mounted.path,
      workspace: mounted.workspace,
      dirty: mounted.dirty,
      ...workspaceContext(ctx, mounted.workspace),
      restored: mounted.restored.slice(0, SHOWN_NAMES),
      kept_aside: mounted.keptAside.slice(0, SHOWN_NAMES),
      next: {
        tool: 'run',
        arguments: { workspace: mounted.workspace, reason: 'See what would run', dry_run: true },
      },
    };
  },
  render: (output) =>
    lines(
      `${output.workspace}@${output.version} is in ${output.path}${output.dirty ? ', edited since' : ''}: edit the files there.`,
      `goal: ${output.goal}`,
      ...(output.recent_runs ?? []).map(
        (run) => `${run.pipeline_run_id} ${run.version} ${run.state}: ${run.reason}`,
      ),
      (output.restored ?? []).length > 0 && `ignored files are back: ${output.restored?.join(', ')}`,
      (output.kept_aside ?? []).length > 0 &&
        `ignored files stay aside, their names are taken: ${output.kept_aside?.join(', ')}`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

export const hibernate = defineTool({
  name: 'hibernate',
  title: 'Free a slot',
  description:
    'Empties a slot. What was edited becomes a version first; ignored files are kept aside and come back at the next mount. Nothing is lost.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.strictObject({ slot, reason }),
  output: answer({
    slot: z.string(),
    workspace: z.string(),
    version: z.string(),
    version_created: z.boolean().describe('false: nothing was edited since'),
    aside: z.array(z.string()).describe('Ignored files that wait for the next mount'),
    aside_total: z.int(),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.slot, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const done = await ctx.workspaces.hibernate({ slot: slotOf(ctx, input.slot), message: input.reason });
    return {
      slot: done.slot,
      workspace: done.workspace,
      version: formatVersion(done.version.version),
      version_created: done.created,
      aside: done.aside.slice(0, SHOWN_NAMES),
      aside_total: done.aside.length,
      next: {
        tool: 'mount',
        arguments: { workspace: done.workspace, reason: `Go on with ${done.workspace}` },
      },
    };
  },
  render: (output) =>
    lines(
      `${output.slot} is free. ${output.workspace} is safe as ${output.version}${output.version_created ? ', made now' : ''}.`,
      (output.aside_total ?? 0) > 0 &&
        `${count(output.aside_total ?? 0, 'ignored file')} kept for the next mount.`,
      output.next && `to go on: ${callText(output.next)}`,
    ),
});

export const checkpoint = defineTool({
  name: 'checkpoint',
  title: 'Make a version by hand',
  description:
    'Keeps the files of a slot as a version with a message. run makes versions by itself; use this for a state worth naming. Unchanged files make no new version.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({ slot, message: message.min(1).describe('What this state is') }),
  output: answer({
    workspace: z.string(),
    version: z.string(),
    version_created: z.boolean().describe('false: the files are those of the newest version'),
    snapshot_id: z.string(),
    record_id: z.string(),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.slot, reason: input.message }),
  handler: async (ctx, input) => {
    const saved = await ctx.workspaces.checkpoint({ slot: slotOf(ctx, input.slot), message: input.message });
    const { workspace: name, version } = saved.version;
    return {
      workspace: name,
      version: formatVersion(version),
      version_created: saved.created,
      snapshot_id: saved.snapshotId,
      record_id: saved.recordId,
      next: { tool: 'diff', arguments: { target: `${name}@${formatVersion(version)}` } },
    };
  },
  render: (output) =>
    lines(
      `${output.workspace}@${output.version}${output.version_created ? ' is made' : ' holds these files already'} (${output.snapshot_id}, record ${output.record_id}).`,
      output.next && `next: ${callText(output.next)}`,
    ),
});
