import { z } from 'zod';
import { loadConfig } from '../config/load-config.ts';
import { changesBetween, type Move, movesState } from '../config/settings.ts';
import type { ServerContext } from '../context.ts';
import { isLeaseHeld } from '../runs/supervisor-lease.ts';
import { readLease } from '../store/lease.ts';
import { defineOpenTool } from './define-tool.ts';
import { answer, nextCall } from './fields.ts';
import { projectNotFound } from './session.ts';
import { count, lines, type TextKit } from './text.ts';

const output = answer({
  changed: z.array(
    z.object({
      key: z.string(),
      from: z.unknown(),
      to: z.unknown(),
      origin: z.string().describe('Where the new value stands'),
    }),
  ),
  applied: z.boolean().describe('false: this server goes on with what it had'),
  restart: z
    .array(z.object({ what: z.string(), why: z.string() }))
    .describe('What must be restarted for a change to count'),
  supervisor: z.string().describe('What it does about the change'),
  notes: z.array(z.string()),
  next: nextCall(),
});

export const reloadConfig = defineOpenTool({
  name: 'reload_config',
  title: 'Reload goldfish.yaml',
  description:
    'Reads goldfish.yaml again for this server: what changed, and what needs a restart. A file with problems changes nothing; its problems are the answer. Runs that are planned keep their plan.',
  toolset: 'all',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({}),
  output,
  audit: () => ({ workspace: null, reason: null }),
  handler: async (session) => {
    const root = await session.findRoot();
    if (root === undefined) throw projectNotFound();
    // A file with problems is refused here, before anything of what is open is touched.
    const { settings, notes } = await loadConfig({ root });
    const before = session.opened() ?? (await session.context());
    const changed = changesBetween(before.settings, settings);
    const frozen = movesState(changed);
    const applied = frozen.length === 0;
    const now = applied ? await session.reopen() : before;
    return {
      changed,
      applied,
      restart: frozen.map((move) => ({ what: 'this server and the supervisor', why: whyNotNow(move) })),
      supervisor: supervisorText(now, { changed: changed.length > 0, applied }),
      notes: notes.map((note) => note.message),
      next: { tool: 'status', arguments: { include: ['config'] } },
    };
  },
  render,
});

function whyNotNow({ key, keeps }: Move): string {
  if (keeps === 'files')
    return `${key} moves where things are kept. Let all runs end, move the folder, then start them anew.`;
  const says = keeps === 'machines' ? 'where machines are rented' : 'where machines find their work';
  return `${key} says ${says}. Let all runs end and give every machine back, then start them anew: machines that are left would be nobody’s.`;
}

function supervisorText(ctx: ServerContext, reload: { changed: boolean; applied: boolean }): string {
  if (!isLeaseHeld(readLease(ctx.db), ctx.clock))
    return 'None is at work; the next one starts with the file as it is.';
  if (!reload.applied) return 'It goes on with what it had.';
  return reload.changed
    ? 'It notices the change by itself, and reads the file as soon as nothing is being started or finished.'
    : 'It has the same settings.';
}

function render(result: z.output<typeof output>, kit: TextKit): string {
  const changed = result.changed ?? [];
  const how = result.applied ? 'This server uses them now' : 'Nothing was applied';
  return lines(
    changed.length === 0 ? 'Nothing changed.' : `${count(changed.length, 'value')} changed. ${how}.`,
    changed.length > 0 &&
      kit.table(
        changed.map((row) => [row.key, JSON.stringify(row.from), JSON.stringify(row.to), row.origin]),
        ['key', 'from', 'to', 'origin'],
      ),
    ...(result.restart ?? []).map((row) => `restart ${row.what}: ${row.why}`),
    result.supervisor && `supervisor: ${result.supervisor}`,
    ...(result.notes ?? []).map((note) => `note: ${note}`),
  );
}
