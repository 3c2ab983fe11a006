import { systemClock } from '../../../src/core/clock.ts';
import { systemIds } from '../../../src/core/ids.ts';
import { projectLayout } from '../../../src/core/layout.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { createWorkspaces, type Workspaces } from '../../../src/workspaces/workspaces.ts';

/**
 * Another process at work on the project of a test: `actor.ts <root> <template> <action> <arguments…>`.
 * Prints "ready", waits for a line on stdin, acts, and prints what it came to as JSON.
 */
const [root = '', templateDir = '', action = '', ...args] = process.argv.slice(2);
const layout = projectLayout(root);
const db = openDatabase(layout.database, { create: false });
const workspaces = createWorkspaces({
  db,
  clock: systemClock,
  ids: systemIds,
  layout,
  slots: ['w1', 'w2'],
  maxFileBytes: 1_000_000,
  templateDir,
});

const ACTIONS: Record<string, (on: Workspaces, first: string, second: string) => Promise<unknown>> = {
  create: (on, name) => on.create({ name, goal: 'g' }),
  mount: (on, workspace, slot) => on.mount({ workspace, ...(slot === '' ? {} : { slot }) }),
  hibernate: (on, slot) => on.hibernate({ slot, message: 'away' }),
  checkpoint: (on, slot, message) => on.checkpoint({ slot, message }),
  rollback: (on, slot, version) => on.rollback({ slot, version, reason: 'back' }),
  delete: (on, workspace) => on.delete(workspace),
  cycle: async (on, workspace, slot) => {
    await on.checkpoint({ slot, message: 'm' });
    await on.hibernate({ slot, message: 'away' });
    return on.mount({ workspace, slot });
  },
  checkout: (on, reference) => on.checkout(on.version(reference)),
};

process.stdout.write('ready\n');
process.stdin.once('data', async () => {
  try {
    const result = await ACTIONS[action]?.(workspaces, args[0] ?? '', args[1] ?? '');
    process.stdout.write(`${JSON.stringify({ result })}\n`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : String(error);
    process.stdout.write(`${JSON.stringify({ code })}\n`);
  }
  db.close();
  process.stdin.destroy();
});
