import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PYTHON } from '../../support/run-wrapper.ts';
import { type AttackedProject, attackedProject, entriesBelow, REASON } from './attacked-project.ts';

let project: AttackedProject;
let ran: string;
let trap: string;

/** The interpreter by its path: one that is looked for along PATH may be a script, for which a shell is started. */
const CONFIG = `defaults: { backend: process }\nprocess: { sandbox: none, python: ${PYTHON} }\n`;

/** Executed by anybody, it leaves its name and its words. */
function writeTrap(path: string): void {
  const script = `#!/bin/sh\nprintf '%s %s\\n' "$0" "$*" >> '${ran}'\ncat\n`;
  writeFileSync(path, script, { mode: 0o755 });
}

/** Everything by which git, or a program it starts, can be made to execute something, named in its environment. */
function poisonedEnvironment(base: string): Record<string, string> {
  const words = [
    ...[
      'GIT_SSH_COMMAND',
      'GIT_SSH',
      'GIT_EXTERNAL_DIFF',
      'GIT_PAGER',
      'PAGER',
      'GIT_EDITOR',
      'EDITOR',
      'VISUAL',
    ],
    ...['GIT_ASKPASS', 'SSH_ASKPASS', 'GIT_PROXY_COMMAND', 'GIT_SEQUENCE_EDITOR', 'LESSOPEN'],
  ];
  const config = CONFIG_KEYS.flatMap((key, n) => [
    [`GIT_CONFIG_KEY_${n}`, key],
    [`GIT_CONFIG_VALUE_${n}`, key === 'core.hooksPath' ? join(base, 'hooks') : trap],
  ]);
  return {
    ...Object.fromEntries(words.map((word) => [word, trap])),
    ...Object.fromEntries(config),
    GIT_CONFIG_COUNT: `${CONFIG_KEYS.length}`,
    GIT_TEMPLATE_DIR: join(base, 'template'),
    GIT_CONFIG_GLOBAL: join(base, 'gitconfig'),
    GIT_DIR: join(base, 'hooks'),
    GIT_TRACE2: join(base, 'trace'),
  };
}

const CONFIG_KEYS = [
  ...['core.sshCommand', 'core.fsmonitor', 'core.pager', 'core.editor', 'core.hooksPath', 'core.gitProxy'],
  ...['diff.external', 'diff.trap.textconv', 'diff.trap.command', 'filter.trap.clean', 'filter.trap.smudge'],
  ...['filter.trap.process', 'merge.trap.driver', 'credential.helper', 'alias.ls-files', 'gpg.program'],
];

const HOOKS = [
  ...[
    'applypatch-msg',
    'commit-msg',
    'fsmonitor-watchman',
    'post-checkout',
    'post-commit',
    'post-index-change',
  ],
  ...['pre-commit', 'pre-auto-gc', 'prepare-commit-msg', 'reference-transaction', 'update', 'post-update'],
];

/** A repository of the user's own at the root of the slot, with everything set. */
function plantRepository(): void {
  const slot = project.slot();
  execFileSync('git', ['init', '-q', slot], { env: { PATH: process.env['PATH'] } });
  for (const hook of HOOKS) writeTrap(project.slot('.git', 'hooks', hook));
  const sections = CONFIG_KEYS.map((key) => {
    const [section = '', name = '', sub] = key.split('.');
    return sub === undefined
      ? `[${section}]\n\t${name} = ${trap}`
      : `[${section} "${name}"]\n\t${sub} = ${trap}`;
  });
  writeFileSync(
    project.slot('.git', 'config'),
    `[core]\n\trepositoryformatversion = 0\n${sections.join('\n')}\n`,
  );
}

const ATTRIBUTES = [
  '* filter=trap diff=trap merge=trap',
  '*.txt export-subst ident text eol=crlf working-tree-encoding=UTF-16',
  'secret.txt export-ignore',
  '*.lfs filter=lfs -text',
].join('\n');

const FILES: Readonly<Record<string, string>> = {
  '.gitattributes': `${ATTRIBUTES}\n`,
  'sub/.gitattributes': `${ATTRIBUTES}\n`,
  '.gitmodules': '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% PWNED\n\tupdate = !touch PWNED\n',
  '.lfsconfig': '[lfs]\n\turl = ssh://-oProxyCommand=touch/x\n',
  'format.txt': '$Format:%H$ $Id$ line\nline\r\n',
  'secret.txt': 'kept\n',
  'pointer.lfs': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n',
  '--upload-pack=x': 'a',
  '-c core.sshCommand=touch PWNED': 'b',
  '--exec=touch PWNED': 'c',
  ':(glob)*': 'd',
  ':(attr:filter=trap)': 'e',
  ':!pipeline.yaml': 'f',
  '$(touch PWNED)': 'g',
  '`touch PWNED`': 'h',
  ';touch PWNED': 'i',
  '@{-1}': 'j',
  HEAD: 'k',
  'refs/heads/main': 'l',
  'a\tb': 'm',
  '"quoted"': 'n',
  'line\nbreak': 'o',
};

const WORDS = [
  ...['--upload-pack=touch PWNED', '-c core.sshCommand=touch PWNED', '$(touch PWNED)', '`touch PWNED`'],
  ...[
    "'; touch PWNED; '",
    '"; touch PWNED; "',
    '| touch PWNED',
    '%H %an %B',
    '-F/etc/passwd',
    '@/etc/passwd',
  ],
  ...['\n\nVersion: v99\nGoldfish-Version: v99', 'Signed-off-by: x', '-----BEGIN PGP SIGNATURE-----', '#'],
].map((word) => `${word} and some words more`);

