import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  errorOf,
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
  TEMPLATE,
  textsOf,
} from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

describe('creating workspaces', () => {
  it('starts with the template as v1, made by fork', async () => {
    project = makeProject();
    const version = await project.workspaces.create({ name: 'a', goal: 'find out' });
    expect(version).toMatchObject({ workspace: 'a', version: 1, createdBy: 'fork', prunedAt: null });
    expect(await textsOf(project, 'a@v1')).toEqual(TEMPLATE);
    expect(project.workspaces.get('a')).toMatchObject({
      goal: 'find out',
      slot: null,
      versions: 1,
      newest: 1,
      fromWorkspace: null,
    });
  });

  it('touches nothing on disk before the first call', () => {
    project = makeProject();
    expect(readdirSync(project.layout.stateDir).filter((name) => !name.startsWith('goldfish.db'))).toEqual(
      [],
    );
  });

  it('forks from any version, with that version as the parent in the history', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/notes.txt', 'second');
    await workspaces.checkpoint({ slot: 'w1', message: 'second' });
    project.write('w1/notes.txt', 'third');
    await workspaces.checkpoint({ slot: 'w1', message: 'third' });
    await workspaces.create({ name: 'b', goal: 'branch off', from: { workspace: 'a', version: 2 } });
    await workspaces.create({ name: 'c', goal: 'newest', from: { workspace: 'w1' } });
    expect((await textsOf(project, 'b'))['notes.txt']).toBe('second');
    expect((await textsOf(project, 'c'))['notes.txt']).toBe('third');
    expect(workspaces.get('b')).toMatchObject({ fromWorkspace: 'a', fromVersion: 2 });
    expect(workspaces.version('b')).toMatchObject({
      version: 1,
      treeSha: workspaces.version('a@v2').treeSha,
    });
    expect(project.git('rev-parse', `${workspaces.version('b').gitSha}^`)).toBe(
      workspaces.version('a@v2').gitSha,
    );
  });

  it('refuses a name that is taken, reserved, a path, an option, or the name of a slot', async () => {
    project = await mountedProject();
    const create = (name: string) => errorOf(() => project.workspaces.create({ name, goal: 'g' }));
    expect(await create('a')).toMatchObject({
      code: 'WORKSPACE_EXISTS',
      message: 'There is a workspace named a already.',
      fix: { tool: 'mount' },
    });
    for (const name of ['../../x', '-x', '', 'HEAD', 'a b', 'ü', 'x'.repeat(65), 'w1', 'a/b', 'a.lock']) {
      expect(await create(name), name).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(project.workspaces.list().workspaces).toHaveLength(1);
  });

  it('says which parent or version is not there', async () => {
    project = await mountedProject();
    const fork = (workspace: string, version?: number) =>
      errorOf(() =>
        project.workspaces.create({
          name: 'b',
          goal: 'g',
          from: { workspace, ...(version === undefined ? {} : { version }) },
        }),
      );
    expect(await fork('aa')).toMatchObject({ code: 'WORKSPACE_NOT_FOUND', hint: 'Did you mean a?' });
    expect(await fork('a', 7)).toMatchObject({
      code: 'VERSION_NOT_FOUND',
      message: 'a has no version v7.',
      hint: 'Its versions are v1 to v1.',
    });
  });
});

