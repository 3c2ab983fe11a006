import { z } from 'zod';
import { checkConfig } from '../config/load-config.ts';
import { type Problem, sortProblems } from '../config/problem.ts';
import type { ServerContext } from '../context.ts';
import { isGoldfishError } from '../core/errors.ts';
import { validateWorkspace } from '../pipeline/validate-project.ts';
import { pipelineLookups } from '../runs/lookups.ts';
import { validateStages } from '../runs/validate-stages.ts';
import { defineOpenTool } from './define-tool.ts';
import { answer, nextCall, text, workspace } from './fields.ts';
import { workspaceFiles } from './inspect-workspace.ts';
import { projectNotFound, type Session } from './session.ts';
import { callText, count, lines } from './text.ts';

const problemRow = z.object({
  file: z.string(),
  line: z.int().describe('From 1; 0 where there is no line'),
  column: z.int(),
  message: z.string(),
  hint: z.string().nullable(),
});

const output = answer({
  valid: z.boolean(),
  problems: z.array(problemRow),
  notes: z.array(problemRow).describe('Worth knowing, though nothing is wrong'),
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
    const config = await checkConfig({ root });
    const problems = [...config.problems];
    const notes = [...config.notes];
    const checked = ['goldfish.yaml'];
    const context = await openIfValid(session, problems);
    const names = context ? chosenWorkspaces(context, input.workspace) : [];
    for (const name of names) {
      if (context === undefined) break;
      const found = await checkWorkspace(context, name, input.pipeline);
      problems.push(...found.problems);
      notes.push(...found.notes);
      checked.push(name);
    }
    return {
      valid: problems.length === 0,
      problems: problems.map(toRow),
      notes: notes.map(toRow),
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
      ...problems.map(rowText),
      ...(result.notes ?? []).map((note) => `note: ${rowText(note)}`),
      result.next && `next: ${callText(result.next)}`,
    );
  },
});

function toRow(problem: Problem): z.infer<typeof problemRow> {
  const { file, path, line, column, message, hint } = problem;
  return { file: path === undefined ? file : `${file} ${path}`, line, column, message, hint: hint ?? null };
}

function rowText(row: z.infer<typeof problemRow>): string {
  const place = row.line === 0 ? row.file : `${row.file}:${row.line}:${row.column}`;
  return `${place}: ${row.message}${row.hint ? ` (${row.hint})` : ''}`;
}

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

/** With paths as seen from the project's root where the files lie in a slot. */
async function checkWorkspace(
  ctx: ServerContext,
  name: string,
  pipeline: string | undefined,
): Promise<{ problems: Problem[]; notes: Problem[] }> {
  const files = workspaceFiles(ctx, name);
  const { slot } = ctx.workspaces.get(name);
  const written = await validateWorkspace({ files, lookups: pipelineLookups(ctx), pipeline });
  const fit = await validateStages(ctx, { files, pipeline });
  const folder = slot === null ? '' : `${ctx.layout.shown(ctx.layout.slot(slot))}/`;
  const placed = (problem: Problem): Problem => ({ ...problem, file: `${folder}${problem.file}` });
  return { problems: sortProblems([...written, ...fit.problems]).map(placed), notes: fit.notes.map(placed) };
}

function runCall(name: string) {
  const reason = 'Try the validated pipeline';
  return { tool: 'run', arguments: { workspace: name, reason, dry_run: true } };
}
