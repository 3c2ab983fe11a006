import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createGit, type Git } from '../../../src/workspaces/git.ts';
import { slotPaths } from '../../../src/workspaces/slot-scan.ts';
import { makeProject, mountedProject, type Project, textsOf } from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);
const checkpoint = () => project.workspaces.checkpoint({ slot: 'w1', message: 'm' });

describe('a folder replaced by a link', () => {
  it('is saved as the link, whether the files behind it are the old ones or others', async () => {
    for (const isSame of [true, false]) {
      project = await mountedProject();
      project.write('w1/old/deep/a.txt', 'one');
      await checkpoint();
      if (isSame) renameSync(slot('old'), slot('new'));
      else {
        rmSync(slot('old'), { recursive: true });
        mkdirSync(slot('new', 'deep'), { recursive: true });
        writeFileSync(slot('new', 'deep', 'a.txt'), 'other');
      }
      symlinkSync('new', slot('old'));
      expect(await project.workspaces.diff({ target: 'w1' })).toMatchObject({ problems: [] });
      expect(await checkpoint()).toMatchObject({ created: true });
      expect(await project.workspaces.dirty('w1')).toBe(false);
      const paths = Object.keys(await textsOf(project, 'a')).filter((path) => path !== 'old');
      expect(paths).toContain('new/deep/a.txt');
      expect(paths).not.toContain('old/deep/a.txt');
      await project.workspaces.hibernate({ slot: 'w1', message: 'away' });
      await project.workspaces.mount({ workspace: 'a', slot: 'w1' });
      expect(project.read('w1/old/deep/a.txt')).toBe(isSame ? 'one' : 'other');
      if (isSame) project.remove();
    }
  });
});

describe('the live files of a slot', () => {
  it('are those of one moment, though another call saves the slot while they are listed', async () => {
    project = await mountedProject();
    project.write('w1/old.txt', 'one');
    await checkpoint();
    rmSync(slot('old.txt'));
    const real = createGit(project.layout.versionStore, process.env['PATH'] ?? '');
    let saved = false;
    // The index is replaced between two of the questions that a listing asks.
    const git: Git = {
      ...real,
      text: async (args, place) => {
        if (args.includes('--deleted') && !saved) {
          saved = true;
          await checkpoint();
        }
        return real.text(args, place);
      },
    };
    const index = project.layout.slotIndex('w1');
    const paths = await slotPaths({ git, dir: slot(), index, maxFileBytes: 1_000_000 });
    expect(saved).toBe(true);
    expect(paths).not.toContain('old.txt');
  });

  it('are read to an end where one has become a pipe, a socket or a folder', async () => {
    project = await mountedProject();
    for (const name of ['pipe', 'socket', 'folder']) project.write(`w1/${name}`, 'one');
    await checkpoint();
    for (const name of ['pipe', 'socket', 'folder']) rmSync(slot(name));
    execFileSync('mkfifo', [slot('pipe')]);
    const server = createServer().listen(slot('socket'));
    await once(server, 'listening');
    mkdirSync(slot('folder'));
    const files = project.workspaces.slotFiles('w1');
    for (const name of ['pipe', 'socket', 'folder']) expect(await files.read(name), name).toBeNull();
    server.close();
  });
});

describe('a pipe in the place of a file that git reads', () => {
  it.each(['.gitignore', '.gitattributes', 'deep/.gitignore'])('keeps nobody waiting: %s', async (name) => {
    project = await mountedProject();
    project.write('w1/deep/a.txt', 'one');
    await checkpoint();
    project.write('w1/deep/a.txt', 'two');
    execFileSync('mkfifo', [slot(name)]);
    const message = `${name} is a named pipe, not a file`;
    for (const look of [checkpoint, () => project.workspaces.diff({ target: 'w1' })]) {
      const told = await look().then(
        (done) => JSON.stringify(done),
        (error: Error) => error.message,
      );
      expect(told).toContain(message);
    }
    rmSync(slot(name));
    expect(await checkpoint()).toMatchObject({ created: true });
  });
});

describe('an ignore file that is itself ignored', () => {
  it('takes files that were versioned out of the next version', async () => {
    project = await mountedProject();
    project.write('w1/data.csv', '1');
    await checkpoint();
    project.write('w1/.gitignore', '.gitignore\n*.csv\n');
    expect(await project.workspaces.dirty('w1')).toBe(true);
    expect(await checkpoint()).toMatchObject({ created: true });
    expect(Object.keys(await textsOf(project, 'a'))).not.toContain('data.csv');
    expect(project.read('w1/data.csv')).toBe('1');
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });
});

describe('an edit made in the hidden folder of a hibernation that was cut off', () => {
  it('is put aside instead of being deleted, and the mount says so', async () => {
    project = await mountedProject();
    project.write('w1/modules/other.py', 'saved');
    await checkpoint();
    const left = join(project.layout.slots, '.w1.left');
    renameSync(slot(), left);
    mkdirSync(slot());
    writeFileSync(join(left, 'modules', 'train.py'), 'edited behind the back');
    await project.workspaces.recover();
    const aside = join(project.layout.aside('a'), 'modules');
    expect(readdirSync(aside)).toEqual(['train.py']);
    expect(readFileSync(join(aside, 'train.py'), 'utf8')).toBe('edited behind the back');
    expect(await project.workspaces.mount({ workspace: 'a' })).toMatchObject({
      keptAside: ['modules/train.py'],
      dirty: false,
    });
  });
});

describe('a link where a slot has its folder', () => {
  it('is passed over where no slot is asked for', async () => {
    project = makeProject();
    await project.workspaces.create({ name: 'a', goal: 'g' });
    mkdirSync(join(project.root, 'elsewhere'));
    mkdirSync(project.layout.slots, { recursive: true });
    symlinkSync(join(project.root, 'elsewhere'), slot());
    expect(await project.workspaces.mount({ workspace: 'a' })).toMatchObject({ slot: 'w2' });
  });
});
