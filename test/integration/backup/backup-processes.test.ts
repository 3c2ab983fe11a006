import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createBackups } from '../../../src/backup/backups.ts';
import { listBackups } from '../../../src/backup/list-backups.ts';
import { readManifest } from '../../../src/backup/manifest.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { checkDatabase, openDatabase } from '../../../src/store/database.ts';
import { type Caller, serverCaller } from '../../support/mixed-calls.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../../support/project.ts';
import { createRunsProject, type RunsProject, THREE_STAGES } from '../../support/runs-project.ts';
import { goldfish } from '../cli-program.ts';

type Row = Record<string, unknown>;
const REASON = 'Write while a backup is made';

const WRITES_NUMBERS = `import json, os
with open(os.environ['GOLDFISH_OUTPUTS'] + '/numbers.json', 'w') as file:
    json.dump([1, 2, 3], file)
`;

async function ask(caller: Caller, tool: string, args: Row = {}): Promise<Row> {
  const { structured, error } = await caller.call(tool, args);
  expect({ tool, error }).toEqual({ tool, error: undefined });
  return structured;
}

/** Names of what is ignored in the slot of the workspace that comes and goes. */
const IGNORED = Array.from({ length: 600 }, (_, n) => `${n}.local`).sort();

function writeIgnored(slot: string): void {
  writeFileSync(join(slot, '.gitignore'), '*.local\n');
  for (const [n, name] of IGNORED.entries()) {
    if (n % 3 === 0) writeFileSync(join(slot, name), name);
    else if (n % 3 === 1) symlinkSync('nowhere', join(slot, name));
    else mkdirSync(join(slot, name));
  }
}

