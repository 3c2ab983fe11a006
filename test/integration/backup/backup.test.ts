import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackup } from '../../../src/backup/create-backup.ts';
import { listBackups } from '../../../src/backup/list-backups.ts';
import { readManifest } from '../../../src/backup/manifest.ts';
import { restoreBackup } from '../../../src/backup/restore-backup.ts';
import { openContext, type ServerContext } from '../../../src/context.ts';
import { hashJson } from '../../../src/core/json.ts';
import { objectKey } from '../../../src/data/object-keys.ts';
import { checkDatabase } from '../../../src/store/database.ts';
import { outputsOfRun } from '../../../src/store/signals.ts';
import { createRunsProject, type RunsProject, THREE_STAGES } from '../../support/runs-project.ts';

let project: RunsProject;
let base: string;
let opened: ServerContext | undefined;

beforeEach(async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  base = mkdtempSync(join(tmpdir(), 'goldfish-backup-'));
});
afterEach(async () => {
  await opened?.close();
  opened = undefined;
  await project.dispose();
  rmSync(base, { recursive: true, force: true });
});

const backUp = (withObjects = true) =>
  createBackup({ ...project.deps, projectName: 'test' }, { into: join(base, 'backups'), withObjects });
const restore = (backup: string, options: { objects?: string } = {}) =>
  restoreBackup(project.deps, { backup, into: join(base, 'copy'), ...options });

async function completed(): Promise<string> {
  const { pipelineRun } = await project.submit();
  await project.tick();
  const one = project.runOf(pipelineRun.id, 'one').id;
  await project.complete(one, { a: { k: 1 } });
  return one;
}

async function openCopy(): Promise<ServerContext> {
  opened = await openContext({ root: join(base, 'copy') });
  return opened;
}

describe('a backup restored elsewhere', () => {
  it('has the versions, runs and outputs; diff works and the store checks clean', async () => {
    const one = await completed();
    project.write('modules/one.py', 'print("edited")\n');
    await project.deps.workspaces.checkpoint({ slot: 'w1', message: 'An edit' });
    const { folder, manifest } = await backUp();
    expect(manifest.objects.length).toBeGreaterThan(0);
    const restored = await restore(folder);
    const { length } = manifest.objects;
    expect(restored.objects).toEqual({ needed: length, restored: length, lost: [] });

    const copy = await openCopy();
    expect(checkDatabase(copy.db)).toBeNull();
    const diff = await copy.workspaces.diff({ target: 'exp@v2' });
    expect(diff.files.map((file) => file.path)).toEqual(['modules/one.py']);
    const mounted = await copy.workspaces.mount({ workspace: 'exp' });
    expect(readFileSync(join(base, 'copy/workspaces', mounted.slot, 'modules/one.py'), 'utf8')).toBe(
      'print("edited")\n',
    );
    const details = copy.runs.inspect(one);
    expect(details.run.state).toBe('completed');
    const [output] = details.outputs;
    expect(await copy.storage.stat(output?.storageLocation ?? '')).toMatchObject({ size: output?.size });
  });

  it('runs nothing again: what was open is canceled with a reason, and holds nothing of this machine', async () => {
    const { pipelineRun } = await project.submit();
    await project.tick();
    const { folder } = await backUp();
    expect((await restore(folder)).canceledRuns).toBe(3);
    const copy = await openCopy();
    for (const run of copy.runs.members(pipelineRun.id)) {
      expect(run).toMatchObject({ state: 'canceled', cause: 'user' });
      expect(run.errorMessage).toMatch(/^Canceled: it was open when the backup of .* was made\.$/);
      expect(copy.runs.inspect(run.id).attempts.every((attempt) => attempt.releasedAt !== null)).toBe(true);
    }
    expect(copy.runs.find(pipelineRun.id).run.state).toBe('canceled');
    expect(project.runOf(pipelineRun.id, 'one').state).not.toBe('canceled');
  });

  it('takes the objects from elsewhere where it has none, and only those that are what their name says', async () => {
    await completed();
    const { folder, manifest } = await backUp(false);
    expect(readdirSync(folder)).not.toContain('objects');
    const elsewhere = join(base, 'objects');
    const [first] = manifest.objects;
    mkdirSync(join(elsewhere, first?.key ?? '', '..'), { recursive: true });
    writeFileSync(join(elsewhere, first?.key ?? ''), 'not what the name says');
    const damaged = await restore(folder, { objects: elsewhere });
    expect(damaged.objects).toMatchObject({ restored: 0 });
    expect(damaged.objects.lost.map(({ fault }) => fault)).toEqual(
      manifest.objects.map((_, index) => (index === 0 ? 'damaged' : 'missing')),
    );
    rmSync(join(base, 'copy'), { recursive: true });
    const { objects } = await restore(folder, { objects: project.deps.layout.objects });
    const { length } = manifest.objects;
    expect(objects).toEqual({ needed: length, restored: length, lost: [] });
  });

  it('keeps its state to itself where the config named a place', async () => {
    writeFileSync(
      project.deps.layout.config,
      '# ours\nproject_name: test # named so\nstate_dir: /somewhere/else\nslots: 2\n',
    );
    const { folder } = await backUp();
    await restore(folder);
    expect(readFileSync(join(base, 'copy/goldfish.yaml'), 'utf8')).toBe(
      '# ours\nproject_name: test # named so\nslots: 2\n',
    );
  });
});