describe('finding workspaces and versions', () => {
  it('lists by name in pages, with slot and newest version', async () => {
    project = makeProject();
    const { workspaces } = project;
    for (const name of ['c', 'a', 'b']) await workspaces.create({ name, goal: `goal ${name}` });
    await workspaces.mount({ workspace: 'b' });
    const first = workspaces.list({ limit: 2 });
    expect(first.workspaces.map(({ name, slot }) => [name, slot])).toEqual([
      ['a', null],
      ['b', 'w1'],
    ]);
    const rest = workspaces.list({ limit: 2, cursor: first.nextCursor ?? '' });
    expect(rest).toMatchObject({ workspaces: [{ name: 'c', newest: 1 }], nextCursor: null });
  });

  it('takes a slot for the workspace in it, and explains what is not there', async () => {
    project = makeProject();
    const { workspaces } = project;
    expect(await errorOf(() => workspaces.get('nothing'))).toMatchObject({
      code: 'WORKSPACE_NOT_FOUND',
      fix: { tool: 'create_workspace', arguments: { name: 'nothing' } },
    });
    await workspaces.create({ name: 'alpha', goal: 'g' });
    expect(await errorOf(() => workspaces.get('w1'))).toMatchObject({ code: 'SLOT_EMPTY' });
    await workspaces.mount({ workspace: 'alpha' });
    expect(workspaces.get('w1').name).toBe('alpha');
    expect(await errorOf(() => workspaces.get('alhpa'))).toMatchObject({
      code: 'WORKSPACE_NOT_FOUND',
      message: 'There is no workspace or slot "alhpa".',
      hint: 'Did you mean alpha?',
      fix: { tool: 'list_workspaces' },
    });
    expect(await errorOf(() => workspaces.slotState('w9'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: { allowed: ['w1', 'w2'] },
    });
  });

  it('lists versions newest first, in pages, and resolves references to them', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    for (const text of ['one', 'two', 'three']) {
      project.write('w1/f', text);
      await workspaces.checkpoint({ slot: 'w1', message: text });
    }
    const page = workspaces.versions({ workspace: 'w1', limit: 3 });
    expect(page.versions.map(({ version, message }) => [version, message])).toEqual([
      [4, 'three'],
      [3, 'two'],
      [2, 'one'],
    ]);
    const rest = workspaces.versions({ workspace: 'a', limit: 3, cursor: page.nextCursor ?? '' });
    expect(rest).toMatchObject({ versions: [{ version: 1 }], nextCursor: null });
    expect(workspaces.version('a').version).toBe(4);
    expect(workspaces.version('w1').version).toBe(4);
    expect(workspaces.version('a@v2').message).toBe('one');
    for (const reference of ['a@v9', 'a@v0', '@best', 'a@best']) {
      expect(await errorOf(() => workspaces.version(reference)), reference).toMatchObject({
        code: 'VERSION_NOT_FOUND',
      });
    }
    expect(await errorOf(() => workspaces.version('stage-0123456789ab'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await errorOf(() => workspaces.versions({ workspace: 'a', cursor: 'x' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('never gives a pruned number again, and shows pruned versions only when asked', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/f', '1');
    await workspaces.checkpoint({ slot: 'w1', message: 'to be pruned' });
    project.db.write(() =>
      project.db
        .prepare("UPDATE workspace_versions SET pruned_at = '2026-01-01T00:00:00.000Z' WHERE version = 2")
        .run(),
    );
    project.write('w1/f', '2');
    const next = await workspaces.checkpoint({ slot: 'w1', message: 'after' });
    expect(next.version.version).toBe(3);
    const numbers = (includePruned: boolean) =>
      workspaces.versions({ workspace: 'a', includePruned }).versions.map((row) => row.version);
    expect(numbers(false)).toEqual([3, 1]);
    expect(numbers(true)).toEqual([3, 2, 1]);
    expect(
      await errorOf(() => workspaces.create({ name: 'b', goal: 'g', from: { workspace: 'a', version: 2 } })),
    ).toMatchObject({ code: 'VERSION_NOT_FOUND' });
  });
});

describe('versions', () => {
  it('are made by checkpoint only where something changed; the message is kept as a record each time', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/f', 'x');
    const first = await workspaces.checkpoint({ slot: 'w1', message: 'with f' });
    const second = await workspaces.checkpoint({ slot: 'w1', message: 'the same again' });
    expect(first).toMatchObject({ created: true, version: { version: 2, createdBy: 'checkpoint' } });
    expect(second).toMatchObject({ created: false, version: { version: 2 } });
    expect(first.snapshotId).toMatch(/^snap-[a-f0-9]{8}-\d{8}-\d{6}$/);
    expect(second.snapshotId).not.toBe(first.snapshotId);
    const records = project.db.prepare('SELECT id, kind, version, message FROM records ORDER BY id').all();
    expect(records).toEqual([
      { id: first.recordId, kind: 'checkpoint', version: 2, message: 'with f' },
      { id: second.recordId, kind: 'checkpoint', version: 2, message: 'the same again' },
    ]);
  });

  it('follow content, not times: a touched file makes none, an edit undone makes none', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/pipeline.yaml', TEMPLATE['pipeline.yaml']);
    expect(await workspaces.dirty('w1')).toBe(false);
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'm' })).toMatchObject({ created: false });
  });

  it('hold an edit of equal length made right after the last version, however fast', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    for (let i = 0; i < 30; i += 1) {
      project.write('w1/f', `${1000 + i}`);
      const { version } = await workspaces.snapshot({ workspace: 'a', message: 'm' });
      expect(await workspaces.files(version).read('f')).toBe(`${1000 + i}`);
    }
    expect(workspaces.version('a').version).toBe(31);
  });

  it('of a run come from the slot, or are the newest where the workspace is not mounted', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/f', 'x');
    expect(await workspaces.preview('w1')).toMatchObject({ workspace: 'a', version: 2, wouldCreate: true });
    expect(workspaces.version('a').version).toBe(1);
    const made = await workspaces.snapshot({ workspace: 'w1', message: 'run it' });
    expect(made).toMatchObject({
      created: true,
      version: { version: 2, createdBy: 'run', message: 'run it' },
    });
    expect(await workspaces.preview('a')).toMatchObject({ version: 2, wouldCreate: false });
    await workspaces.hibernate({ slot: 'w1', message: 'away' });
    const later = await workspaces.snapshot({ workspace: 'a', message: 'again' });
    expect(later).toMatchObject({ created: false, version: { version: 2 } });
    const preview = await workspaces.preview('a');
    expect(preview).toMatchObject({ version: 2, wouldCreate: false });
    expect(await preview.files.read('f')).toBe('x');
  });

  it('leave out what was deleted, and take in a file that became a folder and back', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const slot = project.layout.slot('w1');
    const save = async () => {
      await workspaces.checkpoint({ slot: 'w1', message: 'm' });
      return Object.keys(await textsOf(project, 'a'));
    };
    project.write('w1/data', 'a file');
    expect(await save()).toEqual(['data', 'modules/train.py', 'pipeline.yaml']);
    rmSync(join(slot, 'data'));
    project.write('w1/data/part', 'in a folder');
    expect(await save()).toEqual(['data/part', 'modules/train.py', 'pipeline.yaml']);
    rmSync(join(slot, 'data'), { recursive: true });
    project.write('w1/data', 'a file');
    rmSync(join(slot, 'modules'), { recursive: true });
    expect(await save()).toEqual(['data', 'pipeline.yaml']);
    for (const name of ['data', 'pipeline.yaml']) rmSync(join(slot, name));
    expect(await save()).toEqual([]);
  });

  it('are tagged in the store, and a tag that a death prevented is added later', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const save = async (text: string) => {
      project.write('w1/f', text);
      return (await workspaces.checkpoint({ slot: 'w1', message: text })).version;
    };
    const second = await save('2');
    expect(project.git('rev-parse', 'refs/tags/a-v2', 'refs/heads/a').split('\n')).toEqual([
      second.gitSha,
      second.gitSha,
    ]);
    // As left by a death between the row and the refs, with git's own lock file still there.
    project.git('update-ref', '-d', 'refs/tags/a-v2');
    project.git('update-ref', 'refs/heads/a', workspaces.version('a@v1').gitSha);
    project.writeState('versions.git/refs/heads/a.lock', '');
    const third = await save('3');
    expect(project.git('rev-parse', 'refs/tags/a-v2', 'refs/tags/a-v3', 'refs/heads/a').split('\n')).toEqual([
      second.gitSha,
      third.gitSha,
      third.gitSha,
    ]);
    for (const name of ['refs/tags/a-v1', 'refs/tags/a-v3', 'refs/heads/a']) {
      project.git('update-ref', '-d', name);
    }
    await workspaces.recover();
    expect(project.git('rev-parse', 'refs/tags/a-v1', 'refs/tags/a-v3', 'refs/heads/a').split('\n')).toEqual([
      workspaces.version('a@v1').gitSha,
      third.gitSha,
      third.gitSha,
    ]);
  });

  it('survive an index that is lost, broken, or left locked by a dead process', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const index = project.layout.slotIndex('w1');
    project.write('w1/f', '1');
    rmSync(index);
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'm' })).toMatchObject({ created: true });
    project.writeState('slots/w1.index.lock', '');
    project.write('w1/f', '2');
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'm' })).toMatchObject({ created: true });
    project.writeState('slots/w1.index', 'garbage');
    project.write('w1/f', '3');
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'm' })).toMatchObject({ created: true });
    expect(await textsOf(project, 'a')).toEqual({ ...TEMPLATE, f: '3' });
    expect(await filesBelow(project.layout.slot('w1'))).toHaveLength(3);
  });
});

describe('the code hash', () => {
  it('follows code, modes and names, not configs and pipelines', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const hash = async () => {
      const { version } = await workspaces.snapshot({ workspace: 'a', message: 'm' });
      const { codeHash } = await workspaces.preview('a');
      expect(await workspaces.codeHash(version)).toBe(codeHash);
      return codeHash;
    };
    const first = await hash();
    expect(first).toMatch(/^sha256:[a-f0-9]{64}$/);
    project.write('w1/configs/train.yaml', 'lr: 1\n');
    project.write('w1/pipelines/other.yaml', 'name: other\n');
    project.write('w1/pipeline.yaml', 'name: changed\n');
    expect(await hash()).toBe(first);
    project.write('w1/modules/train.py', TEMPLATE['modules/train.py'], 0o755);
    const executable = await hash();
    expect(executable).not.toBe(first);
    project.write('w1/modules/train.py', TEMPLATE['modules/train.py'], 0o644);
    expect(await hash()).toBe(first);
    project.write('w1/configs.py', '');
    expect(await hash()).not.toBe(first);
  });
});
