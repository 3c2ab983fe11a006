import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { entriesBelow } from '../../../src/backup/entries.ts';
import { restoreBackup } from '../../../src/backup/restore-backup.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { isGoldfishError } from '../../../src/core/errors.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { createTally, type Tally } from '../kit/tally.ts';
import { otherRefusal, refusalOf } from './refusal.ts';
import { canMount, createSmallDisk, NEEDS_MOUNT, type SmallDisk } from './small-disk.ts';
import { createStageProject, REASON, type StageProject, WORKSPACE } from './stage-project.ts';

const KB = 1 << 10;
const MB = 1 << 20;
/** Room that a call finds, time after time: for nothing, for rows, for a part of the files, at last for all. */
const ROOMS = [0, 64 * KB, 512 * KB, MB + 128 * KB, 2 * MB, 3 * MB, 5 * MB, 8 * MB, 12 * MB, 20 * MB];

const MAKE = `import json, os
with open(os.environ["GOLDFISH_OUTPUTS"] + "/made.json", "w") as file:
    json.dump([1, 2, 3], file)
`;

let disk: SmallDisk;
let world: StageProject;
/** Calls that an audit row is due for, by tool. */
const calls = new Map<string, number>();

/** What the call was refused with, or undefined. */
async function refused(tool: string, args: JsonObject): Promise<JsonObject | undefined> {
  calls.set(tool, (calls.get(tool) ?? 0) + 1);
  return refusalOf(world.server, tool, args);
}

async function must(tool: string, args: JsonObject): Promise<void> {
  expect({ tool, refusal: await refused(tool, args) }).toEqual({ tool, refusal: undefined });
}

/** Two files of 1.5 MB that nothing can make smaller. */
function writeLarge(): void {
  for (const name of ['a', 'b']) {
    writeFileSync(join(world.project.root, world.slot, `${name}.bin`), randomBytes(1.5 * MB));
  }
}

