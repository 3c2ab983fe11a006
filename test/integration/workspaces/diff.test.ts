import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../src/core/clock.ts';
import { withLock } from '../../../src/store/lock.ts';
import { DEFAULT_RESULT_TOKENS, pageBudget } from '../../../src/tools/budget.ts';
import { estimateTokens } from '../../../src/tools/tokens.ts';
import { errorOf, mountedProject, type Project } from '../../support/workspaces-project.ts';

let project: Project;
afterEach(() => {
  project.remove();
});

const slot = (...path: string[]): string => join(project.layout.slot('w1'), ...path);
const save = () => project.workspaces.checkpoint({ slot: 'w1', message: 'm' });

describe('diff', () => {
  it('of a slot is against its newest version, of a version against the one before', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/modules/train.py', 'print(2)\nprint(3)\n');
    const live = await workspaces.diff({ target: 'w1' });
    expect(live).toEqual({
      target: 'w1',
      against: 'a@v1',
      files: [{ path: 'modules/train.py', status: 'modified', added: 2, removed: 1, binary: false }],
      totals: { files: 1, added: 2, removed: 1 },
      text: '--- modules/train.py\n+++ modules/train.py\n@@ -1 +1,2 @@\n-print(1)\n+print(2)\n+print(3)\n',
      nextCursor: null,
      problems: [],
    });
    await save();
    expect(await workspaces.diff({ target: 'a' })).toEqual({ ...live, target: 'a@v2' });
    expect(await workspaces.diff({ target: 'w1' })).toMatchObject({ against: 'a@v2', files: [], text: '' });
    expect(await workspaces.diff({ target: 'w1', against: 'a@v1' })).toMatchObject({ totals: { files: 1 } });
    expect(await workspaces.diff({ target: 'a@v1', against: 'w1' })).toMatchObject({
      totals: { added: 1, removed: 2 },
    });
    expect(await workspaces.diff({ target: 'a@v1' })).toMatchObject({
      against: 'nothing',
      files: [{ status: 'added' }, { status: 'added' }],
    });
    await workspaces.create({ name: 'b', goal: 'g', from: { workspace: 'a' } });
    expect(await workspaces.diff({ target: 'b' })).toMatchObject({ against: 'a@v2', files: [] });
  });

  it('of a slot that another call is emptying waits until it is whole again', async () => {
    project = await mountedProject();
    const { layout } = project;
    const waiting = Promise.withResolvers<void>();
    const sleep: Clock['sleep'] = (ms, options) => {
      waiting.resolve();
      return systemClock.sleep(ms, options);
    };
    const workspaces = project.again({ clock: { ...systemClock, sleep } });
    project.write('w1/modules/train.py', 'print(2)\n');
    const leaving = join(layout.slots, '.w1.leaving');
    const diff = await withLock(layout.slotLock('w1'), { clock: systemClock, what: 'w1' }, async () => {
      mkdirSync(leaving);
      const asked = workspaces.diff({ target: 'w1' });
      await Promise.race([waiting.promise, asked.catch(() => undefined)]);
      rmdirSync(leaving);
      return { asked };
    });
    expect(await diff.asked).toMatchObject({ target: 'w1', totals: { files: 1 } });
  });

  it('shows added, deleted, renamed, binary and unicode files, modes, links and empty folders', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i}\n`).join('');
    project.write('w1/old name.txt', lines);
    project.write('w1/gone', 'x\n');
    project.write('w1/data.bin', Buffer.from([0, 1, 2]));
    project.write('w1/to-link', 'text\n');
    project.write('w1/run.sh', 'x\n');
    await save();
    renameSync(slot('old name.txt'), slot('neuer näme.txt'));
    project.write('w1/neuer näme.txt', `${lines}and more\n`);
    rmSync(slot('gone'));
    project.write('w1/data.bin', Buffer.from([0, 9]));
    rmSync(slot('to-link'));
    symlinkSync('gone', slot('to-link'));
    project.write('w1/run.sh', 'x\n', 0o755);
    project.write('w1/--option', 'a\r\n-- b\n+++ c\n');
    mkdirSync(slot('outputs'));
    const diff = await workspaces.diff({ target: 'w1' });
    expect(diff.files).toEqual([
      { path: '--option', status: 'added', added: 3, removed: 0, binary: false },
      { path: 'data.bin', status: 'modified', added: null, removed: null, binary: true },
      { path: 'gone', status: 'deleted', added: 0, removed: 1, binary: false },
      {
        path: 'neuer näme.txt',
        oldPath: 'old name.txt',
        status: 'renamed',
        added: 1,
        removed: 0,
        binary: false,
      },
      { path: 'outputs', status: 'folder_added', added: 0, removed: 0, binary: false },
      {
        path: 'run.sh',
        status: 'modified',
        added: 0,
        removed: 0,
        binary: false,
        mode: { from: '100644', to: '100755' },
      },
      {
        path: 'to-link',
        status: 'type_changed',
        added: 1,
        removed: 1,
        binary: false,
        mode: { from: '100644', to: '120000' },
      },
    ]);
    expect(diff.text).toBe(
      [
        '--- /dev/null\n+++ --option\n@@ -0,0 +1,3 @@\n+a\r\n+-- b\n++++ c',
        '--- data.bin\n+++ data.bin\n(binary files differ)',
        '--- gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x',
        '--- old name.txt\n+++ neuer näme.txt\n@@ -18,3 +18,4 @@ line 16\n line 17\n line 18\n line 19\n+and more',
        '+++ outputs/ (empty folder)',
        '--- run.sh\n+++ run.sh\nmode 100644 -> 100755',
        '--- to-link\n+++ to-link\nmode 100644 -> 120000\n@@ -1 +0,0 @@\n-text\n@@ -0,0 +1 @@\n+gone\n\\ No newline at end of file',
        '',
      ].join('\n'),
    );
    expect(await workspaces.diff({ target: 'w1', statOnly: true })).not.toHaveProperty('text');
  });

  it('leaves the store, the slot and its index as they are', async () => {
    project = await mountedProject();
    project.write('w1/new.txt', 'never saved');
    const objects = () => project.git('count-objects', '-v');
    const before = objects();
    await project.workspaces.diff({ target: 'w1' });
    await project.workspaces.preview('w1');
    expect(objects()).toBe(before);
    expect(readdirSync(project.layout.scratch)).toEqual([]);
    expect(await project.workspaces.dirty('w1')).toBe(true);
  });

  it('is limited to paths, taken literally', async () => {
    project = await mountedProject();
    for (const path of ['configs/a.yaml', 'configs/b.yaml', '*.txt', 'x.txt'])
      project.write(`w1/${path}`, 'x\n');
    const paths = async (...names: string[]) =>
      (await project.workspaces.diff({ target: 'w1', paths: names })).files.map((file) => file.path);
    expect(await paths('configs/')).toEqual(['configs/a.yaml', 'configs/b.yaml']);
    expect(await paths('*.txt')).toEqual(['*.txt']);
    expect(await paths('./x.txt', 'configs/a.yaml')).toEqual(['configs/a.yaml', 'x.txt']);
    expect(await paths('no such')).toEqual([]);
    for (const path of ['../x', '/etc', '', 'a/../../b']) {
      expect(await errorOf(() => paths(path)), path).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('comes in pages that join to the whole, however long a file or a line', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    project.write('w1/long line.txt', `${'x'.repeat(5000)}\nend\n`);
    project.write('w1/many lines.txt', Array.from({ length: 900 }, (_, i) => `${i}\n`).join(''));
    for (let i = 0; i < 120; i += 1) project.write(`w1/many/${i}.txt`, `${i}\n`);
    const whole = await workspaces.diff({ target: 'w1', statOnly: true });
    expect(whole.files).toHaveLength(122);
    expect(whole.nextCursor).toBeNull();
    let text = '';
    const paths = new Set<string>();
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await workspaces.diff({
        target: 'w1',
        size: { budget: 2000, costOf: (text) => text.length },
        ...(cursor === undefined ? {} : { cursor }),
      });
      expect(page.totals).toEqual(whole.totals);
      text += page.text;
      for (const file of page.files) paths.add(file.path);
      cursor = page.nextCursor ?? undefined;
      pages += 1;
    } while (cursor !== undefined);
    expect(pages).toBeGreaterThan(4);
    expect([...paths]).toEqual(whole.files.map((file) => file.path));
    const added = text.split('\n').filter((line) => line.startsWith('+') && !line.startsWith('+++'));
    expect(added).toHaveLength(whole.totals.added);
    expect(text.split('\n').filter((line) => line.startsWith('+++'))).toHaveLength(122);
  });

  it('comes in pages that cost what they may, whatever the files are called and hold', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    const numbers = Array.from({ length: 300 }, (_, i) => `${i},${Math.sin(i)},${Math.cos(i)}\n`).join('');
    for (let i = 0; i < 8; i += 1) project.write(`w1/a folder/with a rather long name/${i}.csv`, numbers);
    const costOf = (text: string): number => estimateTokens(JSON.stringify(text));
    let cursor: string | undefined;
    let text = '';
    do {
      const request = { target: 'w1', size: { budget: pageBudget(false), costOf } };
      const page = await workspaces.diff({ ...request, ...(cursor === undefined ? {} : { cursor }) });
      expect(estimateTokens(JSON.stringify(page))).toBeLessThan(DEFAULT_RESULT_TOKENS);
      text += page.text;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(text.split('\n').filter((line) => /^\+\d/.test(line))).toHaveLength(8 * 300);
  });

  it('refuses a cursor of another comparison, or of files that changed since', async () => {
    project = await mountedProject();
    const { workspaces } = project;
    for (let i = 0; i < 60; i += 1) project.write(`w1/${i}.txt`, `${i}\n`);
    const { nextCursor } = await workspaces.diff({ target: 'w1' });
    const cursor = nextCursor ?? '';
    expect((await workspaces.diff({ target: 'w1', cursor })).files).toHaveLength(10);
    project.write('w1/0.txt', 'changed\n');
    expect(await errorOf(() => workspaces.diff({ target: 'w1', cursor }))).toMatchObject({
      code: 'CONFLICT',
    });
    expect(await errorOf(() => workspaces.diff({ target: 'w1', cursor: 'x' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('names what no version can hold and shows the rest', async () => {
    project = await mountedProject();
    symlinkSync('/etc/passwd', slot('passwd'));
    project.write('w1/f', 'x\n');
    expect(await project.workspaces.diff({ target: 'w1' })).toMatchObject({
      files: [{ path: 'f' }],
      problems: [{ kind: 'link', path: 'passwd' }],
    });
  });
});
