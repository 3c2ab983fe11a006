import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
  textsOf,
} from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  vi.unstubAllEnvs();
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);

/** Saves w1, empties it, and mounts it again. */
async function thereAndBack(): Promise<void> {
  await project.workspaces.hibernate({ slot: 'w1', message: 'away' });
  await project.workspaces.mount({ workspace: 'a', slot: 'w1' });
}

async function bytesOf(path: string): Promise<Buffer> {
  const files = project.workspaces.files(project.workspaces.version('a'));
  return Buffer.from((await files.bytes(path)) ?? 'none');
}

describe('exact content', () => {
  it('comes back byte for byte, whatever .gitattributes of the slot say', async () => {
    project = await mountedProject();
    const bytes = {
      'crlf.txt': Buffer.from('a\r\nb\r\n'),
      'mixed.txt': Buffer.from('a\r\nb\nc\r'),
      'ident.py': Buffer.from('# $Id$ $Id: 0123 $\n'),
      'utf16.txt': Buffer.from('\uFEFFtext\r\n', 'utf16le'),
      'binary.dat': Buffer.from([0, 255, 13, 10, 254, 0, 10]),
      'empty.txt': Buffer.alloc(0),
      'no-newline': Buffer.from('x'),
    };
    project.write(
      'w1/.gitattributes',
      [
        '* text=auto eol=lf ident filter=evil',
        '*.txt text eol=crlf',
        'utf16.txt working-tree-encoding=UTF-16LE',
        'binary.dat text crlf',
        '',
      ].join('\n'),
    );
    project.write('w1/sub/.gitattributes', '* text eol=lf\n');
    for (const [name, content] of Object.entries(bytes)) project.write(`w1/${name}`, content);
    project.write('w1/sub/crlf.txt', bytes['crlf.txt']);
    await thereAndBack();
    const checkout = await project.workspaces.checkout(project.workspaces.version('a'));
    for (const [name, content] of Object.entries({ ...bytes, 'sub/crlf.txt': bytes['crlf.txt'] })) {
      expect(readFileSync(slot(name)), name).toEqual(content);
      expect(readFileSync(join(checkout, name)), name).toEqual(content);
      expect(await bytesOf(name), name).toEqual(content);
    }
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });

  it('is not touched by configuration, hooks, attributes and ignore files of the user or the environment', async () => {
    const home = mkdtempSync(join(tmpdir(), 'goldfish-home-'));
    const proof = join(home, 'a hook ran');
    const hook = `#!/bin/sh\ntouch '${proof}'\n`;
    mkdirSync(join(home, 'hooks'));
    mkdirSync(join(home, '.config', 'git'), { recursive: true });
    for (const name of ['pre-commit', 'post-checkout', 'post-index-change', 'reference-transaction']) {
      writeFileSync(join(home, 'hooks', name), hook, { mode: 0o755 });
    }
    writeFileSync(join(home, 'monitor'), hook, { mode: 0o755 });
    writeFileSync(join(home, '.config', 'git', 'ignore'), '*\n');
    writeFileSync(join(home, '.config', 'git', 'attributes'), '* text eol=crlf\n');
    writeFileSync(
      join(home, '.gitconfig'),
      [
        `[core]\n hooksPath = ${home}/hooks\n fsmonitor = ${home}/monitor\n autocrlf = true\n fileMode = false`,
        ` excludesFile = ${home}/.config/git/ignore\n worktree = /`,
        `[commit]\n gpgSign = true\n[user]\n useConfigOnly = true\n[init]\n templateDir = ${home}`,
        `[filter "evil"]\n clean = touch '${proof}'\n smudge = touch '${proof}'\n required = true\n`,
      ].join('\n'),
    );
    vi.stubEnv('HOME', home);
    vi.stubEnv('XDG_CONFIG_HOME', join(home, '.config'));
    vi.stubEnv('GIT_CONFIG_GLOBAL', join(home, '.gitconfig'));
    vi.stubEnv('GIT_DIR', join(home, 'elsewhere'));
    vi.stubEnv('GIT_INDEX_FILE', join(home, 'index'));
    vi.stubEnv('GIT_EXTERNAL_DIFF', join(home, 'monitor'));
    project = await mountedProject();
    project.write('w1/.gitattributes', '* filter=evil\n');
    project.write('w1/crlf.txt', 'a\r\n');
    project.write('w1/run.sh', '#!/bin/sh\n', 0o755);
    await thereAndBack();
    expect(await project.workspaces.diff({ target: 'a' })).toMatchObject({ totals: { files: 3 } });
    expect(readFileSync(slot('crlf.txt'), 'utf8')).toBe('a\r\n');
    expect(lstatSync(slot('run.sh')).mode & 0o111).not.toBe(0);
    expect(existsSync(proof)).toBe(false);
    rmSync(home, { recursive: true });
  });

  it('keeps names of any kind: unicode in both forms, spaces, options, patterns, newlines, backslashes', async () => {
    project = await mountedProject();
    const names = [
      'ünïcödé.txt',
      'e\u0301 decomposed',
      '\u00e9 composed',
      ' leading and trailing ',
      '-rf',
      '--help',
      ':(glob)*',
      '[x]*?.py',
      'new\nline',
      'tab\there',
      '"quoted"',
      'back\\slash',
      '日本/語.txt',
      '🐟',
      'git~1',
      'CON',
      '#hash',
      '!bang',
      'x'.repeat(200),
    ];
    for (const name of names) project.write(`w1/${name}`, `content of ${name}`);
    await thereAndBack();
    const texts = await textsOf(project, 'a');
    for (const name of names) {
      expect(texts[name], name).toBe(`content of ${name}`);
      expect(readFileSync(slot(name), 'utf8'), name).toBe(`content of ${name}`);
    }
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });

  it('keeps the executable bit, links that stay inside, and empty folders', async () => {
    project = await mountedProject();
    project.write('w1/run.sh', '#!/bin/sh\n', 0o755);
    project.write('w1/data/real.csv', 'x');
    symlinkSync('data/real.csv', slot('link.csv'));
    symlinkSync('../data', slot('modules', 'data'));
    symlinkSync('not there yet', slot('dangling'));
    mkdirSync(slot('outputs', 'deep'), { recursive: true });
    mkdirSync(slot('modules', 'empty'), { recursive: true });
    await thereAndBack();
    expect(lstatSync(slot('run.sh')).mode & 0o777).toBe(0o755);
    expect(readlinkSync(slot('link.csv'))).toBe('data/real.csv');
    expect(readlinkSync(slot('modules', 'data'))).toBe('../data');
    expect(readlinkSync(slot('dangling'))).toBe('not there yet');
    expect(lstatSync(slot('outputs', 'deep')).isDirectory()).toBe(true);
    expect(lstatSync(slot('modules', 'empty')).isDirectory()).toBe(true);
    expect(await project.workspaces.dirty('w1')).toBe(false);
    const files = project.workspaces.files(project.workspaces.version('a'));
    expect(await files.read('link.csv')).toBe('x');
    expect(await files.read('modules/data/real.csv')).toBe('x');
    expect(await files.read('dangling')).toBeNull();
    for (const path of ['../a', '/etc/passwd', '', 'modules', 'no such']) {
      expect(await files.read(path), path).toBeNull();
    }
  });

  it('counts an empty folder that comes or goes, or fills up with ignored files only', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const save = () => workspaces.checkpoint({ slot: 'w1', message: 'm' });
    project.write('w1/.gitignore', '*.log\n__pycache__/\n');
    mkdirSync(slot('logs'));
    expect(await save()).toMatchObject({ created: true });
    project.write('w1/logs/a.log', 'x');
    project.write('w1/modules/__pycache__/train.pyc', 'x');
    expect(await workspaces.dirty('w1')).toBe(false);
    expect(await save()).toMatchObject({ created: false });
    rmSync(slot('logs'), { recursive: true });
    expect(await workspaces.dirty('w1')).toBe(true);
    expect(await save()).toMatchObject({ created: true, version: { version: 3 } });
    mkdirSync(slot('logs', 'sub'), { recursive: true });
    expect(await workspaces.dirty('w1')).toBe(true);
    expect(await save()).toMatchObject({ created: true, version: { version: 4 } });
    expect(project.git('fsck', '--strict')).toBe('');
  });

  it('follows a change of mode alone', async () => {
    project = await mountedProject();
    chmodSync(slot('modules', 'train.py'), 0o755);
    expect(await project.workspaces.dirty('w1')).toBe(true);
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    const entries = await project.workspaces.files(project.workspaces.version('a')).entries();
    expect(entries.find(({ path }) => path === 'modules/train.py')?.mode).toBe('100755');
  });
});