describe.skipIf(!canMount)(`a disk without room under what moves or makes things${NEEDS_MOUNT}`, () => {
  beforeAll(async () => {
    disk = createSmallDisk(128);
    vi.stubEnv('TMPDIR', disk.path);
    world = await createStageProject({
      backend: 'process',
      stages: { one: { code: MAKE, outputs: 'made: json' } },
    });
    const { project, slot } = world;
    project.write(`${slot}/.gitignore`, '*.local\n');
    project.write(`${slot}/notes.local`, 'nowhere else');
    symlinkSync('/mnt/elsewhere', join(project.root, slot, 'data.local'));
    await must('checkpoint', { slot: 'w1', message: 'Small, with what is ignored' });
    writeLarge();
    await must('checkpoint', { slot: 'w1', message: 'Large' });
    for (const name of ['a', 'b']) writeFileSync(join(project.root, slot, `${name}.bin`), 'small');
  }, 300_000);
  afterAll(async () => {
    vi.unstubAllEnvs();
    if (!canMount) return;
    disk.free();
    await world?.close();
    disk.dispose();
  });

  it.each([
    { tool: 'rollback', args: { slot: 'w1', version: 'v3', reason: REASON } },
    { tool: 'hibernate', args: { slot: 'w1', reason: REASON } },
    { tool: 'mount', args: { workspace: WORKSPACE, slot: 'w1', reason: REASON } },
    { tool: 'create_workspace', args: { name: 'second', goal: 'Be made whole', reason: REASON } },
    {
      tool: 'register_source',
      args: { name: 'large', uri: 'data/large.bin', description: 'Two megabytes', reason: REASON },
    },
  ])(
    'refuses $tool with what is missing and nothing half done, and takes it once there is room',
    async ({ tool, args }) => {
      const { project, slot } = world;
      if (['rollback', 'hibernate'].includes(tool)) {
        project.write(`${slot}/modules/edit.py`, `# before ${tool}: ${'an edit '.repeat(20_000)}\n`);
      }
      mkdirSync(join(project.root, 'data'), { recursive: true });
      writeFileSync(join(project.root, 'data/large.bin'), randomBytes(2 * MB));
      const tally = createTally();
      const refusals = await withEverMoreRoom(tally, tool, args);
      tally.count('clear-refusal', refusals > 0 ? undefined : `${tool} was never refused`);
      tally.state({ fault: `disk full under ${tool}`, backend: 'process', note: `${refusals} refusals` });
    },
    500_000,
  );

  it('lost nothing by it that was ignored, edited or in a version', async () => {
    const { project, slot } = world;
    const at = (path: string): string => join(project.root, slot, path);
    expect(readFileSync(at('notes.local'), 'utf8')).toBe('nowhere else');
    expect(readFileSync(at('a.bin')).length).toBe(1.5 * MB);
    const links = (await entriesBelow(project.root, slot)).links.map(({ path }) => basename(path));
    expect(links).toEqual(['data.local']);
    expect(readFileSync(at('modules/edit.py'), 'utf8')).toMatch(/^# before hibernate/);
    const edits = git('log', '--format=%H', WORKSPACE, '--', 'modules/edit.py')
      .map((commit) => git('show', `${commit}:modules/edit.py`).join('\n'))
      .map((text) => /^# before (\w+)/.exec(text)?.[1]);
    expect(edits).toEqual(['hibernate', 'rollback']);
  });

  it('refuses promote_artifact where the database has no room for its row, and takes it once there is some', async () => {
    const tally = createTally();
    const runs = await world.run();
    calls.set('run', (calls.get('run') ?? 0) + 1);
    const run_id = runs['one'] ?? '';
    expect(await world.over(run_id)).toMatchObject({ cause: 'success' });
    const args = {
      run_id,
      output: 'made',
      source_name: 'made',
      description: 'Three numbers',
      reason: REASON,
    };
    disk.fill();
    // What the database has taken from the disk already is used up by these.
    for (let n = 0, full = false; !full && n < 2_000; n += 1) {
      full = (await refused('log_thought', { thought: `${n} ${'x'.repeat(3_000)}` })) !== undefined;
    }
    const before = await stateOfProject();
    const refusal = await refused('promote_artifact', args);
    tally.count('clear-refusal', unclear(refusal));
    tally.count('clear-refusal', differing(before, await stateOfProject()));
    disk.free();
    await must('promote_artifact', args);
    const sources = (): unknown[] =>
      world.project.db.prepare("SELECT name FROM sources WHERE name = 'made'").all();
    tally.count('clear-refusal', sources().length === 1 ? undefined : `${sources().length} sources`);
    tally.state({ fault: 'disk full under promote_artifact', backend: 'process' });
  }, 500_000);

  it('has an audit row of every call, refused or not, once there is room again', async () => {
    disk.free();
    await must('log_thought', { thought: 'There is room again' });
    const rows = world.project.db
      .prepare<{ operation: string; n: number }>(
        'SELECT operation, count(*) AS n FROM audit GROUP BY operation',
      )
      .all();
    const found = new Map(rows.map(({ operation, n }) => [operation, n]));
    // Of the set-up, which calls were not counted.
    const made = new Map([...calls, ['create_workspace', (calls.get('create_workspace') ?? 0) + 1]]);
    made.set('mount', (calls.get('mount') ?? 0) + 1);
    expect(found).toEqual(made);
  });

  it('refuses a restore with what is missing, makes no half of a project, and does it once there is room', async () => {
    const tally = createTally();
    await must('hibernate', { slot: 'w1', reason: REASON });
    const { backup } = await world.server.call('backup', { action: 'create' });
    const request = {
      backup: join(world.project.root, String((backup as JsonObject)['folder'])),
      into: join(disk.path, 'copy'),
    };
    let refusals = 0;
    for (const room of [...ROOMS, undefined]) {
      disk.free();
      if (room !== undefined) disk.fill(room);
      const error = await restoreBackup({ clock: systemClock }, request).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error === undefined) break;
      refusals += 1;
      const told = isGoldfishError(error)
        ? { ...error, code: error.code, message: error.message, hint: error.hint }
        : undefined;
      tally.count('clear-refusal', told ? unclear(told as unknown as JsonObject) : String(error));
      const left = existsSync(request.into) ? readdirSync(request.into) : [];
      const isHalf = left.length > 0 && !existsSync(join(request.into, '.goldfish/restored.json'));
      tally.count('clear-refusal', isHalf ? `left with ${room} bytes free: ${left.join()}` : undefined);
    }
    tally.count('clear-refusal', refusals > 0 ? undefined : 'restore was never refused');
    const made = await entriesBelow(request.into, '.goldfish/aside/exp');
    const names = [...made.files, ...made.links.map(({ path }) => path)].map((path) => basename(path));
    tally.count('edits', names.join() === 'notes.local,data.local' ? undefined : `aside: ${names.join()}`);
    tally.count(
      'clear-refusal',
      existsSync(join(request.into, 'goldfish.yaml')) ? undefined : 'there is no project',
    );
    tally.state({ fault: 'disk full under restore', note: `${refusals} refusals` });
  }, 500_000);
});

/** Makes the call until it is answered, and judges every refusal and what it left. Returns how many there were. */
async function withEverMoreRoom(tally: Tally, tool: string, args: JsonObject): Promise<number> {
  let refusals = 0;
  for (const room of [...ROOMS, undefined]) {
    disk.free();
    if (room !== undefined) disk.fill(room);
    const before = await stateOfProject();
    const refusal = await refused(tool, args);
    if (refusal === undefined) break;
    refusals += 1;
    const where = (problem: string | undefined): string | undefined =>
      problem && `${tool} with ${room} bytes free: ${problem}`;
    tally.count('clear-refusal', where(room === undefined ? JSON.stringify(refusal) : unclear(refusal)));
    tally.count('edits', where(differing(before, await stateOfProject())));
  }
  disk.free();
  tally.count('clear-refusal', await brokenStore());
  return refusals;
}

function unclear(refusal: JsonObject | undefined): string | undefined {
  const other = otherRefusal(refusal, { code: 'STORAGE_UNAVAILABLE', retryable: true });
  if (other !== undefined) return other;
  const { errno } = (refusal?.['details'] ?? {}) as JsonObject;
  const says = /\bdisk\b/.test(String(refusal?.['message'])) && /[Ff]ree /.test(String(refusal?.['hint']));
  return errno === 'ENOSPC' && says ? undefined : `does not say what is missing: ${JSON.stringify(refusal)}`;
}

/**
 * Slots with their hidden neighbours, what is kept aside, every row but those of the audit, the lease and versions (an
 * edit may become one before a refusal), and what must not be left anywhere.
 */
async function stateOfProject(): Promise<Record<string, string>> {
  const { root, layout, db } = world.project;
  const state: Record<string, string> = {};
  for (const folder of ['workspaces', '.goldfish/aside', '.goldfish/scratch']) {
    const { files, links, folders } = await entriesBelow(root, folder);
    for (const path of files) {
      state[path] = createHash('sha256')
        .update(readFileSync(join(root, path)))
        .digest('hex');
    }
    for (const { path, target } of links) state[path] = `link to ${target}`;
    for (const { path } of folders) state[path] = 'folder';
  }
  for (const path of globSync(['slots/*.index.*', 'objects/.goldfish-tmp/*'], { cwd: layout.stateDir })) {
    state[path] = 'left';
  }
  const tables = db.prepare<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  const others = ['audit', 'supervisor_lease', 'workspace_versions'];
  for (const { name } of tables) {
    if (others.includes(name) || name.startsWith('sqlite_')) continue;
    state[`table ${name}`] = JSON.stringify(db.prepare(`SELECT * FROM ${name}`).all());
  }
  return state;
}

function differing(before: Record<string, string>, after: Record<string, string>): string | undefined {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const changed = keys.filter((key) => before[key] !== after[key]);
  return changed.length === 0
    ? undefined
    : `changed: ${changed.map((key) => `${key} (${before[key]?.slice(0, 200)} → ${after[key]?.slice(0, 200)})`).join('; ')}`;
}

/** Every version has its tag and all its files, and every stored object is what its name says. */
async function brokenStore(): Promise<string | undefined> {
  const { db, layout } = world.project;
  const versions = db
    .prepare<{ name: string; sha: string }>(
      "SELECT workspace_name || '-v' || version AS name, git_sha AS sha FROM workspace_versions",
    )
    .all();
  const tags = git('for-each-ref', '--format=%(refname:short) %(objectname)', 'refs/tags').sort();
  const wanted = versions.map(({ name, sha }) => `${name} ${sha}`).sort();
  if (tags.join() !== wanted.join()) return `tags: ${tags.join()}; versions: ${wanted.join()}`;
  git('fsck', '--full', '--strict', '--connectivity-only');
  const { files } = await entriesBelow(layout.objects, '');
  const wrong = files.filter(
    (path) =>
      createHash('sha256')
        .update(readFileSync(join(layout.objects, path)))
        .digest('hex') !== basename(path),
  );
  return wrong.length === 0 ? undefined : `objects: ${wrong.join()}`;
}

/** Lines of its answer. */
function git(...words: string[]): string[] {
  const text = execFileSync('git', [`--git-dir=${world.project.layout.versionStore}`, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * MB,
  });
  return text.split('\n').filter((line) => line !== '');
}
