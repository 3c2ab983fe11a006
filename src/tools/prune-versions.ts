import { z } from 'zod';
import { formatVersion } from '../core/names.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, reference, workspace } from './fields.ts';
import { callText, count, lines } from './text.ts';
import { versionText } from './workspace-context.ts';

export const pruneVersions = defineTool({
  name: 'prune_versions',
  title: 'Prune versions',
  description:
    'Hides versions that are no longer of interest: those named, or all before a tag. Runs go on reading them, numbers go on, restore undoes it. What is tagged, newest or running is skipped with the reason.',
  toolset: 'all',
  annotations: { readOnly: false, destructive: true, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    reason,
    versions: z.array(reference).min(1).max(500).optional().describe('v2, v3, …'),
    before_tag: reference.optional().describe('All older than the version of this tag'),
    restore: z.boolean().optional().describe('true: show them again; all, where none are named'),
  }),
  output: answer({
    workspace: z.string(),
    pruned: z.array(z.string()),
    restored: z.array(z.string()),
    skipped: z.array(z.object({ version: z.string(), why: z.string() })),
    remaining: z.int().describe('Versions that lists show'),
    undo: nextCall(),
  }),
  audit: (input) => ({ workspace: input.workspace, reason: input.reason, reasonField: 'reason' }),
  handler: (ctx, input) => {
    const done = ctx.workspaces.prune({
      workspace: input.workspace,
      ...(input.versions === undefined ? {} : { versions: input.versions.map(versionText) }),
      ...(input.before_tag === undefined ? {} : { beforeTag: input.before_tag }),
      ...(input.restore === undefined ? {} : { restore: input.restore }),
    });
    const changed = [...done.pruned, ...done.restored].map(formatVersion);
    return {
      workspace: done.workspace,
      pruned: done.pruned.map(formatVersion),
      restored: done.restored.map(formatVersion),
      skipped: done.skipped.map(({ version, why }) => ({ version: formatVersion(version), why })),
      remaining: done.remaining,
      ...(changed.length === 0
        ? {}
        : { undo: undoCall(done.workspace, changed, done.restored.length === 0) }),
    };
  },
  render: (output) =>
    lines(
      `${outcome(output)} of ${output.workspace}; ${count(output.remaining ?? 0, 'version')} left in its lists.`,
      ...(output.skipped ?? []).map((row) => `${row.version} ${row.why}`),
      output.undo && `to undo: ${callText(output.undo)}`,
    ),
});

function undoCall(workspaceName: string, versions: readonly string[], restore: boolean) {
  return {
    tool: 'prune_versions',
    arguments: {
      workspace: workspaceName,
      versions,
      ...(restore ? { restore } : {}),
      reason: restore ? 'Bring the pruned versions back' : 'Prune the restored versions again',
    },
  };
}

function outcome(output: { pruned?: string[] | undefined; restored?: string[] | undefined }): string {
  const { pruned = [], restored = [] } = output;
  if (pruned.length > 0) return `Pruned ${pruned.join(', ')}`;
  return restored.length > 0 ? `Restored ${restored.join(', ')}` : 'Nothing was changed';
}
