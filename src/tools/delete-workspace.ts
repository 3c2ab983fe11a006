import { z } from 'zod';
import { workspaceActivity } from '../store/overview.ts';
import { forkCall } from '../workspaces/lookup.ts';
import { defineTool } from './define-tool.ts';
import { answer, nextCall, reason, workspace } from './fields.ts';
import { callText, count, lines } from './text.ts';

export const deleteWorkspace = defineTool({
  name: 'delete_workspace',
  title: 'Delete a workspace',
  description:
    'Takes a workspace out of the lists and frees its name. Its runs, versions and outputs stay readable under the name it is kept as. Refused while it is mounted or runs.',
  toolset: 'all',
  annotations: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.strictObject({ workspace, reason }),
  output: answer({
    workspace: z.string(),
    kept_as: z.string().describe('For reading: list_versions, history, diff, …'),
    versions: z.int(),
    runs: z.int().describe('Pipeline runs'),
    undo: nextCall(),
  }),
  audit: (input) => ({ workspace: input.workspace, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input) => {
    const { workspace: name, keptAs, versions, goal } = await ctx.workspaces.delete(input.workspace);
    return {
      workspace: name,
      kept_as: keptAs,
      versions,
      runs: workspaceActivity(ctx.db, keptAs).runs,
      undo: forkCall({ name: keptAs, goal }, name),
    };
  },
  render: (output) =>
    lines(
      `${output.workspace} is deleted; ${count(output.versions ?? 0, 'version')} and ${count(output.runs ?? 0, 'pipeline run')} are kept as ${output.kept_as}.`,
      output.undo && `to take it up again: ${callText(output.undo)}`,
    ),
});
