import { mkdir } from 'node:fs/promises';
import { z } from 'zod';
import { requireName } from '../core/names.ts';
import { resolveInside } from '../os/files.ts';
import { defineOpenTool } from './define-tool.ts';
import { answer, FIRST_WORKSPACE, newName, nextCall, text } from './fields.ts';
import { createProjectFile } from './initialize.ts';
import type { Session } from './session.ts';
import { callText, lines } from './text.ts';

export const INITIALIZE_PROJECT = 'initialize_project';

export const initializeProject = defineOpenTool({
  name: INITIALIZE_PROJECT,
  title: 'Create the project',
  description:
    'Makes this folder, or one below it, a Goldfish project: writes goldfish.yaml and the private state beside it. Where a project exists it changes nothing and says so.',
  toolset: 'core',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    name: newName.describe('Name of the project'),
    path: text(1_000).min(1).optional().describe('Folder below the current one; default: the current one'),
  }),
  output: answer({
    created: z.boolean(),
    project: z.string(),
    path: z.string().describe('Relative to where the server was started'),
    slots: z.array(z.string()),
    next: nextCall(),
  }),
  audit: () => ({ workspace: null, reason: null }),
  handler: async (session, input) => {
    requireName(input.name, 'project');
    const created = (await session.findRoot()) === undefined && (await create(session, input));
    const { config } = await session.context();
    return {
      created,
      project: config.projectName,
      path: created ? (input.path ?? '.') : '.',
      slots: config.slots,
      next: created
        ? {
            tool: 'create_workspace',
            arguments: FIRST_WORKSPACE,
          }
        : { tool: 'status', arguments: {} },
    };
  },
  render: (output) =>
    lines(
      output.created
        ? `Project ${output.project} is created in ${output.path}, with the slots ${output.slots?.join(', ')}.`
        : `There is a project here already: ${output.project}. Nothing was changed.`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

async function create(
  session: Session,
  input: { name: string; path?: string | undefined },
): Promise<boolean> {
  await mkdir(session.startFolder, { recursive: true });
  const folder = await resolveInside(session.startFolder, input.path ?? '.');
  const created = await createProjectFile(folder, input.name, session.ids);
  session.adopt(folder);
  return created;
}
