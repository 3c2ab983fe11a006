import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { errorOf, filesBelow, mountedProject, type Project } from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);
const save = () => errorOf(() => project.workspaces.checkpoint({ slot: 'w1', message: 'm' }));

describe('what no version can hold', () => {
  it('is named all at once, with advice, and neither slot nor versions change', async () => {
    project = await mountedProject({ maxFileBytes: 1000 });
    project.write('w1/big.bin', Buffer.alloc(1001));
    project.write('w1/fits.bin', Buffer.alloc(1000));
    symlinkSync('/etc/passwd', slot('absolute'));
    symlinkSync('../../goldfish.yaml', slot('upward'));
    mkdirSync(slot('vendor', 'lib'), { recursive: true });
    execFileSync('git', ['init', '-q', slot('vendor', 'lib')]);
    project.write('w1/vendor/lib/code.py', 'x');
    execFileSync('mkfifo', [slot('pipe')]);
    const before = await filesBelow(slot());
    for (const attempt of [
      save,
      () => errorOf(() => project.workspaces.hibernate({ slot: 'w1', message: 'm' })),
      () => errorOf(() => project.workspaces.snapshot({ workspace: 'a', message: 'm' })),
      () => errorOf(() => project.workspaces.preview('a')),
    ]) {
      const error = await attempt();
      expect(error.code).toBe('NESTED_REPOSITORY');
      expect(error.message).toBe(
        'Nothing was saved: in w1 vendor/lib is a repository of its own; absolute is a link that leaves the slot; ' +
          'upward is a link that leaves the slot; and 2 more.',
      );
      expect(error.hint).toContain('.gitignore');
      expect(error.details['problems']).toMatchObject([
        { code: 'NESTED_REPOSITORY', path: 'vendor/lib' },
        { code: 'LINK_ESCAPES', path: 'absolute' },
        { code: 'LINK_ESCAPES', path: 'upward' },
        { code: 'FILE_TOO_LARGE', path: 'big.bin', message: 'big.bin has 1001 bytes.' },
        { code: 'NOT_SUPPORTED', path: 'pipe', message: 'pipe is a named pipe, not a file.' },
      ]);
    }
    expect(await filesBelow(slot())).toEqual(before);
    expect(project.workspaces.version('a').version).toBe(1);
    expect(await project.workspaces.dirty('w1')).toBe(true);
  });

  it('is let through where an ignore rule covers it', async () => {
    project = await mountedProject({ maxFileBytes: 1000 });
    project.write('w1/.gitignore', 'big.bin\nvendor/\nout/\n*.sock\npipe\n');
    project.write('w1/big.bin', Buffer.alloc(5000));
    mkdirSync(slot('vendor'));
    execFileSync('git', ['init', '-q', slot('vendor', 'lib')]);
    mkdirSync(slot('out'));
    symlinkSync('/etc', slot('out', 'etc'));
    execFileSync('mkfifo', [slot('pipe'), slot('out', 'inner')]);
    const made = await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    expect(made).toMatchObject({ created: true });
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });

  it('can be put right by the advice: a file that grew too large is taken out by .gitignore', async () => {
    project = await mountedProject({ maxFileBytes: 1000 });
    project.write('w1/data.csv', 'small');
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    project.write('w1/data.csv', Buffer.alloc(2000));
    expect(await save()).toMatchObject({ code: 'FILE_TOO_LARGE' });
    project.write('w1/.gitignore', 'data.csv\n');
    const { version } = await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    expect(await project.workspaces.files(version).list()).not.toContain('data.csv');
  });

  it('includes links that lead out through another link, and repositories hidden in versioned folders', async () => {
    project = await mountedProject();
    mkdirSync(slot('a', 'b'), { recursive: true });
    // Read as text both stay inside; followed, the second leaves, since a/b/self is a/b itself.
    symlinkSync('.', slot('a', 'b', 'self'));
    symlinkSync('a/b/self/self/../../../../outside', slot('sly'));
    expect(await save()).toMatchObject({ code: 'LINK_ESCAPES', details: { total: 1 } });
    rmSync(slot('sly'));
    symlinkSync('loop', slot('loop'));
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    execFileSync('git', ['init', '-q', slot('modules')]);
    expect(await save()).toMatchObject({
      code: 'NESTED_REPOSITORY',
      details: { problems: [{ path: 'modules' }] },
    });
  });

  it('does not include a repository at the root of the slot, which is the own affair of its user', async () => {
    project = await mountedProject();
    execFileSync('git', ['init', '-q', slot()]);
    project.write('w1/f', 'x');
    const { version } = await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    expect(await project.workspaces.files(version).list()).toEqual([
      'f',
      'modules/train.py',
      'pipeline.yaml',
    ]);
    await project.workspaces.hibernate({ slot: 'w1', message: 'm' });
    expect(await project.workspaces.mount({ workspace: 'a' })).toMatchObject({ restored: ['.git/'] });
    expect(execFileSync('git', ['-C', slot(), 'rev-parse', '--git-dir'], { encoding: 'utf8' })).toBe(
      '.git\n',
    );
  });

  it('includes names that are not UTF-8', async () => {
    project = await mountedProject();
    writeFileSync(Buffer.concat([Buffer.from(`${slot()}/`), Buffer.from([0x66, 0xff])]), 'x');
    expect(await save()).toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});

describe('a slot', () => {
  it('that is empty, unknown, or whose folder is gone is refused with the call that helps', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    expect(await errorOf(() => workspaces.checkpoint({ slot: 'w2', message: 'm' }))).toMatchObject({
      code: 'SLOT_EMPTY',
      message: 'No workspace is mounted in w2.',
    });
    expect(await errorOf(() => workspaces.checkpoint({ slot: '../w1', message: 'm' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await errorOf(() => workspaces.checkpoint({ slot: 'a', message: 'm' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: 'The workspace a is mounted in w1.',
    });
    rmSync(slot(), { recursive: true });
    expect(await save()).toMatchObject({ code: 'CONFLICT', fix: { tool: 'mount' } });
    expect(await errorOf(() => workspaces.hibernate({ slot: 'w1', message: 'm' }))).toMatchObject({
      code: 'CONFLICT',
    });
    expect(workspaces.version('a').version).toBe(1);
    expect(await workspaces.mount({ workspace: 'a' })).toMatchObject({ slot: 'w1', dirty: false });
    expect(await filesBelow(slot())).toEqual(['modules/train.py', 'pipeline.yaml']);
  });

  it('tells nothing of where the project lies, nor how versions are kept', async () => {
    project = await mountedProject();
    project.writeState('versions.git/HEAD', 'broken');
    project.write('w1/f', 'x');
    const error = await save();
    expect(error.code).toBe('STORAGE_UNAVAILABLE');
    const seen = JSON.stringify([error.message, error.hint, error.details, error.fix]);
    expect(seen).not.toContain(project.root);
    expect(seen.replaceAll('.goldfish', '')).not.toMatch(/git|fatal/i);
  });
});