describe('a backup', () => {
  it('is listed with its size, newest first; one that was cut short is not, and goes with the next', async () => {
    await completed();
    mkdirSync(join(base, 'backups/20260101T000000Z-dead.unfinished'), { recursive: true });
    mkdirSync(join(base, 'backups/20260101T000000Z-empty'));
    const first = await backUp(false);
    const second = await backUp();
    const listed = await listBackups(join(base, 'backups'));
    expect(listed.map((item) => join(base, 'backups', item.name))).toEqual([second.folder, first.folder]);
    expect(listed.map((item) => item.hasObjects)).toEqual([true, false]);
    expect(readdirSync(join(base, 'backups')).some((name) => name.endsWith('.unfinished'))).toBe(false);
  });

  it('names a stored object that is damaged in it, or missing, by what it was in the project', async () => {
    const one = await completed();
    const { folder, manifest } = await backUp();
    const [object] = manifest.objects;
    const file = join(folder, 'objects', object?.key ?? '');
    chmodSync(file, 0o600);
    writeFileSync(file, 'spoiled');
    const hash = outputsOfRun(project.db, one)[0]?.hash;
    const was = `a of ${one}`;
    expect((await restore(folder)).objects.lost).toEqual([{ hash, fault: 'damaged', was }]);
    rmSync(join(base, 'copy'), { recursive: true });
    rmSync(file);
    expect((await restore(folder)).objects.lost).toEqual([{ hash, fault: 'missing', was }]);
  });

  it('names what the project itself had lost, when it is made and when it is restored', async () => {
    const one = await completed();
    const hash = outputsOfRun(project.db, one)[0]?.hash ?? '';
    expect((await backUp()).missing).toEqual([]);
    await project.deps.storage.delete(objectKey(hash));
    const { folder, missing } = await backUp();
    const was = `a of ${one}`;
    expect(missing).toEqual([{ hash, was }]);
    const { objects } = await restore(folder);
    expect(objects).toEqual({ needed: 1, restored: 0, lost: [{ hash, fault: 'missing', was }] });
  });

  it('is not listed before it has its name, though all of it is there', async () => {
    const { folder } = await backUp();
    renameSync(folder, `${folder}.unfinished`);
    expect(await listBackups(join(base, 'backups'))).toEqual([]);
  });

  it('that is damaged is refused by name of the file, and nothing is made', async () => {
    await completed();
    const { folder } = await backUp();
    writeFileSync(join(folder, 'versions.git/HEAD'), 'ref: refs/heads/other\n');
    await expect(restore(folder)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'The backup is damaged: versions.git/HEAD is not what the manifest says.',
    });
    expect(readdirSync(base)).toEqual(['backups']);
  });

  it('of a newer program is refused with that word, and nothing is made', async () => {
    const { folder, manifest } = await backUp();
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, schema: 3, more: [] }));
    await expect(restore(folder)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'The backup was made by a newer Goldfish (manifest 3; this program knows 2).',
    });
    expect(readdirSync(base)).toEqual(['backups']);
  });

  it('brings nothing that its manifest does not list, and nothing from elsewhere', async () => {
    await completed();
    const { folder, manifest } = await backUp();
    const refused = async (file: string, how: string): Promise<void> => {
      await expect(restore(folder)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: `The backup is damaged: ${file} is ${how}.`,
      });
      expect(readdirSync(base)).toEqual(expect.not.arrayContaining(['copy']));
    };
    const hook = join(folder, 'versions.git/hooks-post-commit');
    writeFileSync(hook, '#!/bin/sh\n', { mode: 0o755 });
    await refused('versions.git/hooks-post-commit', 'not in the manifest');
    rmSync(hook);
    const [head, elsewhere] = [join(folder, 'versions.git/HEAD'), join(base, 'elsewhere')];
    renameSync(head, elsewhere);
    symlinkSync(elsewhere, head);
    await refused('versions.git/HEAD', 'missing');
    rmSync(head);
    renameSync(elsewhere, head);
    const names = [
      '../elsewhere',
      `${folder}/versions.git/HEAD`,
      'versions.git/../versions.git/HEAD',
      '/etc/passwd',
    ];
    const [first] = manifest.files;
    for (const path of names) {
      const files = [{ ...first, path }, ...manifest.files];
      writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, files }));
      await refused(path, 'missing');
    }
  });

  it('is restored to the end by the same call where a kill came before the config', async () => {
    await completed();
    const { folder } = await backUp();
    const first = await restore(folder);
    rmSync(join(base, 'copy/goldfish.yaml'));
    await expect(restore(folder)).rejects.toMatchObject({ code: 'CONFLICT' });
    const manifest = hashJson(await readManifest(folder));
    writeFileSync(join(base, 'copy/.goldfish/restored.json'), JSON.stringify({ manifest, restored: first }));
    expect(await restore(folder)).toEqual(first);
    await openCopy();
    expect(existsSync(join(base, 'copy/.goldfish/restored.json'))).toBe(false);
  });

  it('is never restored over a project', async () => {
    const { folder } = await backUp();
    await restore(folder);
    await expect(restore(folder)).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  it('made while others write, mount and hibernate holds one moment whole', {
    timeout: 300_000,
  }, async () => {
    const { workspaces, layout } = project.deps;
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing; i += 1) {
        project.write('modules/one.py', `print(${i})\n`);
        await workspaces.checkpoint({ slot: 'w1', message: `Edit ${i}` });
      }
    })();
    await workspaces.create({ name: 'moving', goal: 'Come and go' });
    const { slot } = await workspaces.mount({ workspace: 'moving' });
    const ignored = Array.from({ length: 600 }, (_, n) => `${n}.local`).sort();
    writeFileSync(join(layout.slot(slot), '.gitignore'), '*.local\n');
    for (const [n, name] of ignored.entries()) {
      const path = join(layout.slot(slot), name);
      if (n % 3 === 0) writeFileSync(path, name);
      else if (n % 3 === 1) symlinkSync('nowhere', path);
      else mkdirSync(path);
    }
    let moves = 0;
    const mover = (async () => {
      for (; writing; moves += 1) {
        await workspaces.hibernate({ slot, message: 'Enough for now' });
        await workspaces.mount({ workspace: 'moving', slot });
      }
    })();
    try {
      for (let i = 0; i < 3; i += 1) {
        const { folder } = await backUp();
        await restore(folder);
        const copy = await openCopy();
        expect(checkDatabase(copy.db)).toBeNull();
        const { versions } = copy.workspaces.versions({ workspace: 'exp', limit: 100 });
        // Every version of the database is in the version store.
        for (const version of versions) expect(await copy.workspaces.files(version).list()).not.toEqual([]);
        const aside = copy.layout.aside('moving');
        if (existsSync(aside)) expect(readdirSync(aside).sort()).toEqual(ignored);
        await copy.close();
        opened = undefined;
        rmSync(join(base, 'copy'), { recursive: true });
      }
    } finally {
      writing = false;
      await Promise.all([writer, mover]);
    }
    expect(moves).toBeGreaterThan(0);
  });
});
