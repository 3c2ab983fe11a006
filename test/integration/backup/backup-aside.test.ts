import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBackup } from '../../../src/backup/create-backup.ts';
import { listBackups } from '../../../src/backup/list-backups.ts';
import { restoreBackup } from '../../../src/backup/restore-backup.ts';
import { openContext, type ServerContext } from '../../../src/context.ts';
import { withLock } from '../../../src/store/lock.ts';
import { claimSlot, markMounted, releaseSlot } from '../../../src/store/workspaces.ts';
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

const backUp = (deps = project.deps) =>
  createBackup({ ...deps, projectName: 'test' }, { into: join(base, 'backups'), withObjects: true });
const restore = (backup: string) => restoreBackup(project.deps, { backup, into: join(base, 'copy') });

async function openCopy(): Promise<ServerContext> {
  opened = await openContext({ root: join(base, 'copy') });
  return opened;
}

/** Of the slot w1: what is ignored and no file. */
async function hibernateWithLinks(): Promise<void> {
  project.write('.gitignore', 'data\nempty/\n');
  symlinkSync('/mnt/elsewhere/data', join(project.root, 'workspaces/w1/data'));
  mkdirSync(join(project.root, 'workspaces/w1/empty/inner'), { recursive: true });
  chmodSync(join(project.root, 'workspaces/w1/empty'), 0o750);
  await project.deps.workspaces.hibernate({ slot: 'w1', message: 'Enough for now' });
}

async function expectLinksBack(): Promise<void> {
  const copy = await openCopy();
  const { slot } = await copy.workspaces.mount({ workspace: 'exp' });
  const there = (path: string): string => join(base, 'copy/workspaces', slot, path);
  expect(readlinkSync(there('data'))).toBe('/mnt/elsewhere/data');
  expect(readdirSync(there('empty'))).toEqual(['inner']);
  expect(statSync(there('empty')).mode & 0o777).toBe(0o750);
}

describe('ignored files of a hibernated workspace', () => {
  const refused = async (folder: string, file: string, how: string): Promise<void> => {
    await expect(restore(folder)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: `The backup is damaged: ${file} is ${how}.`,
    });
    expect(readdirSync(base)).toEqual(expect.not.arrayContaining(['copy']));
  };

  it('are in a backup of it, and come back at the next mount of the copy', async () => {
    project.write('.gitignore', 'local/\n');
    project.write('local/notes.txt', 'nowhere else');
    await project.deps.workspaces.hibernate({ slot: 'w1', message: 'Enough for now' });
    const { folder } = await backUp();
    await restore(folder);
    const copy = await openCopy();
    const { slot } = await copy.workspaces.mount({ workspace: 'exp' });
    const file = join(base, 'copy/workspaces', slot, 'local/notes.txt');
    expect(readFileSync(file, 'utf8')).toBe('nowhere else');
  });

  it('come back where they are only links and empty folders, each as it was', async () => {
    await hibernateWithLinks();
    const { folder, manifest } = await backUp();
    expect(manifest.links).toEqual([{ path: 'aside/exp/data', target: '/mnt/elsewhere/data' }]);
    expect(manifest.folders.map(({ path }) => path)).toEqual([
      'aside/exp',
      'aside/exp/empty',
      'aside/exp/empty/inner',
    ]);
    await restore(folder);
    await expectLinksBack();
  });

  it('come back from a backup of the first form, which listed only files', async () => {
    await hibernateWithLinks();
    const { folder, manifest } = await backUp();
    const { links: _links, folders: _folders, ...rest } = manifest;
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...rest, schema: 1 }));
    expect((await listBackups(join(base, 'backups'))).length).toBe(1);
    await restore(folder);
    await expectLinksBack();
  });

  it('come back as the manifest lists them, and nothing beside them', async () => {
    await hibernateWithLinks();
    const { folder, manifest } = await backUp();
    const aside = (path: string): string => join(folder, 'aside/exp', path);
    writeFileSync(aside('empty/stray'), 'not listed');
    await refused(folder, 'aside/exp/empty/stray', 'not in the manifest');
    rmSync(aside('empty/stray'));
    symlinkSync('/etc', aside('stray'));
    await refused(folder, 'aside/exp/stray', 'not in the manifest');
    rmSync(aside('stray'));
    rmSync(aside('data'));
    await refused(folder, 'aside/exp/data', 'missing');
    symlinkSync('/mnt/other', aside('data'));
    await refused(folder, 'aside/exp/data', 'not what the manifest says');
    rmSync(aside('data'));
    symlinkSync('/mnt/elsewhere/data', aside('data'));
    renameSync(aside('empty'), join(base, 'elsewhere'));
    symlinkSync(join(base, 'elsewhere'), aside('empty'));
    await refused(folder, 'aside/exp/empty', 'missing');
    rmSync(aside('empty'));
    renameSync(join(base, 'elsewhere'), aside('empty'));
    for (const path of ['aside/exp/empty/../data', 'aside/../aside/exp/data']) {
      const links = [{ path, target: '/mnt/elsewhere/data' }, ...manifest.links];
      writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, links }));
      await refused(folder, path, 'missing');
    }
    const links = [{ path: 'versions.git/objects/info', target: '/tmp' }, ...manifest.links];
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, links }));
    await expect(restore(folder)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    mkdirSync(aside('stray'));
    await restore(folder);
    expect(readdirSync(join(base, 'copy/.goldfish/aside/exp')).sort()).toEqual(['data', 'empty']);
    await expectLinksBack();
  });

  it.each([
    ['a mount takes them back', []],
    ['a hibernation puts them aside', ['aside/exp/a.local', 'aside/exp/b.local']],
  ] as const)('are all in a backup or none where %s meanwhile', async (what, files) => {
    project.write('.gitignore', '*.local\n');
    project.write('a.local', 'a');
    project.write('b.local', 'b');
    const { db, clock, layout, workspaces } = project.deps;
    await workspaces.hibernate({ slot: 'w1', message: 'Enough for now' });
    const [aside, slot] = [layout.aside('exp'), layout.slot('w1')];
    const isMount = what.startsWith('a mount');
    claimSlot(db, 'w1', 'exp');
    const { made } = await withLock(layout.slotLock('w1'), { clock, what: 'w1' }, async () => {
      renameSync(join(aside, 'a.local'), join(slot, 'a.local'));
      const asked = Promise.withResolvers<void>();
      const slotLock = (name: string): string => {
        asked.resolve();
        return layout.slotLock(name);
      };
      const made = backUp({ ...project.deps, layout: { ...layout, slotLock } });
      // Who does not ask for the slot is done with a half.
      await Promise.race([asked.promise, made]);
      if (isMount) {
        renameSync(join(aside, 'b.local'), join(slot, 'b.local'));
        markMounted(db, 'w1', '2026-01-01T00:00:00.000Z');
      } else {
        renameSync(join(slot, 'a.local'), join(aside, 'a.local'));
        releaseSlot(db, 'w1');
      }
      return { made };
    });
    const listed = (await made).manifest.files.map(({ path }) => path);
    expect(listed.filter((path) => path.startsWith('aside/'))).toEqual(files);
  });
});
