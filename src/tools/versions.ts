import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { formatVersion } from '../core/names.ts';
import { countRunsByVersion } from '../store/overview.ts';
import type { WorkspaceDiff } from '../workspaces/slot-preview.ts';
import { fittingCount, pageBudget } from './budget.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, reference, text, workspace } from './fields.ts';
import { badCursor } from './ids.ts';
import { listPage } from './list-page.ts';
import { count, lines } from './text.ts';
import { estimateTokens } from './tokens.ts';
import { tagsByVersion, tagText } from './version-tags.ts';

const versionRow = z.object({
  version: z.string(),
  created_by: z.string(),
  message: z.string(),
  created_at: z.string(),
  pruned: z.boolean(),
  tags: z.array(z.string()),
  runs: z.int().describe('Pipeline runs'),
});

export const listVersions = defineTool({
  name: 'list_versions',
  title: 'List versions',
  description:
    'Versions of a workspace, newest first: who made each, why, its tags, and how many pipeline runs used it.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace,
    include_pruned: z.boolean().optional().describe('Also pruned ones'),
    limit,
    cursor,
  }),
  output: answer({ ...listFields, workspace: z.string(), versions: z.array(versionRow) }),
  handler: async (ctx, input) => {
    const { name } = ctx.workspaces.known(input.workspace);
    const tags = tagsByVersion(ctx, name);
    const runs = countRunsByVersion(ctx.db, name);
    const page = await listPage('versions', input.limit, (size) => {
      const found = ctx.workspaces.versions({
        workspace: name,
        limit: size,
        ...(input.include_pruned ? { includePruned: true } : {}),
        ...(input.cursor === undefined ? {} : { cursor: input.cursor }),
      });
      const rows = found.versions.map((row) => ({
        version: formatVersion(row.version),
        created_by: row.createdBy,
        message: row.message.slice(0, 200),
        created_at: row.createdAt,
        pruned: row.prunedAt !== null,
        tags: tags.get(row.version) ?? [],
        runs: runs.get(row.version) ?? 0,
      }));
      return { rows, nextCursor: found.nextCursor };
    });
    return { ...page, workspace: name };
  },
  render: (output, kit) =>
    lines(
      kit.table(
        (output.versions ?? []).map((row) => [
          `${row.version}${row.pruned ? ' (pruned)' : ''}`,
          row.created_by,
          row.created_at,
          row.runs,
          tagText(row.tags),
          row.message,
        ]),
        ['version', 'by', 'created', 'runs', 'tags', 'message'],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    ),
});

const diffOutput = answer({
  target: z.string(),
  against: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      status: z.string(),
      old_path: z.string().optional(),
      added: z.int().nullable().describe('Lines; null for a binary file'),
      removed: z.int().nullable(),
      mode: z.string().optional(),
    }),
  ),
  totals: z.object({ files: z.int(), added: z.int(), removed: z.int() }),
  text: z.string().describe('Unified'),
  left_out: z.array(z.string()).describe('Files that no version can hold, and why'),
  next_cursor: z.string().nullable(),
});

