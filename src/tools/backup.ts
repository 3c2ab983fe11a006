import { z } from 'zod';
import type { Backup } from '../backup/create-backup.ts';
import { type BackupSummary, backupSize } from '../backup/list-backups.ts';
import type { ServerContext } from '../context.ts';
import { defineTool } from './define-tool.ts';
import { answer, listFields, nextCall, SCHEMA_VERSION } from './fields.ts';
import { callText, count, lines } from './text.ts';

/** A call answers within this; the copy goes on, and the next call joins it. */
const PATIENCE_MS = 40_000;
/** Backups shown, the newest. */
const SHOWN = 20;

const row = z.object({
  folder: z.string(),
  created_at: z.string(),
  size: z.int(),
  objects: z.int().describe('Stored outputs and sources'),
  has_objects: z.boolean().describe('false: their bytes lie elsewhere'),
  missing: z.array(z.string()).optional().describe('Lost by the project itself'),
});
type Row = z.infer<typeof row>;

export const backup = defineTool({
  name: 'backup',
  title: 'Back the project up',
  description:
    'Copies the whole project, while it is in use, into a new folder below backups/; list shows the complete ones, newest first. Not in it: edits no version has, logs, stage checkpoints. Restoring is a command: goldfish restore.',
  toolset: 'all',
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.strictObject({ action: z.enum(['create', 'list']).optional().describe('Default: create') }),
  output: answer({
    ...listFields,
    backup: row,
    backups: z.array(row),
    total: z.int().describe('Backups there are'),
    in_progress: z.object({ started_at: z.string() }).describe('Call again to be told'),
    next: nextCall(),
  }),
  audit: ({ action }) => (action === 'list' ? null : { workspace: null, reason: null }),
  handler: async (ctx, { action }, { signal }) => {
    const backups = await ctx.backups();
    const place = ctx.layout.shown(backups.folder);
    if (action === 'list') {
      const all = await backups.list();
      const shown = all.slice(0, SHOWN).map((found) => toRow(place, found));
      const common = { schema_version: SCHEMA_VERSION, next_cursor: null, errors: [] };
      return { ...common, backups: shown, total: all.length };
    }
    const made = await backups.create({ waitMs: PATIENCE_MS, signal });
    if ('manifest' in made) return { backup: madeRow(ctx, made) };
    return {
      in_progress: { started_at: made.startedAt },
      next: { tool: 'backup', arguments: { action: 'create' } },
    };
  },
  render: (output, kit) => {
    if (output.backup)
      return lines(
        `${output.backup.folder}: ${sizeText(output.backup)}.`,
        missingText(output.backup),
        restoreText(output.backup),
      );
    if (output.in_progress) {
      return lines(
        `Still copying since ${output.in_progress.started_at}. The same call again joins it.`,
        output.next && `next: ${callText(output.next)}`,
      );
    }
    const rows = output.backups ?? [];
    const [newest] = rows;
    if (!newest) return 'There is no backup yet.';
    return lines(
      kit.table(
        rows.map((item) => [item.folder, item.created_at, item.size, item.objects]),
        ['backup', 'made', 'bytes', 'objects'],
      ),
      (output.total ?? 0) > rows.length && `${count(output.total ?? 0, 'backup')}; these are the newest.`,
      restoreText(newest),
    );
  },
});

function toRow(place: string, { name, createdAt, size, objects, hasObjects }: BackupSummary): Row {
  return { folder: `${place}/${name}`, created_at: createdAt, size, objects, has_objects: hasObjects };
}

function madeRow(ctx: ServerContext, { folder, manifest, missing }: Backup): Row {
  return {
    folder: ctx.layout.shown(folder),
    created_at: manifest.createdAt,
    size: backupSize(manifest),
    objects: manifest.objects.length,
    has_objects: manifest.hasObjects,
    ...(missing.length === 0 ? {} : { missing: missing.map(({ hash, was }) => was ?? hash) }),
  };
}

function missingText({ missing = [] }: Row): string | false {
  const some = missing.slice(0, SHOWN).join(', ');
  return missing.length > 0 && `Not in it, because the storage has lost it: ${some}.`;
}

function sizeText({ size, objects }: Row): string {
  return `${size} bytes, ${count(objects, 'stored object')}`;
}

function restoreText({ folder }: Row): string {
  return `To make a project of it: goldfish restore ${folder} --into FOLDER`;
}