describe('ignore rules', () => {
  it('are git rules with paths, negation and nesting, then .goldfishignore over them', async () => {
    project = await mountedProject();
    project.write('w1/.gitignore', '/data/*\n!/data/keep.csv\n**/cache/\n*.tmp\n*.big\n');
    project.write('w1/sub/.gitignore', 'local.txt\n');
    project.write('w1/.goldfishignore', '# comment\n\n!kept.big\n/models/*.pt \r\nwith space.txt\n');
    const kept = [
      '.gitignore',
      '.goldfishignore',
      'data/keep.csv',
      'kept.big',
      'local.txt',
      'models/notes.md',
      'other/data/x.csv',
      'sub/.gitignore',
      'sub/data/y.csv',
    ];
    const ignored = [
      'data/other.csv',
      'deep/cache/x',
      'cache/x',
      'x.tmp',
      'other.big',
      'sub/local.txt',
      'models/a.pt',
      'with space.txt',
      '.env',
      'sub/.env',
      '.goldfish/state',
      'STATE.md',
    ];
    for (const path of [...kept, ...ignored]) {
      if (!path.endsWith('ignore')) project.write(`w1/${path}`, path);
    }
    project.write('w1/docs/STATE.md', 'not the journal');
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    const listed = Object.keys(await textsOf(project, 'a'));
    expect(listed.sort()).toEqual([...kept, 'docs/STATE.md', 'modules/train.py', 'pipeline.yaml'].sort());
    expect((await project.workspaces.slotFiles('w1').list()).sort()).toEqual(listed);
    expect(await project.workspaces.slotFiles('w1').read('data/other.csv')).toBeNull();
  });

  it('cannot be made to version secrets or private state', async () => {
    project = await mountedProject();
    project.write('w1/.gitignore', '!.env\n!STATE.md\n!.goldfish\n');
    project.write('w1/.goldfishignore', '!.env\n!/STATE.md\n!.goldfish\n');
    for (const path of ['.env', 'sub/.env', 'STATE.md', '.goldfish/x']) project.write(`w1/${path}`, 'secret');
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    expect(Object.keys(await textsOf(project, 'a'))).toEqual([
      '.gitignore',
      '.goldfishignore',
      'modules/train.py',
      'pipeline.yaml',
    ]);
  });

  it('added later take files out of the next version and leave them in the slot', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/data/big.csv', 'x');
    project.write('w1/data/sub/other.csv', 'y');
    await workspaces.checkpoint({ slot: 'w1', message: 'with data' });
    project.write('w1/.gitignore', 'data/\n');
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'without' })).toMatchObject({ created: true });
    expect(Object.keys(await textsOf(project, 'a'))).toEqual([
      '.gitignore',
      'modules/train.py',
      'pipeline.yaml',
    ]);
    expect(project.read('w1/data/big.csv')).toBe('x');
    expect(await workspaces.dirty('w1')).toBe(false);
    expect(await workspaces.checkpoint({ slot: 'w1', message: 'same' })).toMatchObject({ created: false });
    const left = await workspaces.hibernate({ slot: 'w1', message: 'away' });
    expect(left).toMatchObject({ created: false, aside: ['data/'] });
    const back = await workspaces.mount({ workspace: 'a' });
    expect(back).toMatchObject({ restored: ['data/'], keptAside: [], dirty: false });
    expect(await filesBelow(slot())).toContain('data/sub/other.csv');
  });
});

describe('the template', () => {
  it('goes through the ignore rules it brings', async () => {
    project = makeProject();
    const template = join(project.root, 'template');
    writeFileSync(join(template, '.goldfishignore'), '__pycache__/\n');
    mkdirSync(join(template, 'modules', '__pycache__'));
    writeFileSync(join(template, 'modules', '__pycache__', 'x.pyc'), '');
    await project.workspaces.create({ name: 'a', goal: 'g' });
    expect(Object.keys(await textsOf(project, 'a'))).toEqual([
      '.goldfishignore',
      'modules/train.py',
      'pipeline.yaml',
    ]);
  });
});
