import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import {
  filesBelow,
  makeProject,
  mountedProject,
  type Project,
  textsOf,
} from '../../support/workspaces-project.ts';

const ACTOR = new URL('actor.ts', import.meta.url).pathname;
let project: Project;
afterEach(() => {
  project.remove();
});

type Actor = { process: ChildProcess; go(): void; answer: Promise<{ result?: unknown; code?: string }> };

/** A process that stands ready to act on the project. It leads a group, so that a kill takes its children too. */
async function actor(...args: string[]): Promise<Actor> {
  const child = spawn(process.execPath, [ACTOR, project.root, join(project.root, 'template'), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await once(child.stdout, 'data');
  const answer = once(child, 'close').then(() => JSON.parse(output.split('\n')[1] || '{}'));
  return { process: child, go: () => child.stdin.write('go\n'), answer };
}

async function atOnce(...calls: string[][]): Promise<{ result?: unknown; code?: string }[]> {
  const actors = await Promise.all(calls.map((call) => actor(...call)));
  for (const { go } of actors) go();
  return Promise.all(actors.map(({ answer }) => answer));
}

describe('several processes at once', () => {
  it('save one slot one after the other: one version of one content, numbers without gaps', async () => {
    project = await mountedProject();
    project.write('w1/f', 'one');
    const answers = await atOnce(
      ['checkpoint', 'w1', 'first'],
      ['checkpoint', 'w1', 'second'],
      ['checkpoint', 'w1', 'third'],
    );
    expect(answers.map(({ result }) => result)).toMatchObject([
      { version: { version: 2 } },
      { version: { version: 2 } },
      { version: { version: 2 } },
    ]);
    const created = answers.filter(({ result }) => (result as { created: boolean }).created);
    expect(created).toHaveLength(1);
    expect(project.db.prepare('SELECT count(*) AS n FROM records').get()).toEqual({ n: 3 });
    expect(project.workspaces.versions({ workspace: 'a' }).versions).toHaveLength(2);
    expect(await project.workspaces.dirty('w1')).toBe(false);
  });

  it('create one workspace once, and mount one workspace in one slot', async () => {
    project = makeProject();
    const created = await atOnce(['create', 'a'], ['create', 'a'], ['create', 'a']);
    expect(created.map(({ code }) => code ?? 'made').sort()).toEqual([
      'WORKSPACE_EXISTS',
      'WORKSPACE_EXISTS',
      'made',
    ]);
    const mounted = await atOnce(['mount', 'a', 'w1'], ['mount', 'a', 'w2'], ['mount', 'a']);
    const slots = new Set(mounted.map(({ result }) => (result as { slot: string } | undefined)?.slot));
    expect(slots.size).toBe(1);
    const [slot = ''] = slots;
    expect(
      readdirSync(project.layout.slots).filter(
        (name) => readdirSync(join(project.layout.slots, name)).length > 0,
      ),
    ).toEqual([slot]);
    expect(await project.workspaces.dirty(slot ?? '')).toBe(false);
  });

  it('delete and mount one workspace so that one of the two is refused, and create its name anew once', async () => {
    project = makeProject();
    await project.workspaces.create({ name: 'a', goal: 'g' });
    const [deleted, mounted] = await atOnce(['delete', 'a'], ['mount', 'a', 'w1']);
    expect([deleted?.code, mounted?.code].filter(Boolean)).toHaveLength(1);
    expect(deleted?.code ?? mounted?.code).toMatch(deleted?.code ? /CONFLICT/ : /WORKSPACE_NOT_FOUND/);
    if (deleted?.code) await project.workspaces.hibernate({ slot: 'w1', message: 'away' });
    const answers = await atOnce(['delete', 'a'], ['delete', 'a'], ['create', 'a']);
    const kept = deleted?.code ? 1 : 0;
    expect(answers.slice(0, 2).filter(({ code }) => code === undefined).length).toBeGreaterThanOrEqual(kept);
    const names = project.db.prepare<{ name: string }>('SELECT name FROM workspaces ORDER BY name').all();
    expect(names.filter(({ name }) => name === 'a').length).toBeLessThanOrEqual(1);
    await project.workspaces.recover();
    const rows = project.db
      .prepare<{ name: string }>(
        "SELECT workspace_name || '-v' || version AS name FROM workspace_versions ORDER BY 1",
      )
      .all();
    expect(
      project.git('for-each-ref', '--format=%(refname:lstrip=2)', 'refs/tags').split('\n').sort(),
    ).toEqual(rows.map(({ name }) => name));
  });

  it('make the first version store, and one checkout, together', async () => {
    project = makeProject();
    const created = await atOnce(['create', 'a'], ['create', 'b'], ['create', 'c']);
    expect(created.map(({ result }) => result)).toMatchObject([
      { workspace: 'a' },
      { workspace: 'b' },
      { workspace: 'c' },
    ]);
    expect(project.git('for-each-ref', '--format=%(refname)', 'refs/tags').split('\n')).toHaveLength(3);
    const dirs = await atOnce(['checkout', 'a'], ['checkout', 'b'], ['checkout', 'c']);
    expect(new Set(dirs.map(({ result }) => result)).size).toBe(1);
    expect(readdirSync(project.layout.stateDir).filter((name) => name.startsWith('versions'))).toEqual([
      'versions.git',
    ]);
  });
});

describe('kill -9', () => {
  const FILES = 40;
  const STEPS = 16;

  async function prepare(): Promise<Record<string, string>> {
    project = await mountedProject();
    const whole: Record<string, string> = { '.gitignore': '*.log\n/data/\n' };
    for (let i = 0; i < FILES; i += 1) {
      whole[`src/${i % 7}/${i}.py`] = `print(${i})\n`;
      whole[`logs/${i}.log`] = `ignored ${i}\n`;
    }
    whole['data/set.csv'] = 'rows';
    whole['pipeline.yaml'] = 'name: demo\n';
    whole['modules/train.py'] = 'edited\n';
    for (const [path, content] of Object.entries(whole)) project.write(`w1/${path}`, content);
    mkdirSync(join(project.layout.slot('w1'), 'outputs'));
    return whole;
  }

  /** Starts the action and kills it, children included, after `ms`; true if it had not finished. */
  async function kill(ms: number, ...call: string[]): Promise<boolean> {
    const { process: child, go, answer } = await actor(...call);
    go();
    await Promise.race([delay(ms), answer]);
    const killed = child.exitCode === null;
    if (killed && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await answer;
    return killed;
  }

  async function slotTexts(slot: string): Promise<Record<string, string>> {
    const paths = await filesBelow(project.layout.slot(slot));
    return Object.fromEntries(paths.map((path) => [path, project.read(`${slot}/${path}`)]));
  }

  it('at any moment of checkpoint, hibernate and mount loses nothing', async () => {
    const whole = await prepare();
    const edit = (text: string): void => {
      whole['modules/train.py'] = text;
      project.write('w1/modules/train.py', text);
    };
    edit('warm up\n');
    const first = await actor('cycle', 'a', 'w1');
    const started = performance.now();
    first.go();
    await first.answer;
    let duration = performance.now() - started;

    let interrupted = 0;
    for (let step = 0; step < STEPS; step += 1) {
      const text = `edit ${step}\n`;
      edit(text);
      const ms = ((step + 0.5) / STEPS) * duration;
      if (await kill(ms, 'cycle', 'a', 'w1')) interrupted += 1;
      // A quiet machine is faster than the first time: aim earlier, so that the kills spread over all of it.
      else duration = ms;
      await project.workspaces.mount({ workspace: 'a', slot: 'w1' });
      expect(await slotTexts('w1'), `after ${ms} ms`).toEqual(whole);
      expect(readdirSync(join(project.layout.slot('w1'), 'outputs'))).toEqual([]);
      const { version } = await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
      expect(await project.workspaces.files(version).read('modules/train.py')).toBe(text);
      expect(await project.workspaces.dirty('w1')).toBe(false);
    }
    expect(interrupted).toBeGreaterThan(0);
    const { versions } = project.workspaces.versions({ workspace: 'a', limit: 100 });
    // v1, and one for each edit: a death makes no version of a half-emptied slot.
    expect(versions.map((row) => row.version)).toEqual(
      Array.from({ length: STEPS + 2 }, (_, i) => STEPS + 2 - i),
    );
    await project.workspaces.recover();
    for (const { version, gitSha } of versions)
      expect(project.git('rev-parse', `a-v${version}`)).toBe(gitSha);
    expect(project.git('rev-parse', 'refs/heads/a')).toBe(versions[0]?.gitSha);
    expect(readdirSync(project.layout.slots)).toEqual(['w1']);
  }, 120_000);

  it('at any moment of a rollback leaves the slot as it was or as it was to be, and every edit in a version', async () => {
    const whole = await prepare();
    await project.workspaces.checkpoint({ slot: 'w1', message: 'to go back to' });
    const started = performance.now();
    project.write('w1/modules/train.py', 'warm up\n');
    const first = await actor('rollback', 'w1', 'v2');
    first.go();
    await first.answer;
    let duration = performance.now() - started;

    const ends = { undone: 0, finished: 0 };
    for (let step = 0; step < STEPS / 2; step += 1) {
      const text = `edit ${step}\n`;
      const edited = { ...whole, 'modules/train.py': text };
      project.write('w1/modules/train.py', text);
      const ms = ((step + 0.5) / (STEPS / 2)) * duration;
      if (!(await kill(ms, 'rollback', 'w1', 'v2'))) duration = ms;
      await project.workspaces.mount({ workspace: 'a', slot: 'w1' });
      const texts = await slotTexts('w1');
      const finished = texts['modules/train.py'] === whole['modules/train.py'];
      ends[finished ? 'finished' : 'undone'] += 1;
      expect(texts, `after ${ms} ms`).toEqual(finished ? whole : edited);
      expect(readdirSync(join(project.layout.slot('w1'), 'outputs'))).toEqual([]);
      if (finished) {
        expect((await textsOf(project, 'a'))['modules/train.py'], `after ${ms} ms`).toBe(text);
      }
      expect(readdirSync(project.layout.slots)).toEqual(['w1']);
    }
    expect(ends.undone).toBeGreaterThan(0);
    expect(ends.finished).toBeGreaterThan(0);
  }, 120_000);

  it('while a checkout is made leaves none that is half made', async () => {
    await prepare();
    await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
    const texts = await textsOf(project, 'a');
    for (const ms of [15, 40, 65, 90]) {
      await kill(ms, 'checkout', 'a');
      const dir = await project.workspaces.checkout(project.workspaces.version('a'));
      expect((await filesBelow(dir)).sort()).toEqual(Object.keys(texts).sort());
      project.write('w1/next', `${ms}`);
      await project.workspaces.checkpoint({ slot: 'w1', message: 'm' });
      texts['next'] = `${ms}`;
    }
  }, 120_000);
});
