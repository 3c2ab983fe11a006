import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  errorOf,
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
  textsOf,
} from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const REASON = 'The change made it worse';
const rollback = (version: string) => project.workspaces.rollback({ slot: 'w1', version, reason: REASON });
const checkpoint = (message: string) => project.workspaces.checkpoint({ slot: 'w1', message });
const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);

/** v1 is the template; v2 adds, changes and removes; v3 differs from both. */
async function threeVersions(): Promise<void> {
  project = await mountedProject();
  project.write('w1/.gitignore', '*.log\n/data/\n');
  project.write('w1/modules/train.py', 'print(2)\n');
  project.write('w1/run.sh', '#!/bin/sh\n', 0o755);
  mkdirSync(slot('outputs'));
  await checkpoint('second');
  project.write('w1/modules/train.py', 'print(3)\n');
  project.write('w1/modules/extra.py', 'extra\n');
  await checkpoint('third');
}

describe('a rollback', () => {
  it('gives the slot the files of the version, and says what was added, changed and removed', async () => {
    await threeVersions();
    expect(await rollback('v2')).toMatchObject({
      slot: 'w1',
      workspace: 'a',
      version: { version: 2 },
      saved: { version: { version: 3 }, created: false },
      files: { added: [], changed: ['modules/train.py'], removed: ['modules/extra.py'] },
      keptAside: [],
    });
    expect(project.read('w1/modules/train.py')).toBe('print(2)\n');
    expect(existsSync(slot('modules/extra.py'))).toBe(false);
    expect(statSync(slot('run.sh')).mode & 0o777).toBe(0o755);
    expect(statSync(slot('outputs')).isDirectory()).toBe(true);
  });

  it('goes back and forth, and nothing that was there before a version stays behind', async () => {
    await threeVersions();
    expect(await rollback('v1')).toMatchObject({
      files: {
        added: [],
        changed: ['modules/train.py'],
        removed: ['.gitignore', 'modules/extra.py', 'outputs/', 'run.sh'],
      },
    });
    expect(await filesBelow(slot())).toEqual(['modules/train.py', 'pipeline.yaml']);
    // The slot counts as edited after a rollback, so this one saves it.
    const forth = await rollback('v3');
    expect(forth.saved).toMatchObject({ created: true, version: { version: 4 } });
    expect(forth.files).toEqual({
      added: ['.gitignore', 'modules/extra.py', 'outputs/', 'run.sh'],
      changed: ['modules/train.py'],
      removed: [],
    });
  });

  it('does not move history: the slot counts as edited, and the next version follows the newest', async () => {
    await threeVersions();
    await rollback('v1');
    expect(await project.workspaces.dirty('w1')).toBe(true);
    expect(project.workspaces.get('a').newest).toBe(3);
    const next = await checkpoint('back to the start');
    expect(next).toMatchObject({ created: true, version: { version: 4 } });
    expect(next.version.treeSha).toBe(project.workspaces.version('a@v1').treeSha);
    expect(project.git('rev-parse', `${next.version.gitSha}^`)).toBe(
      project.workspaces.version('a@v3').gitSha,
    );
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });

  it('saves what was edited first, as a version made by hand that says why', async () => {
    await threeVersions();
    project.write('w1/modules/train.py', 'half done\n');
    expect(await rollback('v2')).toMatchObject({
      saved: {
        created: true,
        version: { version: 4, createdBy: 'manual', message: `Before the rollback to v2: ${REASON}` },
      },
      files: { changed: ['modules/train.py'], removed: ['modules/extra.py'] },
    });
    expect((await textsOf(project, 'a@v4'))['modules/train.py']).toBe('half done\n');
    expect(project.read('w1/modules/train.py')).toBe('print(2)\n');
  });

  it('keeps ignored files where they are', async () => {
    await threeVersions();
    project.write('w1/data/set.csv', 'rows');
    project.write('w1/modules/a.log', 'noise');
    await rollback('v2');
    expect(project.read('w1/data/set.csv')).toBe('rows');
    expect(project.read('w1/modules/a.log')).toBe('noise');
  });

  it('keeps an ignored file aside where the version has something of its name', async () => {
    project = await mountedProject();
    project.write('w1/data/set.csv', 'rows');
    await checkpoint('the data are versioned');
    project.write('w1/.gitignore', '/data/\n');
    await checkpoint('and ignored');
    project.write('w1/data/set.csv', 'other rows');
    expect(await rollback('v2')).toMatchObject({ keptAside: ['data/set.csv'] });
    expect(project.read('w1/data/set.csv')).toBe('rows');
    expect(await filesBelow(project.layout.aside('a'))).toEqual(['data/set.csv']);
  });

  it('to what the slot holds already changes nothing', async () => {
    await threeVersions();
    const before = statSync(slot('run.sh')).ino;
    expect(await rollback('v3')).toMatchObject({
      saved: { created: false },
      files: { added: [], changed: [], removed: [] },
    });
    expect(statSync(slot('run.sh')).ino).toBe(before);
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
  });

  it('takes a number, a tag, and both with the workspace in front', async () => {
    await threeVersions();
    project.workspaces.tag({ tag: 'good', target: { workspace: 'a', version: 2 } });
    for (const typed of ['@good', 'a@good', 'w1@good', 'a@v2', 'v2']) {
      expect((await rollback(typed)).version.version, typed).toBe(2);
    }
  });

  it('refuses what is no version of the workspace in the slot, and a pruned one, and touches nothing', async () => {
    await threeVersions();
    await project.workspaces.create({ name: 'b', goal: 'other' });
    project.workspaces.prune({ workspace: 'a', versions: ['v1'] });
    project.write('w1/modules/train.py', 'half done\n');
    expect(await errorOf(() => rollback('v9'))).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      message: 'a has no version v9.',
    });
    expect(await errorOf(() => rollback('b@v1'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'b@v1 is a version of b, and the slot holds a.',
      fix: { tool: 'list_versions', arguments: { workspace: 'a' } },
    });
    expect(await errorOf(() => rollback('v1'))).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      message: 'a@v1 was pruned.',
      fix: { tool: 'prune_versions', arguments: { workspace: 'a', versions: ['v1'], restore: true } },
    });
    expect(await errorOf(() => rollback('@nothing'))).toMatchObject({ code: 'VERSION_NOT_FOUND' });
    expect(
      await errorOf(() => project.workspaces.rollback({ slot: 'w2', version: 'v1', reason: REASON })),
    ).toMatchObject({ code: 'SLOT_EMPTY' });
    expect(project.workspaces.get('a').newest).toBe(3);
    expect(project.read('w1/modules/train.py')).toBe('half done\n');
  });

  it('of a slot with files that no version can hold is refused with nothing touched', async () => {
    project = await mountedProject({ maxFileBytes: 1_000 });
    await checkpoint('nothing new');
    project.write('w1/pipeline.yaml', 'name: edited\n');
    await checkpoint('second');
    project.write('w1/big.bin', new Uint8Array(2_000));
    expect(await errorOf(() => rollback('v1'))).toMatchObject({ code: 'FILE_TOO_LARGE' });
    expect(project.read('w1/pipeline.yaml')).toBe('name: edited\n');
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
  });

  it('is for a mounted workspace only', async () => {
    project = makeProject();
    await project.workspaces.create({ name: 'a', goal: 'g' });
    expect(await errorOf(() => rollback('v1'))).toMatchObject({ code: 'SLOT_EMPTY' });
  });
});
