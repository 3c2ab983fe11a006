import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { errorOf, filesBelow, makeProject, mountedProject, type Project, TEMPLATE } from './fixture.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

async function contents(reference: string): Promise<Record<string, string>> {
  const files = project.workspaces.files(project.workspaces.version(reference));
  const paths = await files.list();
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, (await files.read(path)) ?? ''])));
}

describe('creating workspaces', () => {
  it('starts with the template as v1, made by fork', async () => {
    project = makeProject();
    const version = await project.workspaces.create({ name: 'a', goal: 'find out' });
    expect(version).toMatchObject({ workspace: 'a', version: 1, createdBy: 'fork', prunedAt: null });
    expect(await contents('a@v1')).toEqual(TEMPLATE);
    expect(project.workspaces.get('a')).toMatchObject({ goal: 'find out', slot: null, versions: 1, newest: 1 });
  });

  it('touches nothing on disk before the first call', () => {
    project = makeProject();
    project.again();
    expect(readdirSync(project.layout.stateDir).filter((name) => !name.startsWith('goldfish.db'))).toEqual([]);
  });
});

describe('a slot', () => {
  it('goes through mount, edit, checkpoint, hibernate and mount again', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    expect(await workspaces.dirty('w1')).toBe(false);
    project.write('w1/modules/train.py', 'print(2)\n');
    project.write('w1/new file ü.txt', 'x');
    expect(await workspaces.dirty('w1')).toBe(true);
    const checkpoint = await workspaces.checkpoint({ slot: 'w1', message: 'second' });
    expect(checkpoint).toMatchObject({ created: true, version: { version: 2, createdBy: 'checkpoint' } });
    expect(checkpoint.snapshotId).toMatch(/^snap-[a-f0-9]{8}-\d{8}-\d{6}$/);
    expect(await workspaces.dirty('w1')).toBe(false);
    project.write('w1/data.bin', 'y');
    rmSync(join(project.layout.slot('w1'), 'pipeline.yaml'));
    const left = await workspaces.hibernate({ slot: 'w1', message: 'away' });
    expect(left).toMatchObject({ created: true, version: { version: 3, createdBy: 'manual' }, aside: [] });
    expect(readdirSync(project.layout.slot('w1'))).toEqual([]);
    const back = await workspaces.mount({ workspace: 'a' });
    expect(back).toMatchObject({ slot: 'w1', path: 'workspaces/w1', dirty: false, version: { version: 3 } });
    expect(await filesBelow(project.layout.slot('w1'))).toEqual([
      'data.bin',
      'modules/train.py',
      'new file ü.txt',
    ]);
  });
});
