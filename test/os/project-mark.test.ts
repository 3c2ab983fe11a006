import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markProblem, projectMark } from '../../src/os/project-mark.ts';

const STRAYED = {
  code: 'CONFLICT',
  message:
    'The state folder is not the one from which machines were rented: it was copied, restored or moved to another disk. They may be another project’s now, and are left alone.',
  hint: 'If this is a copy, remove the file "project-mark" from the state folder: what was rented stays with the first one. If the first one is no more, remove the second line of that file, and the machines are this project’s again.',
};

let home: string;
let stateDir: string;
/** What the rows of the project say. */
let machines: number;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'goldfish-mark-'));
  stateDir = join(home, 'state');
  mkdirSync(stateDir);
  machines = 0;
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const options = { hasMachines: () => machines > 0 };
const mark = (of = stateDir): Promise<string> => projectMark({ stateDir: of }, options);
const problem = (of = stateDir): Promise<unknown> => markProblem({ stateDir: of }, options);
const text = (of = stateDir): string => readFileSync(join(of, 'project-mark'), 'utf8');

/** As `cp -a` does it. */
function copy(): string {
  const to = join(home, 'copy');
  cpSync(stateDir, to, { recursive: true, preserveTimestamps: true });
  return to;
}

it('is made once, whoever asks first, and stays', async () => {
  const marks = await Promise.all(Array.from({ length: 8 }, () => mark()));
  expect(new Set(marks).size).toBe(1);
  expect(marks[0]).toMatch(/^gf-[0-9a-f]{16}$/);
  expect(await mark()).toBe(marks[0]);
  expect(await problem()).toBeNull();
  expect(readdirSync(stateDir)).toEqual(['project-mark']);
});

it('is never replaced where it is damaged', async () => {
  writeFileSync(join(stateDir, 'project-mark'), 'gf-');
  const damaged = {
    code: 'CONFLICT',
    message:
      'The file "project-mark" of the state folder is damaged: it tells this project\'s machines from those of others.',
    hint: 'Put its content back; where no machine is rented, remove it.',
  };
  await expect(mark()).rejects.toMatchObject(damaged);
  expect(await problem()).toMatchObject(damaged);
});

it('that was written without a place is kept, and is that of this place from then on', async () => {
  writeFileSync(join(stateDir, 'project-mark'), 'gf-0123456789abcdef');
  machines = 1;
  expect(await mark()).toBe('gf-0123456789abcdef');
  const copied = copy();
  await expect(mark(copied)).rejects.toMatchObject(STRAYED);
});

describe('a state folder that is moved', () => {
  it('keeps its mark, as often as it moves, and so finds its machines', async () => {
    const first = await mark();
    machines = 2;
    for (const name of ['b', 'c']) {
      const before = stateDir;
      stateDir = join(home, name);
      renameSync(before, stateDir);
      expect(await problem()).toBeNull();
      expect(await mark()).toBe(first);
      expect(text()).toContain(stateDir);
    }
  });
});

describe('a copy of a state folder', () => {
  it('takes a mark of its own, the same for all who ask, and the first one keeps its own', async () => {
    const first = await mark();
    const copied = copy();
    expect(await problem(copied)).toBeNull();
    const marks = await Promise.all(Array.from({ length: 8 }, () => mark(copied)));
    expect(new Set(marks).size).toBe(1);
    expect(marks[0]).toMatch(/^gf-[0-9a-f]{16}$/);
    expect(marks[0]).not.toBe(first);
    expect([await mark(copied), await mark()]).toEqual([marks[0], first]);
    expect(readdirSync(copied)).toEqual(['project-mark']);
  });

  it('that knows of machines has no mark until somebody says whose they are', async () => {
    const first = await mark();
    machines = 1;
    const copied = copy();
    await expect(mark(copied)).rejects.toMatchObject(STRAYED);
    expect(await problem(copied)).toMatchObject(STRAYED);
    expect([text(copied), await mark()]).toEqual([text(), first]);
    rmSync(join(copied, 'project-mark'));
    const own = await mark(copied);
    expect(own).not.toBe(first);
    expect([await problem(copied), await mark(copied), await mark()]).toEqual([null, own, first]);
  });

  it('that takes the place of the first one is a copy still, until somebody says that it is not', async () => {
    const first = await mark();
    machines = 1;
    const copied = copy();
    renameSync(stateDir, join(home, 'before'));
    renameSync(copied, stateDir);
    await expect(mark()).rejects.toMatchObject(STRAYED);
    writeFileSync(join(stateDir, 'project-mark'), `${first}\n`);
    expect([await mark(), await problem()]).toEqual([first, null]);
  });
});
