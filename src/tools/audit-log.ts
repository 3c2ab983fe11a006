import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { clip } from '../core/names.ts';
import type { AuditRow } from '../core/rows.ts';
import { listAudit } from '../store/audit.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, text, workspace } from './fields.ts';
import { badCursor, readTime } from './ids.ts';
import { firstOf, listPage } from './list-page.ts';
import { lines } from './text.ts';

/** Characters shown of a reason and of the other arguments. */
const SHORT = { reason: 300, arguments: 200 };

const actionRow = z.object({
  at: z.string(),
  operation: z.string(),
  workspace: z.string().nullable(),
  actor: z.string(),
  reason: z.string().nullable(),
  outcome: z.string().describe('ok, or the code of the refusal'),
  arguments: z.string().describe('JSON, cut where it is long'),
});

export const auditLog = defineTool({
  name: 'audit_log',
  title: 'Audit log',
  description:
    'Who did what and why, newest first: every call that changed something or was refused. Filter by workspace, tool or time.',
  toolset: 'all',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    workspace: workspace.optional(),
    operation: text(64).min(1).optional().describe('Name of a tool'),
    since: text(40).min(1).optional().describe('At or after this time'),
    limit,
    cursor,
  }),
  output: answer({ ...listFields, actions: z.array(actionRow) }),
  handler: (ctx, input) => {
    const filter = {
      ...(input.workspace === undefined ? {} : { workspace: ctx.workspaces.known(input.workspace).name }),
      ...(input.operation === undefined ? {} : { operation: input.operation }),
      ...(input.since === undefined ? {} : { since: readTime('since', input.since) }),
      ...(input.cursor === undefined ? {} : { before: readRow(input.cursor) }),
    };
    return listPage('actions', input.limit, (size) =>
      firstOf(listAudit(ctx.db, { ...filter, limit: size + 1 }), size, {
        row: toRow,
        cursor: ({ id }) => `${id}`,
      }),
    );
  },
  render: (output, kit) => {
    const rows = output.actions ?? [];
    if (rows.length === 0) return 'Nothing was done that fits.';
    return lines(
      kit.table(
        rows.map((row) => [row.at, row.operation, row.workspace, row.actor, row.outcome, row.reason]),
        ['at', 'operation', 'workspace', 'actor', 'outcome', 'why'],
      ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    );
  },
});

function readRow(typed: string): number {
  const id = /^[1-9]\d{0,14}$/.test(typed) ? Number(typed) : undefined;
  if (id === undefined) throw badCursor();
  return id;
}

function toRow(row: AuditRow): z.infer<typeof actionRow> {
  return {
    at: row.createdAt,
    operation: row.operation,
    workspace: row.workspace,
    actor: row.actor,
    reason: row.reason === null ? null : clip(row.reason, SHORT.reason),
    outcome: row.outcome,
    arguments: clip(argumentsText(row.details), SHORT.arguments),
  };
}

/** Without the reason, which has a place of its own. */
function argumentsText(details: JsonObject): string {
  const { arguments: given, arguments_cut: cut } = details;
  if (typeof cut === 'string') return cut;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return JSON.stringify(given ?? {});
  const { reason: _, ...rest } = given;
  return JSON.stringify(rest);
}