describe('a backup made by a tool while four servers write and a fifth mounts and hibernates', () => {
  let project: TestProject;
  let base: string;
  let copy: string;
  const callers: Caller[] = [];
  let folders: string[];
  let run: string;

  beforeAll(async () => {
    project = createTestProject({ config: 'slots: 6\n' });
    base = mkdtempSync(join(tmpdir(), 'goldfish-copy-'));
    copy = join(base, 'copy');
    const { client } = await mountStages(project, {
      pipeline: 'stages:\n  - { name: make, outputs: { numbers: json } }\n',
      modules: { make: WRITES_NUMBERS },
    });
    const first = await client.call('run', { workspace: 'exp', reason: REASON });
    await waitOver(client, String(first['pipeline_run_id']));
    run = (first['runs'] as { run_id: string }[])[0]?.run_id ?? '';
    for (let n = 0; n < 6; n += 1) callers.push(await serverCaller(project.root));
    const [backer, mover, ...writers] = callers;
    if (!backer || !mover) throw new Error('no caller');
    let writing = true;
    const written = writers.map(() => 0);
    const writes = writers.map(async (writer, n) => {
      const workspace = `own-${n}`;
      await ask(writer, 'create_workspace', { name: workspace, goal: 'Be backed up', reason: REASON });
      const { slot } = await ask(writer, 'mount', { workspace, reason: REASON });
      for (let i = 0; writing; i += 1) {
        writeFileSync(join(project.root, 'workspaces', String(slot), 'notes.txt'), `${i}`);
        await ask(writer, 'checkpoint', { slot, message: `Edit ${i} of ${n}` });
        await ask(writer, 'log_thought', { thought: `Thought ${i} of ${n}`, workspace });
        await ask(writer, 'tag', { ref: workspace, tag: `t${i}` });
        written[n] = i + 1;
      }
    });
    let moves = 0;
    const moving = (async () => {
      await ask(mover, 'create_workspace', { name: 'moving', goal: 'Come and go', reason: REASON });
      const { slot } = await ask(mover, 'mount', { workspace: 'moving', reason: REASON });
      writeIgnored(join(project.root, 'workspaces', String(slot)));
      // Its slot is free at times: the others must have theirs by then.
      await until(() => written.every((edits) => edits > 0), 100_000, 'the mounts of every writer');
      for (; writing; moves += 1) {
        await ask(mover, 'hibernate', { slot, reason: REASON });
        await ask(mover, 'mount', { workspace: 'moving', slot, reason: REASON });
      }
    })();
    folders = [];
    try {
      for (let n = 0; n < 3; n += 1) {
        const isDue = (): boolean => [...written, moves].every((count) => count >= 2 * (n + 1));
        await until(isDue, 100_000, 'edits of every writer');
        const { backup } = await ask(backer, 'backup');
        folders.push(String((backup as Row)['folder']));
      }
    } finally {
      writing = false;
      await Promise.all([...writes, moving]);
    }
    const { code, out } = await goldfish(
      ['restore', join(project.root, folders.at(-1) ?? ''), '--into', copy, '--json'],
      { cwd: base },
    );
    expect({ code, out: JSON.parse(out) }).toMatchObject({ code: 0, out: { missing_objects: 0, lost: [] } });
  }, 300_000);
  afterAll(async () => {
    await Promise.all(callers.map((caller) => caller.close()));
    await project.dispose();
    rmSync(base, { recursive: true, force: true });
  });

  it('is listed with the others, newest first', async () => {
    const [backer] = callers;
    if (!backer) throw new Error('no caller');
    const listed = await ask(backer, 'backup', { action: 'list' });
    expect(listed['total']).toBe(3);
    expect((listed['backups'] as Row[]).map((row) => row['folder'])).toEqual([...folders].reverse());
  });

  it('has of ignored files of a workspace that comes and goes all or none', async () => {
    for (const folder of folders) {
      const { files, links, folders } = await readManifest(join(project.root, folder));
      const names = [...files, ...links, ...folders]
        .filter(({ path }) => path.startsWith('aside/moving/'))
        .map(({ path }) => basename(path));
      if (names.length > 0) expect(names.sort()).toEqual(IGNORED);
    }
  });

  it('checks clean when it was restored elsewhere: database, versions, and every object', async () => {
    const db = openDatabase(join(copy, '.goldfish/goldfish.db'), { create: false });
    expect(checkDatabase(db)).toBeNull();
    const versions = db.prepare<{ sha: string }>('SELECT git_sha AS sha FROM workspace_versions').all();
    const stored = db.prepare<{ hash: string }>('SELECT hash FROM signal_lineage').all();
    db.close();
    const store = `--git-dir=${join(copy, '.goldfish/versions.git')}`;
    const checked = spawnSync('git', [store, 'fsck', '--full', '--strict'], { encoding: 'utf8' });
    expect({ status: checked.status, faults: /error|missing|broken|corrupt/.exec(checked.stderr) }).toEqual({
      status: 0,
      faults: null,
    });
    expect(versions.length).toBeGreaterThan(5);
    for (const { sha } of versions) execFileSync('git', [store, 'cat-file', '-e', `${sha}^{tree}`]);
    const objects = globSync('**/*', { cwd: join(copy, '.goldfish/objects'), withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    expect(objects.length).toBeGreaterThanOrEqual(new Set(stored.map(({ hash }) => hash)).size);
    for (const file of objects) {
      expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(basename(file));
    }
  });

  it('is a project in which diff, rollback and lineage work', async () => {
    const there = await serverCaller(copy);
    try {
      expect(await ask(there, 'status')).toMatchObject({ errors: [], active_runs: [] });
      const diff = await ask(there, 'diff', { target: 'own-0', stat_only: true });
      expect((diff['files'] as Row[]).map((file) => file['path'])).toEqual(['notes.txt']);
      const { slot } = await ask(there, 'mount', { workspace: 'own-0', reason: REASON });
      const back = await ask(there, 'rollback', { slot, version: 'v1', reason: REASON });
      expect(back).toMatchObject({ workspace: 'own-0' });
      expect(readdirSync(join(copy, 'workspaces', String(slot)))).not.toContain('notes.txt');
      const { nodes, edges } = await ask(there, 'lineage', { ref: run });
      expect((nodes as Row[]).map((node) => node['id'])).toContain(`${run}.numbers`);
      expect(edges).toContainEqual({ from: 'version:exp@v2', to: run, kind: 'code' });
      const shown = await ask(there, 'inspect_run', { run_id: run });
      const [output] = shown['outputs'] as { path: string }[];
      expect(JSON.parse(readFileSync(join(copy, output?.path ?? ''), 'utf8'))).toEqual([1, 2, 3]);
    } finally {
      await there.close();
    }
  });
});

describe('a backup', () => {
  let project: RunsProject;
  let backups: string;
  beforeEach(async () => {
    project = await createRunsProject({ files: THREE_STAGES });
    const { pipelineRun } = await project.submit();
    await project.tick();
    await project.complete(project.runOf(pipelineRun.id, 'one').id, { a: { k: 1 } });
    backups = join(project.root, 'backups');
  });
  afterEach(() => project.dispose());

  /** Runs the command and kills it at the n-th call of a function of fs/promises, before or after it. */
  const killedAt = (point: { call: string; n: number; when: 'before' | 'after' }): NodeJS.Signals | null => {
    const preload = `
      import fs from 'node:fs/promises';
      import { syncBuiltinESMExports } from 'node:module';
      const point = ${JSON.stringify(point)};
      const original = fs[point.call];
      const die = () => process.kill(process.pid, 'SIGKILL');
      let calls = 0;
      fs[point.call] = async (...args) => {
        // Of the backup: other files are written before it begins.
        const ours = args.some((arg) => String(arg).includes('.unfinished')) && ++calls === point.n;
        if (ours && point.when === 'before') die();
        const result = await original(...args);
        if (ours) die();
        return result;
      };
      syncBuiltinESMExports();`;
    return spawnSync(
      process.execPath,
      [
        '--import',
        `data:text/javascript,${encodeURIComponent(preload)}`,
        assetPath('src/cli/main.ts'),
        'backup',
      ],
      { cwd: project.root, stdio: 'ignore' },
    ).signal;
  };

  it.each([
    { call: 'mkdir', n: 1, when: 'after' },
    { call: 'copyFile', n: 1, when: 'after' },
    { call: 'copyFile', n: 6, when: 'before' },
    // The manifest gets its name, then the whole does.
    { call: 'rename', n: 1, when: 'before' },
    { call: 'rename', n: 2, when: 'before' },
  ] as const)(
    'that is killed ($when $call $n) is never listed as one, and goes with the next',
    async (point) => {
      expect(killedAt(point)).toBe('SIGKILL');
      expect(readdirSync(backups).filter((name) => name.endsWith('.unfinished'))).toHaveLength(1);
      expect(await listBackups(backups)).toEqual([]);
      const listed = await goldfish(['backup', '--list', '--json'], { cwd: project.root });
      expect(JSON.parse(listed.out)).toEqual({ backups: [] });
      const whole = await goldfish(['backup'], { cwd: project.root });
      expect(whole.code).toBe(0);
      expect(readdirSync(backups).sort()).toEqual([basename(whole.out.trim()), 'backup.lock']);
    },
  );

  it('that outlasts a call goes on, and the next call joins it instead of making another', async () => {
    const made = createBackups({ ...project.deps, projectName: 'test', clock: systemClock });
    const { signal } = new AbortController();
    const [first, second] = await Promise.all([
      made.create({ waitMs: 0, signal }),
      made.create({ waitMs: 0, signal }),
    ]);
    expect(first).toEqual({ startedAt: expect.any(String) });
    expect(second).toEqual(first);
    const done = await made.create({ waitMs: 60_000, signal });
    expect(done).toMatchObject({ manifest: { hasObjects: true } });
    expect(await made.list()).toHaveLength(1);
    expect(await made.create({ waitMs: 60_000, signal })).not.toEqual(done);
    expect(await made.list()).toHaveLength(2);
    await made.close();
  });

  it('ends with the call that asked for it, where no other waits for it', async () => {
    const made = createBackups({ ...project.deps, projectName: 'test', clock: systemClock });
    const stop = new AbortController();
    const waiting = made.create({ waitMs: 60_000, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toThrow();
    expect(await made.list()).toEqual([]);
    await made.close();
  });
});
