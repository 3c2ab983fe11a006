import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import type { RolledBack } from '../workspaces/rollback.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, reference, slot } from './fields.ts';
import { callText, lines } from './text.ts';
import { slotOf, versionText } from './workspace-context.ts';

/** Names of files shown of each kind; the totals tell of the rest. */
const SHOWN_FILES = 20;

const fileLists = z.object({
  added: z.array(z.string()),
  changed: z.array(z.string()),
  removed: z.array(z.string()),
});

export const rollback = defineTool({
  name: 'rollback',
  title: 'Go back to a version',
  description:
    'Gives a slot the files of an earlier version. What was edited becomes a version first, ignored files stay, and history does not move: the next version follows the newest.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.strictObject({
    slot,
    version: reference.describe('v3 or @tag, of the workspace in the slot'),
    reason,
  }),
  output: answer({
    slot: z.string(),
    workspace: z.string(),
    version: z.string().describe('Whose files the slot holds now'),
    newest: z.string().describe('The parent of the next version'),
    version_created: z.boolean().describe('true: newest was made now, of what was edited'),
    files: fileLists,
    totals: z.object({ added: z.int(), changed: z.int(), removed: z.int() }),
    kept_aside: z.array(z.string()).describe('Ignored files that could not come back: their names are taken'),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: input.slot, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const { version, reason: why } = input;
    const done = await ctx.workspaces.rollback({
      slot: slotOf(ctx, input.slot),
      version: versionText(version),
      reason: why,
    });
    return toAnswer(done);
  },
  render: (output) =>
    lines(
      `${output.slot} holds the files of ${output.workspace}@${output.version}: ${output.totals?.added} added, ${output.totals?.changed} changed, ${output.totals?.removed} removed.`,
      output.version_created && `What was edited is safe as ${output.newest}.`,
      listed('added', output.files?.added, output.totals?.added),
      listed('changed', output.files?.changed, output.totals?.changed),
      listed('removed', output.files?.removed, output.totals?.removed),
      (output.kept_aside ?? []).length > 0 &&
        `ignored files stay aside, their names are taken: ${output.kept_aside?.join(', ')}`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

function toAnswer(done: RolledBack) {
  const { added, changed, removed } = done.files;
  return {
    slot: done.slot,
    workspace: done.workspace,
    version: formatVersion(done.version.version),
    newest: formatVersion(done.saved.version.version),
    version_created: done.saved.created,
    files: {
      added: added.slice(0, SHOWN_FILES),
      changed: changed.slice(0, SHOWN_FILES),
      removed: removed.slice(0, SHOWN_FILES),
    },
    totals: { added: added.length, changed: changed.length, removed: removed.length },
    kept_aside: done.keptAside.slice(0, SHOWN_FILES),
    next: {
      tool: 'run',
      arguments: { workspace: done.workspace, reason: 'See what would run', dry_run: true },
    },
  };
}

function listed(what: string, files: readonly string[] = [], total = 0): string {
  if (files.length === 0) return '';
  const more = total > files.length ? ` and ${total - files.length} more` : '';
  return `${what}: ${files.join(', ')}${more}`;
}
