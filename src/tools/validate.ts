import { z } from 'zod';
import type { Problem } from '../config/problem.ts';
import type { ServerContext } from '../context.ts';
import { isGoldfishError } from '../core/errors.ts';
import { validateProject, validateWorkspace } from '../pipeline/validate-project.ts';
import { pipelineLookups } from '../runs/lookups.ts';
import { defineOpenTool } from './define-tool.ts';
import { answer, nextCall, text, workspace } from './fields.ts';
import { projectNotFound, type Session } from './session.ts';
import { callText, count, lines } from './text.ts';
import { workspaceFiles } from './workspaces.ts';

const output = answer({
  valid: z.boolean(),
  problems: z.array(
    z.object({
      file: z.string(),
      line: z.int().describe('From 1; 0 where there is no line'),
      column: z.int(),
      message: z.string(),
      hint: z.string().nullable(),
    }),
  ),
  checked: z.array(z.string()),
  next: nextCall(),
});

export const validate = defineOpenTool({
  name: 'validate',
  title: 'Validate',
  description:
    'Checks goldfish.yaml and the pipelines and stage configs of a workspace, or of every mounted one. Every problem at once, each with file, line, column and a hint.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace: workspace.optional().describe('Default: every mounted one'),
    pipeline: text(64).min(1).optional().describe('Only this one'),
  }),
  output,
  handler: async (session, input) => {
    const root = await session.findRoot();
    if (root === undefined) throw projectNotFound();
    const problems = await validateProject({ root });
    const checked = ['goldfish.yaml'];
    const context = await openIfValid(session, problems);
    const names = context ? chosenWorkspaces(context, input.workspace) : [];
    for (const name of names) {
      if (context === undefined) break;
      problems.push(...(await workspaceProblems(context, name, input.pipeline)));
      checked.push(name);
    }
    return {
      valid: problems.length === 0,
      problems: problems.map((problem) => ({
        file: problem.path === undefined ? problem.file : `${problem.file} ${problem.path}`,
        line: problem.line,
        column: problem.column,
        message: problem.message,
        hint: problem.hint ?? null,
      })),
      checked,
      ...(problems.length === 0 && names[0] !== undefined ? { next: runCall(names[0]) } : {}),
    };
  },
  render: (result) => {
    const problems = result.problems ?? [];
    return lines(
      problems.length === 0
        ? `No problems in ${result.checked?.join(', ')}.`
        : `${count(problems.length, 'problem')} in ${result.checked?.join(', ')}:`,
      ...problems.map((problem) => {
        const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`;
        return `${place}: ${problem.message}${problem.hint ? ` (${problem.hint})` : ''}`;
      }),
      result.next && `next: ${callText(result.next)}`,
    );
  },
});

/** A project whose config has problems cannot be opened; its problems are the answer. */
async function openIfValid(
  session: Session,
  problems: readonly Problem[],
): Promise<ServerContext | undefined> {
  if (problems.length === 0) return session.context();
  try {
    return await session.context();
  } catch (error) {
    if (isGoldfishError(error) && error.code === 'INVALID_CONFIG') return undefined;
    throw error;
  }
}

function chosenWorkspaces(ctx: ServerContext, typed: string | undefined): string[] {
  if (typed !== undefined) return [ctx.workspaces.get(typed).name];
  return ctx.workspaces.slots().flatMap((slot) => slot.workspace ?? []);
}

/** Problems with paths as seen from the project's root where the files lie in a slot. */
async function workspaceProblems(
  ctx: ServerContext,
  name: string,
  pipeline: string | undefined,
): Promise<Problem[]> {
  const files = workspaceFiles(ctx, name);
  const { slot } = ctx.workspaces.get(name);
  const lookups = pipelineLookups(ctx);
  const found = await validateWorkspace({ files, lookups, pipeline });
  if (slot === null) return found;
  const folder = ctx.layout.shown(ctx.layout.slot(slot));
  return found.map((problem) => ({ ...problem, file: `${folder}/${problem.file}` }));
}

function runCall(name: string) {
  const reason = 'Try the validated pipeline';
  return { tool: 'run', arguments: { workspace: name, reason, dry_run: true } };
}
