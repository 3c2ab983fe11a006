import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AttackedProject, attackedProject, filesWith, REASON } from './attacked-project.ts';

let project: AttackedProject;
beforeAll(async () => {
  project = await attackedProject('defaults: { backend: process }\nprocess: { sandbox: none }\n');
  await project.must('create_workspace', { name: 'baseline', goal: 'Be there', reason: REASON });
  await project.must('mount', { workspace: 'baseline', reason: REASON });
}, 60_000);
afterAll(() => project?.dispose());

/** What is put where in the slot, and with what code saving it is refused; null: it is saved as the link it is. */
type Trap = { what: string; at: string; plant: (path: string) => void; refused: string | null };

const linkTo =
  (target: () => string) =>
  (path: string): void =>
    symlinkSync(target(), path);
const canary = (): string => join(project.outside, 'canary.txt');
const folder = (): string => join(project.outside, 'folder');
const make =
  (...words: string[]) =>
  (path: string): void =>
    void execFileSync(words[0] ?? '', [...words.slice(1), path]);

const READ_FILES = [
  ...['pipeline.yaml', 'configs/generate.yaml', 'modules/generate.py', 'requirements.txt', 'Dockerfile'],
  ...['.gitignore', '.goldfishignore', '.gitattributes', '.gitmodules', 'README.md', 'pipelines/other.yaml'],
];

function traps(): Trap[] {
  return [
    ...READ_FILES.flatMap((at): Trap[] => [
      { what: 'a link to a file', at, plant: linkTo(canary), refused: 'LINK_ESCAPES' },
      {
        what: 'a link upward',
        at,
        plant: linkTo(() => `${'../'.repeat(9)}etc/passwd`),
        refused: 'LINK_ESCAPES',
      },
      {
        what: 'a dangling link',
        at,
        plant: linkTo(() => join(project.outside, 'new')),
        refused: 'LINK_ESCAPES',
      },
      { what: 'a pipe', at, plant: make('mkfifo'), refused: 'NOT_SUPPORTED' },
    ]),
    ...['configs', 'modules', 'pipelines', 'data'].map((at): Trap => {
      return { what: 'a link to a folder', at, plant: linkTo(folder), refused: 'LINK_ESCAPES' };
    }),
    { what: 'a chain of links', at: 'chain', plant: chain, refused: 'LINK_ESCAPES' },
    { what: 'a loop', at: 'loop', plant: linkTo(() => 'loop'), refused: null },
    { what: 'a socket', at: 'socket', plant: socket, refused: 'NOT_SUPPORTED' },
    { what: 'a repository', at: 'vendor', plant: make('git', 'init', '-q'), refused: 'NESTED_REPOSITORY' },
    { what: 'a link to the environment file', at: '.env', plant: linkTo(canary), refused: null },
    {
      what: 'a link to the state',
      at: 'state',
      plant: linkTo(() => '../../.goldfish'),
      refused: 'LINK_ESCAPES',
    },
    { what: 'a link to another slot', at: 'other', plant: linkTo(() => '../w2'), refused: 'LINK_ESCAPES' },
  ];
}

function chain(path: string): void {
  symlinkSync(folder(), `${path}-end`);
  symlinkSync('chain-end', path);
}

function socket(path: string): void {
  const server = createServer().listen(path);
  server.unref();
}

/** Saves the slot's files, and reads them by every other call that does, or by one of those. */
async function readSlot(only?: number): Promise<{ code: string; complaints: string[] }> {
  const complaints: string[] = [];
  const saved = await project.call('checkpoint', { slot: 'w1', message: 'Save what lies there' });
  const all: [string, object][] = [
    ['run', { workspace: 'baseline', reason: REASON, dry_run: true }],
    ['run', { workspace: 'baseline', reason: REASON, pipeline: 'other', dry_run: true }],
    ['validate', { workspace: 'baseline' }],
    ['diff', { target: 'w1' }],
    ['inspect_workspace', { workspace: 'baseline', include: ['pipeline', 'versions'] }],
    ['status', {}],
  ];
  const calls = all.filter((_, at) => only === undefined || at === only % all.length);
  for (const [tool, args] of calls) {
    const answer = await project.call(tool, args);
    if (answer.isError && answer.error.code === 'INTERNAL') complaints.push(`${tool}: INTERNAL`);
    if (JSON.stringify(answer.structured).includes('root:x:0')) complaints.push(`${tool} shows another file`);
  }
  return { code: saved.isError ? saved.error.code : 'saved', complaints };
}

