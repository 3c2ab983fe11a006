import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/core/clock.ts';
import { systemIds } from '../src/core/ids.ts';
import { projectLayout } from '../src/core/layout.ts';
import { openDatabase } from '../src/store/database.ts';
import { createWorkspaces } from '../src/workspaces/workspaces.ts';

/**
 * How long version work takes: `node scripts/measure-versions.ts [files…]` (default 1000 and 10000 files of about
 * 1 kB in folders of 100). Repeated operations give the median of nine. Milliseconds.
 */
const sizes = process.argv.slice(2).map(Number);
for (const size of sizes.length > 0 ? sizes : [1000, 10_000]) await measure(size);

async function measure(size: number): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'goldfish-measure-'));
  const layout = projectLayout(root);
  const templateDir = join(root, 'template');
  mkdirSync(templateDir);
  writeFileSync(join(templateDir, 'pipeline.yaml'), 'name: measure\n');
  mkdirSync(layout.stateDir);
  const db = openDatabase(layout.database, { create: true });
  const workspaces = createWorkspaces({
    db,
    clock: systemClock,
    ids: systemIds,
    layout,
    slots: ['w1'],
    maxFileBytes: 10_000_000,
    templateDir,
  });
  const edited = join(layout.slot('w1'), 'edited.py');
  const times: Record<string, number> = {};
  const time = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const start = performance.now();
    await work();
    times[name] = performance.now() - start;
  };
  const median = async (name: string, work: (turn: number) => Promise<unknown>): Promise<void> => {
    const found: number[] = [];
    for (let turn = 0; turn < 9; turn += 1) {
      await time(name, () => work(turn));
      found.push(times[name] ?? 0);
    }
    times[name] = found.sort((a, b) => a - b)[4] ?? 0;
  };

  await time('create the first workspace', () => workspaces.create({ name: 'a', goal: 'measure' }));
  await time('mount a small version', () => workspaces.mount({ workspace: 'a' }));
  for (let i = 0; i < size; i += 1) {
    const folder = join(layout.slot('w1'), 'files', `${Math.floor(i / 100)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${i}.txt`), `${i}\n${'line of text\n'.repeat(80)}`);
  }
  await time('save all files for the first time', () =>
    workspaces.snapshot({ workspace: 'a', message: 'm' }),
  );
  await median('save one edit', (turn) => {
    writeFileSync(edited, `print(${turn})\n`);
    return workspaces.snapshot({ workspace: 'a', message: 'm' });
  });
  await median('save nothing', () => workspaces.snapshot({ workspace: 'a', message: 'm' }));
  await median('dirty, clean slot', () => workspaces.dirty('w1'));
  writeFileSync(edited, 'never saved\n');
  await median('dirty, edited slot', () => workspaces.dirty('w1'));
  await median('diff of one edit', () => workspaces.diff({ target: 'w1' }));
  await median('preview of one edit', () => workspaces.preview('a'));
  await time('checkout, made', () => workspaces.checkout(workspaces.version('a')));
  await median('checkout, found', () => workspaces.checkout(workspaces.version('a')));
  await time('hibernate', () => workspaces.hibernate({ slot: 'w1', message: 'm' }));
  await time('mount', () => workspaces.mount({ workspace: 'a' }));
  console.log(`${size} files`);
  for (const [name, ms] of Object.entries(times)) console.log(`  ${ms.toFixed(0).padStart(6)}  ${name}`);
  db.close();
  rmSync(root, { recursive: true, force: true });
}