export const diff = defineTool({
  name: 'diff',
  title: 'Show differences',
  description:
    'What changed in files: of a slot since its newest version, of a version since the one before, of a run since the previous run of its stage, or between any two (against). Paged.',
  toolset: 'core',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    target: reference.describe('Slot, ws, ws@v3, @tag or run'),
    against: reference.optional().describe('Default: what came before'),
    paths: z.array(text(1_000).min(1)).min(1).max(100).optional().describe('Only these files or folders'),
    stat_only: z.boolean().optional().describe('Only files and counts'),
    cursor,
  }),
  output: diffOutput,
  handler: async (ctx, input) => {
    const target = versionOf(ctx, input.target);
    const against =
      input.against === undefined ? previousOf(ctx, input.target) : versionOf(ctx, input.against);
    const at = readCursor(input.cursor);
    const statOnly = input.stat_only ?? false;
    const found = await ctx.workspaces.diff({
      target,
      statOnly,
      size: { budget: pageBudget(input.cursor !== undefined), costOf },
      ...(against === undefined ? {} : { against }),
      ...(input.paths ? { paths: input.paths } : {}),
      ...(at.cursor === undefined ? {} : { cursor: at.cursor }),
    });
    return toAnswer(found, { ...at, statOnly });
  },
  render: (output, kit) => {
    const { totals } = output;
    const files = output.files ?? [];
    if (totals?.files === 0) return `${output.target} and ${output.against} hold the same files.`;
    return lines(
      `${output.target} against ${output.against}: ${count(totals?.files ?? 0, 'file')}, +${totals?.added} −${totals?.removed}`,
      kit.table(
        files.map((file) => [
          file.old_path ? `${file.old_path} → ${file.path}` : file.path,
          file.status,
          file.added === null ? 'binary' : `+${file.added}`,
          file.removed === null ? '' : `−${file.removed}`,
        ]),
        ['file', 'status', '', ''],
      ),
      ...(output.left_out ?? []).map((line) => `left out: ${line}`),
      output.text,
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

/** A run stands for the version it ran; everything else is the workspaces room's to read. */
function versionOf(ctx: ServerContext, typed: string): string {
  if (!isRunId(typed)) return typed;
  const { run } = ctx.runs.find(typed);
  return `${run.workspace}@${formatVersion(run.version)}`;
}

function isRunId(typed: string): boolean {
  return /^(stage|prun)-[a-f0-9]{6,}$/.test(typed);
}

/** Of a run, the version of the previous run of its stage; of a pipeline run, of the one before. */
function previousOf(ctx: ServerContext, typed: string): string | undefined {
  if (!isRunId(typed)) return undefined;
  const { workspace: name, version } = previousRun(ctx, typed) ?? {};
  return name === undefined || version === undefined ? undefined : `${name}@${formatVersion(version)}`;
}

function previousRun(ctx: ServerContext, typed: string) {
  const found = ctx.runs.find(typed);
  const { workspace: name, createdAt, id } = found.run;
  if (found.kind === 'run') {
    return ctx.runs.list({ workspace: name, stage: found.run.stage, after: { createdAt, id }, limit: 1 })[0];
  }
  const all = ctx.runs.listPipelineRuns({ workspace: name, limit: 1_000 });
  return all[all.findIndex((run) => run.id === id) + 1];
}

/** As the answer carries it. */
function costOf(text: string): number {
  return estimateTokens(JSON.stringify(text));
}

type Place = { cursor: string | undefined; offset: number };

/**
 * The service pages files by the hundred; where that is too much for one answer, the offset within its page is kept
 * in front of its own cursor.
 */
function readCursor(typed: string | undefined): Place {
  if (typed === undefined) return { cursor: undefined, offset: 0 };
  const match = /^(\d{1,6})~(.*)$/.exec(typed);
  if (!match) throw badCursor();
  return { offset: Number(match[1]), cursor: match[2] === '' ? undefined : match[2] };
}

function toAnswer(found: WorkspaceDiff, at: Place & { statOnly: boolean }): z.input<typeof diffOutput> {
  const rows = found.files.map((file) => ({
    path: file.path,
    status: file.status,
    ...(file.oldPath === undefined ? {} : { old_path: file.oldPath }),
    added: file.added,
    removed: file.removed,
    ...(file.mode ? { mode: `${file.mode.from} → ${file.mode.to}` } : {}),
  }));
  const rest = rows.slice(at.offset);
  const shown = at.statOnly ? rest.slice(0, fittingCount(rest, pageBudget(false))) : rest;
  const next = found.nextCursor === null ? null : `0~${found.nextCursor}`;
  return {
    target: found.target,
    against: found.against,
    files: shown,
    totals: found.totals,
    ...(found.text === undefined ? {} : { text: found.text }),
    left_out: found.problems.map(({ path, kind }) => `${path}: ${kind.replaceAll('_', ' ')}`),
    next_cursor: shown.length < rest.length ? `${at.offset + shown.length}~${at.cursor ?? ''}` : next,
  };
}