describe('a file of a slot', () => {
  it('that leads out is neither followed nor saved, wherever Goldfish reads one', {
    timeout: 300_000,
  }, async () => {
    const wrong: string[] = [];
    const all = traps();
    const met = new Set<string>();
    for (const [at, trap] of all.entries()) {
      const [path, kept] = [project.slot(trap.at), join(project.base, 'kept')];
      mkdirSync(join(path, '..'), { recursive: true });
      const wasThere = statSync(path, { throwIfNoEntry: false }) !== undefined;
      if (wasThere) renameSync(path, kept);
      trap.plant(path);
      // Each thing at the first place by every call; elsewhere the calls take turns.
      const { code, complaints } = await readSlot(met.has(trap.what) ? at : undefined);
      met.add(trap.what);
      const outside = await project.watch.complaints();
      const found = [...complaints, ...outside];
      if (code !== (trap.refused ?? 'saved')) found.push(`it was ${code}`);
      wrong.push(...found.map((text) => `${trap.at} as ${trap.what}: ${text}`));
      for (const left of [path, `${path}-end`]) rmSync(left, { recursive: true, force: true });
      if (wasThere) renameSync(kept, path);
    }
    expect(wrong).toEqual([]);
  });

  it('that has a second name outside is the own file of its user, and is replaced, never written through', async () => {
    const elsewhere = join(project.base, 'elsewhere.txt');
    writeFileSync(elsewhere, 'first', { mode: 0o640 });
    linkSync(elsewhere, project.slot('shared.txt'));
    const save = (message: string) => project.must('checkpoint', { slot: 'w1', message });
    await save('With a file of two names');
    const { version } = await save('The same').then((made) => made as { version: string });
    rmSync(project.slot('shared.txt'));
    writeFileSync(project.slot('shared.txt'), 'second');
    await save('With another content');
    rmSync(project.slot('shared.txt'));
    linkSync(elsewhere, project.slot('shared.txt'));
    writeFileSync(elsewhere, 'third, through the other name');
    await project.must('rollback', { slot: 'w1', version, reason: REASON });
    await project.must('hibernate', { slot: 'w1', reason: REASON });
    await project.must('mount', { workspace: 'baseline', reason: REASON });
    const stat = statSync(elsewhere);
    expect({ mode: stat.mode & 0o777, size: stat.size, names: stat.nlink }).toEqual({
      mode: 0o640,
      size: 'third, through the other name'.length,
      names: 1,
    });
  });

  it('is not looked for where the slot itself has become a link', async () => {
    renameSync(project.slot(), join(project.base, 'moved'));
    symlinkSync(folder(), project.slot());
    const calls: [string, object][] = [
      ['checkpoint', { slot: 'w1', message: 'Save what lies there' }],
      ['hibernate', { slot: 'w1', reason: REASON }],
      ['mount', { workspace: 'baseline', reason: REASON }],
      ['rollback', { slot: 'w1', version: 'v1', reason: REASON }],
      ['diff', { target: 'w1' }],
      ['run', { workspace: 'baseline', reason: REASON }],
    ];
    const codes: string[] = [];
    for (const [tool, args] of calls) {
      const { isError, error } = await project.call(tool, args);
      codes.push(isError ? error.code : `${tool} was done`);
    }
    await project.must('status');
    expect(codes).toEqual(['CONFLICT', 'CONFLICT', 'SLOT_OCCUPIED', 'CONFLICT', 'CONFLICT', 'CONFLICT']);
    expect(await project.watch.complaints()).toEqual([]);
    rmSync(project.slot());
    renameSync(join(project.base, 'moved'), project.slot());
    await project.must('checkpoint', { slot: 'w1', message: 'All is back' });
  });

  it('has brought nothing of the outside into the state, or into what was said', () => {
    const skip = (path: string): boolean => path.startsWith(project.outside);
    expect(filesWith(project.base, [project.canary], skip)).toEqual([]);
    expect(project.said()).not.toContain(project.canary);
  });
});

describe('a config', () => {
  it.each([
    ['a tag that would include a file', 'invariants: !include ../outside/canary.txt\n'],
    ['a tag that would make an object', "invariants: !!js/function 'function () {}'\n"],
    ['aliases that multiply', `invariants:\n${bomb()}`],
    ['an unknown key', 'include: ../outside/canary.txt\n'],
    ['a home', 'state_dir: ~/state\n'],
    ['an environment where none is read', 'data_roots: ["$' + '{env:HOME}"]\n'],
    ['an image that is an option', 'docker: { base_image: "--privileged" }\n'],
    ['an image with an option', 'docker: { base_image: "alpine --privileged" }\n'],
    ['an image that is a path', 'docker: { base_image: "../outside/canary.txt" }\n'],
    ['a user that is a name', 'docker: { user: "root" }\n'],
    ['a network of the machine', 'docker: { network: host }\n'],
    ['slots that are paths', 'slots: ["../outside"]\n'],
  ])('with %s is refused with its line, and opens nothing', async (_, text) => {
    project.write('goldfish.yaml', `project_name: attacked\n${text}`);
    const { code, err } = await project.command('validate');
    expect({ code, err: err.length < 4_000 }).toEqual({ code: 1, err: true });
    const refused = await project.call('reload_config');
    expect(refused.error).toMatchObject({ code: 'INVALID_CONFIG' });
    expect(JSON.stringify(refused.error.details)).toMatch(/"line":\d/);
    expect(await project.watch.complaints()).toEqual([]);
  });
});

/** 10^9 texts, if anybody wrote them out. */
function bomb(): string {
  const lines = ['  - &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let n = 1; n < 9; n += 1) {
    const before = `*a${n - 1}`;
    lines.push(`  - &a${n} [${Array.from({ length: 10 }, () => before).join(', ')}]`);
  }
  return `${lines.join('\n')}\n`;
}