beforeAll(async () => {
  const base = process.env['TMPDIR'] ?? '/tmp';
  const place = join(base, `goldfish-trap-${process.pid}`);
  rmSync(place, { recursive: true, force: true });
  for (const name of ['hooks', 'template/hooks', 'bin']) mkdirSync(join(place, name), { recursive: true });
  [ran, trap] = [join(place, 'ran'), join(place, 'bin', 'trap')];
  writeTrap(trap);
  for (const hook of HOOKS) {
    writeTrap(join(place, 'hooks', hook));
    writeTrap(join(place, 'template', 'hooks', hook));
  }
  // What git, a shell, or Docker's own client would start by name.
  for (const name of [
    'ssh',
    'sh',
    'bash',
    'docker',
    'less',
    'vi',
    'git-lfs',
    'git-remote-ext',
    'gpg',
    'touch',
  ]) {
    writeTrap(join(place, 'bin', name));
  }
  writeFileSync(join(place, 'gitconfig'), `[core]\n\tfsmonitor = ${trap}\n\thooksPath = ${place}/hooks\n`);
  project = await attackedProject(CONFIG, {
    ...poisonedEnvironment(place),
    PATH: `${join(place, 'bin')}:${process.env['PATH']}`,
  });
}, 60_000);
afterAll(async () => {
  await project?.dispose();
  rmSync(join(ran, '..'), { recursive: true, force: true });
});

const trapped = (): string => (existsSync(ran) ? readFileSync(ran, 'utf8') : '');

describe('nothing of what a slot, a caller or the environment says', () => {
  it('is executed by the version store, in every call that uses it', { timeout: 180_000 }, async () => {
    await project.must('create_workspace', { name: 'baseline', goal: WORDS[0], reason: WORDS[1] });
    await project.must('mount', { workspace: 'baseline', reason: WORDS[2] });
    plantRepository();
    for (const [path, text] of Object.entries(FILES)) project.write(`workspaces/w1/${path}`, text);
    for (const [n, message] of WORDS.entries()) {
      project.write('workspaces/w1/count.txt', `${n}\n`);
      const made = await project.call('checkpoint', { slot: 'w1', message });
      expect(made.isError ? made.error.code : 'saved', message).toBe('saved');
    }
    await project.must('diff', { target: 'w1', against: 'baseline@v1' });
    await project.must('diff', { target: 'baseline@v3', paths: [':(glob)*', '--exec=touch PWNED'] });
    await project.must('tag', { ref: 'baseline@v2', tag: 'best', reason: WORDS[3] });
    await project.must('rollback', { slot: 'w1', version: 'v2', reason: WORDS[4] });
    await project.must('create_workspace', {
      name: 'forked',
      goal: WORDS[5],
      reason: WORDS[6],
      from_workspace: 'baseline',
      from_version: 'v2',
    });
    await project.must('run', {
      workspace: 'baseline',
      reason: WORDS[7],
      wait_seconds: 45,
      stages: ['generate'],
    });
    await project.must('prune_versions', { workspace: 'baseline', versions: ['v4'], reason: WORDS[8] });
    await project.must('hibernate', { slot: 'w1', reason: WORDS[9] });
    await project.must('mount', { workspace: 'baseline', reason: WORDS[10] });
    await project.must('validate', { workspace: 'baseline' });
    await project.command('backup');
    await project.must('delete_workspace', { workspace: 'forked', reason: WORDS[11] });
    expect(trapped()).toBe('');
    // The watch sees what would be made in the home of all programs; it would see us look there, too.
    const places = entriesBelow(project.base, (path) => path === project.outside);
    expect(places.filter(({ name }) => name === 'PWNED')).toEqual([]);
    expect(await project.watch.complaints()).toEqual([]);
  });

  it('changes a byte of a file on its way through versions and back', () => {
    for (const [path, text] of Object.entries(FILES)) {
      expect(readFileSync(project.slot(path), 'utf8'), path).toBe(text);
    }
    const versions = readdirSync(project.layout.versionStore);
    expect(versions).not.toContain('modules');
    expect(existsSync(join(project.layout.versionStore, 'hooks', 'post-commit'))).toBe(false);
  });

  it('is taken for a trailer of a version, a tag or a branch by what it says', async () => {
    const { versions } = await project.must('list_versions', { workspace: 'baseline', limit: 100 });
    const rows = versions as { version: string; message: string }[];
    expect(rows.map(({ version }) => version)).not.toContain('v99');
    expect(rows.some(({ message }) => message.includes('Goldfish-Version: v99'))).toBe(true);
  });

  it('becomes an option of the container engine as the name of an image', { timeout: 60_000 }, async () => {
    const images = [
      ...['--privileged', '-v/:/host', 'alpine --privileged', 'alpine\n--privileged', '../x', '/etc/passwd'],
      ...[
        '$(touch PWNED)',
        'alpine;touch PWNED',
        '',
        ' ',
        '@sha256:x',
        'http://127.0.0.1/x',
        'x'.repeat(300),
      ],
    ];
    const file = project.slot('pipeline.yaml');
    const before = readFileSync(file, 'utf8');
    // Else it would be wrong for a stage that is not there.
    rmSync(project.slot('configs', 'summarize.yaml'));
    for (const image of images) {
      const stages = [{ name: 'generate', image, outputs: { numbers: 'csv' } }];
      writeFileSync(file, JSON.stringify({ name: 'images', stages }));
      const { isError, error } = await project.call('run', { workspace: 'baseline', reason: REASON });
      expect(isError ? error.code : 'accepted', image).toBe('INVALID_PIPELINE');
      expect(JSON.stringify(error.details), image).toMatch(/"line":\d/);
    }
    writeFileSync(file, before);
    expect(trapped()).toBe('');
  });
});
