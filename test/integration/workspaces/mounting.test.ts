import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, watch } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  errorOf,
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
} from '../../support/workspaces-project.ts';
import { until } from '../until.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);
const mount = () => project.workspaces.mount({ workspace: 'a' });
const hibernate = () => project.workspaces.hibernate({ slot: 'w1', message: 'away' });

describe('mounting', () => {
  it('uses one slot per workspace: mounting again, also elsewhere, says where it is', async () => {
    project = await mountedProject();
    project.write('w1/f', 'edit');
    expect(await mount()).toMatchObject({ slot: 'w1', path: 'workspaces/w1', dirty: true });
    expect(await project.workspaces.mount({ workspace: 'a', slot: 'w2' })).toMatchObject({ slot: 'w1' });
    expect(await project.workspaces.mount({ workspace: 'w1' })).toMatchObject({ slot: 'w1' });
    expect(project.read('w1/f')).toBe('edit');
    expect(project.workspaces.slots().map(({ name, workspace }) => [name, workspace])).toEqual([
      ['w1', 'a'],
      ['w2', null],
    ]);
  });

  it('has what it prepares there from its claim until that is complete, so that a death leaves no empty slot', async () => {
    project = await mountedProject();
    await hibernate();
    const seen: string[] = [];
    const watcher = watch(project.layout.slots, (_, name) => seen.push(String(name)));
    try {
      await mount();
      await until(() => seen.includes('.w1.mounted'), 'the events');
    } finally {
      watcher.close();
    }
    // Made once, and renamed once.
    expect(seen.filter((name) => name === '.w1.mounting')).toHaveLength(2);
  });

  it('refuses a slot with another workspace, and says what to do when none is free', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    await workspaces.create({ name: 'b', goal: 'g' });
    await workspaces.create({ name: 'c', goal: 'g' });
    expect(await errorOf(() => workspaces.mount({ workspace: 'b', slot: 'w1' }))).toMatchObject({
      code: 'SLOT_OCCUPIED',
      message: 'w1 holds the workspace a.',
      fix: { tool: 'hibernate', arguments: { slot: 'w1' } },
    });
    expect(await workspaces.mount({ workspace: 'b' })).toMatchObject({ slot: 'w2' });
    expect(await errorOf(() => workspaces.mount({ workspace: 'c' }))).toMatchObject({
      code: 'SLOT_OCCUPIED',
      message: 'No slot is free (w1: a, w2: b).',
      fix: { tool: 'hibernate', arguments: { slot: 'w1' } },
    });
    expect(await errorOf(() => workspaces.mount({ workspace: 'c', slot: 'w7' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('gives each of several workspaces mounted at the same time a free slot of its own', async () => {
    project = await makeProject();
    const { workspaces } = project;
    for (const name of ['a', 'b', 'c']) await workspaces.create({ name, goal: 'g' });
    const answers = await Promise.allSettled(
      ['a', 'b', 'c'].map((workspace) => workspaces.mount({ workspace })),
    );
    const slots = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.slot] : []));
    expect(slots.sort()).toEqual(['w1', 'w2']);
    expect(answers.filter((answer) => answer.status === 'rejected')).toMatchObject([
      { reason: { code: 'SLOT_OCCUPIED' } },
    ]);
  });

  it('never writes over files it does not know, and passes such a slot by', async () => {
    project = makeProject();
    await project.workspaces.create({ name: 'a', goal: 'g' });
    project.write('w1/precious.txt', 'mine');
    expect(await errorOf(() => project.workspaces.mount({ workspace: 'a', slot: 'w1' }))).toMatchObject({
      code: 'SLOT_OCCUPIED',
      message: 'The folder of w1 holds files that Goldfish does not know.',
    });
    expect(await filesBelow(slot())).toEqual(['precious.txt']);
    expect(await mount()).toMatchObject({ slot: 'w2' });
  });

  it('does not follow a link that stands in the place of a slot', async () => {
    project = makeProject();
    await project.workspaces.create({ name: 'a', goal: 'g' });
    const elsewhere = join(project.root, 'elsewhere');
    mkdirSync(elsewhere);
    mkdirSync(project.layout.slots);
    symlinkSync(elsewhere, slot());
    expect(await errorOf(() => project.workspaces.mount({ workspace: 'a', slot: 'w1' }))).toMatchObject({
      code: 'SLOT_OCCUPIED',
    });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it('keeps the folder of a slot itself, so that a shell standing in it stays right', async () => {
    project = await mountedProject();
    await hibernate();
    expect(existsSync(slot())).toBe(true);
    await mount();
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
  });
});

describe('ignored files', () => {
  it('are put aside by hibernate and come back at the next mount, in any slot', async () => {
    project = await mountedProject();
    project.write('w1/.gitignore', 'data/\n*.log\n');
    project.write('w1/data/set.csv', 'rows');
    project.write('w1/modules/run.log', 'log');
    symlinkSync('set.csv', slot('data', 'link'));
    mkdirSync(slot('data', 'empty'));
    project.write('w1/.env', 'SECRET=1', 0o600);
    expect(await hibernate()).toMatchObject({ aside: ['.env', 'data/', 'modules/run.log'], created: true });
    await project.workspaces.create({ name: 'b', goal: 'g' });
    await project.workspaces.mount({ workspace: 'b', slot: 'w1' });
    expect(await filesBelow(slot())).toEqual(['modules/train.py', 'pipeline.yaml']);
    const back = await project.workspaces.mount({ workspace: 'a' });
    expect(back).toMatchObject({ slot: 'w2', restored: ['.env', 'data/', 'modules/run.log'], dirty: false });
    expect(await filesBelow(project.layout.slot('w2'))).toEqual([
      '.env',
      '.gitignore',
      'data/link',
      'data/set.csv',
      'modules/run.log',
      'modules/train.py',
      'pipeline.yaml',
    ]);
    expect(existsSync(join(project.layout.slot('w2'), 'data', 'empty'))).toBe(true);
    expect(existsSync(project.layout.aside('a'))).toBe(false);
  });

  it('that stand in the way of a versioned file stay aside, and nothing is written over', async () => {
    project = await mountedProject();
    project.write('w1/.gitignore', 'notes.txt\n');
    project.write('w1/notes.txt', 'ignored');
    await hibernate();
    project.writeState('aside/a/pipeline.yaml', 'older');
    expect(await mount()).toMatchObject({ restored: ['notes.txt'], keptAside: ['pipeline.yaml'] });
    expect(project.read('w1/pipeline.yaml')).toBe('name: demo\n');
    project.write('w1/.gitignore', 'pipeline.yaml\n');
    project.write('w1/pipeline.yaml', 'newer');
    await hibernate();
    const aside = (name: string) => readFileSync(join(project.layout.aside('a'), name), 'utf8');
    expect([aside('pipeline.yaml'), aside('pipeline.yaml.older-1')]).toEqual(['newer', 'older']);
  });
});
