import { chmodSync, existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { type FolderEntry, folderHash, folderManifest } from '../../src/core/folder-hash.ts';
import { sha256 } from '../../src/core/json.ts';
import { objectKey } from '../../src/data/object-keys.ts';
import type { DataProject } from './data-project.ts';

/**
 * A project that has lived: rows and files as runs leave them, made directly. What `gc` must do with each is said by
 * the model here, in other words than the store's queries.
 */

const DAY = 86_400_000;
const KEEP = { failed: 30, checkpoints: 14, environments: 30, checkouts: 7 };

const OPEN = ['pending', 'preparing', 'running', 'finishing'] as const;
const ENDED = ['completed', 'failed', 'terminated', 'canceled'] as const;
const POOL = { contents: 150, environments: 14, versions: 50, trees: 24, sources: 24 };

const contentId = fc.nat(POOL.contents - 1);
const anyRun = fc.record({
  state: fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom(...ENDED) },
    { weight: 1, arbitrary: fc.constantFrom(...OPEN) },
  ),
  age: fc.nat(60),
  attempts: fc.integer({ min: 1, max: 3 }),
  checkpoints: fc.boolean(),
  released: fc.oneof(
    { weight: 12, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  retriedByOpen: fc.oneof(
    { weight: 20, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  recordTagged: fc.oneof(
    { weight: 15, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
  version: fc.nat(POOL.versions - 1),
  environment: fc.nat(POOL.environments - 1),
  outputs: fc.uniqueArray(contentId, { maxLength: 2 }),
  inputs: fc.uniqueArray(
    contentId.filter((id) => id % 3 !== 2),
    { maxLength: 2 },
  ),
  source: fc.option(fc.nat(POOL.sources - 1), { freq: 6 }),
});
const anySource = fc.record({ content: contentId, deletedAge: fc.option(fc.integer({ min: 0, max: 20 })) });

export const anyPast = fc.record({
  runs: fc.array(anyRun, { minLength: 500, maxLength: 500 }),
  sources: fc.array(anySource, { minLength: POOL.sources, maxLength: POOL.sources }),
  taggedVersions: fc.uniqueArray(fc.nat(POOL.versions - 1), { maxLength: 4 }),
  taggedCheckpoints: fc.uniqueArray(fc.nat(POOL.versions - 1), { maxLength: 2 }),
  /** Days since each content was last stored; which of them were ever made into folders; half-day steps for scratch. */
  objectAges: fc.array(fc.nat(40), { minLength: POOL.contents, maxLength: POOL.contents }),
  spare: fc.array(fc.constantFrom(0, 0.5, 1.5, 40), { minLength: 12, maxLength: 12 }),
});
export type Past = typeof anyPast extends fc.Arbitrary<infer P> ? P : never;
type Run = Past['runs'][number];

/** Content of the pool: every third one is a folder of the two before it. */
type Content = { hash: string; kind: 'file' | 'folder'; files: string[] };

function contentOf(id: number): Content {
  const text = (n: number): string => `content ${n}`;
  if (id % 3 !== 2) return { hash: sha256(text(id)), kind: 'file', files: [sha256(text(id))] };
  const entries: FolderEntry[] = [id - 2, id - 1].map((n) => ({
    path: `file ${n}`,
    mode: '100644',
    hash: sha256(`of a folder ${n}`),
  }));
  return {
    hash: folderHash(entries),
    kind: 'folder',
    files: [...entries.map(({ hash }) => hash), folderHash(entries)],
  };
}

const hex = (text: string): string => sha256(text).slice(7);
const runId = (index: number): string => `stage-${index.toString(16).padStart(12, '0')}`;
const treeOf = (version: number): string => hex(`tree ${version % POOL.trees}`).slice(0, 40);
const environmentKey = (n: number): string => `sha256:${hex(`environment ${n}`)}`;
const isOpen = (run: Run): boolean => !ENDED.some((state) => state === run.state);

/** Makes all of it. Returns for each path, relative to the state folder, whether it must still be there afterwards. */
export function makePast(project: DataProject, past: Past): Map<string, boolean> {
  const expected = new Map<string, boolean>();
  insertRows(project, past);
  makeRunFolders(project, past, expected);
  makeCaches(project, past, expected);
  makeObjects(project, past, expected);
  makeLeftovers(project, past, expected);
  return expected;
}

function makeRunFolders(project: DataProject, past: Past, expected: Map<string, boolean>): void {
  for (const [index, run] of past.runs.entries()) {
    const held =
      isOpen(run) ||
      !run.released ||
      run.retriedByOpen ||
      run.recordTagged ||
      past.taggedVersions.includes(run.version) ||
      past.taggedCheckpoints.includes(run.version);
    const folder = `runs/${runId(index)}`;
    for (let attempt = 1; attempt <= run.attempts; attempt += 1) {
      const last = attempt === run.attempts;
      file(project, `${folder}/${attempt}/log/000000000000.log`, 'line\n');
      file(project, `${folder}/${attempt}/outputs/rest`, 'bytes');
      const kept = held || (run.state === 'completed' && last) || run.age < KEEP.failed;
      expected.set(`${folder}/${attempt}`, kept);
    }
    if (!run.checkpoints) continue;
    file(project, `${folder}/checkpoints/step-1`, 'state');
    expected.set(`${folder}/checkpoints`, held || run.age < KEEP.checkpoints);
  }
}

function makeCaches(project: DataProject, past: Past, expected: Map<string, boolean>): void {
  const lastUse = (uses: (run: Run) => boolean): number | undefined => {
    const ages = past.runs.filter(uses).map((run) => (isOpen(run) ? -1 : run.age));
    return ages.length === 0 ? undefined : Math.min(...ages);
  };
  const kept = (age: number | undefined, days: number): boolean => (age ?? 40) < days;
  for (let n = 0; n < POOL.environments + 2; n += 1) {
    const key = environmentKey(n).slice(7);
    file(project, `environments/${key}/ready.json`, '{}', 40);
    file(project, `environments/${key}.lock`, '');
    const age = lastUse((run) => run.environment === n);
    expected.set(`environments/${key}`, kept(age, KEEP.environments));
    expected.set(`environments/${key}.lock`, true);
  }
  for (let n = 0; n < POOL.trees + 2; n += 1) {
    const tree = hex(`tree ${n}`).slice(0, 40);
    const stays = kept(
      lastUse((run) => treeOf(run.version) === tree),
      KEEP.checkouts,
    );
    for (const folder of [tree, `${tree}.2`]) {
      chmodSync(dirname(file(project, `code/${folder}/main.py`, 'pass', 40)), 0o555);
      expected.set(`code/${folder}`, stays);
    }
    file(project, `code/${tree}.json`, '{}', 40);
    expected.set(`code/${tree}.json`, stays);
  }
  for (let id = 2; id < POOL.contents; id += 3) {
    const { hash } = contentOf(id);
    file(project, `folders/${hash.slice(7)}/file`, 'x', 40);
    const readers = lastUse((run) => inputsOf(past, run).some((input) => contentOf(input).hash === hash));
    expected.set(`folders/${hash.slice(7)}`, kept(readers, KEEP.checkouts));
  }
}

/** Contents a run reads, sources included. */
function inputsOf(past: Past, run: Run): number[] {
  return run.source === null ? run.inputs : [...run.inputs, past.sources[run.source]!.content];
}

function makeObjects(project: DataProject, past: Past, expected: Map<string, boolean>): void {
  const needed = new Set<number>();
  for (const run of past.runs) {
    if (run.state === 'completed') for (const output of run.outputs) needed.add(output);
    for (const input of inputsOf(past, run)) needed.add(input);
  }
  for (const source of past.sources) if ((source.deletedAge ?? 0) < 1) needed.add(source.content);
  const stays = new Map<string, boolean>();
  const ages = new Map<string, number>();
  for (let id = 0; id < POOL.contents; id += 1) {
    for (const hash of contentOf(id).files) {
      stays.set(hash, (stays.get(hash) ?? false) || needed.has(id));
      ages.set(hash, Math.min(ages.get(hash) ?? 99, past.objectAges[id]!));
    }
    writeContent(project, id);
  }
  for (const [hash, kept] of stays) {
    const age = ages.get(hash)!;
    touch(project, `objects/${objectKey(hash)}`, age);
    expected.set(`objects/${objectKey(hash)}`, kept || age < 1);
  }
  file(project, 'objects/elsewhere/not-ours', 'x', 40);
  expected.set('objects/elsewhere/not-ours', true);
}

function writeContent(project: DataProject, id: number): void {
  const content = contentOf(id);
  if (content.kind === 'file') {
    file(project, `objects/${objectKey(content.hash)}`, `content ${id}`);
    return;
  }
  const entries = [id - 2, id - 1].map((n) => ({
    path: `file ${n}`,
    mode: '100644' as const,
    hash: sha256(`of a folder ${n}`),
  }));
  for (const n of [id - 2, id - 1]) {
    file(project, `objects/${objectKey(sha256(`of a folder ${n}`))}`, `of a folder ${n}`);
  }
  file(project, `objects/${objectKey(content.hash)}`, folderManifest(entries));
}

function makeLeftovers(project: DataProject, past: Past, expected: Map<string, boolean>): void {
  const places = [
    (n: number) => `scratch/look-${n}`,
    (n: number) => `code/.${hex(`making ${n}`).slice(0, 40)}.making`,
    (n: number) => `folders/${hex(`folder ${n}`)}.0123abcd`,
  ];
  for (const [index, age] of past.spare.entries()) {
    const path = places[index % places.length]!(index);
    file(project, `${path}/file`, 'x', age);
    touch(project, path, age);
    expected.set(path, age < 1);
  }
  for (const place of ['environments', 'code', 'folders', `runs/${runId(0)}`]) {
    file(project, `${place}/.gone-0123abcd/file`, 'x');
    expected.set(`${place}/.gone-0123abcd`, false);
  }
  // The time of change of a file is the kernel's: to the project's clock all of these are old.
  file(project, 'objects/.goldfish-tmp/0123456789abcdef', 'half');
  expected.set('objects/.goldfish-tmp/0123456789abcdef', false);
}

function insertRows(project: DataProject, past: Past): void {
  const { db, deps } = project;
  const at = (age: number): string => new Date(deps.clock.now() - age * DAY).toISOString();
  const run = (sql: string, ...values: (string | number | null)[]): void =>
    void db.prepare(sql).run(...values);
  const long = at(90);
  db.write(() => {
    run("INSERT INTO workspaces (name, goal, created_at) VALUES ('w', 'g', ?)", long);
    for (let v = 0; v < POOL.versions; v += 1) {
      run(
        "INSERT INTO workspace_versions VALUES ('w', ?, 'sha', ?, 'run', 'm', ?, NULL)",
        v + 1,
        treeOf(v),
        long,
      );
    }
    for (const v of past.taggedVersions) {
      run("INSERT INTO tags VALUES ('w', ?, ?, NULL, ?)", `version-${v}`, v + 1, long);
    }
    for (const v of past.taggedCheckpoints) {
      const record = `checkpoint-${v}`;
      run(
        "INSERT INTO records VALUES (?, 'checkpoint', 'w', ?, NULL, ?, 'm', ?)",
        record,
        v + 1,
        record,
        long,
      );
      run("INSERT INTO tags VALUES ('w', ?, NULL, ?, ?)", record, record, long);
    }
    for (const [index, source] of past.sources.entries()) {
      const { hash, kind } = contentOf(source.content);
      const deleted = source.deletedAge === null ? null : at(source.deletedAge);
      run(
        `INSERT INTO sources VALUES (?, 1, 'u', 'd', ?, ?, 9, 'full', ?, '{}', NULL, NULL, ?, ?)`,
        `source${index}`,
        kind,
        hash,
        objectKey(hash),
        long,
        deleted,
      );
    }
    for (const [index, row] of past.runs.entries()) insertRun({ past, run, at, long }, index, row);
  });
}

type Inserting = {
  past: Past;
  run: (sql: string, ...values: (string | number | null)[]) => void;
  at: (age: number) => string;
  long: string;
};

function insertRun({ past, run, at, long }: Inserting, index: number, row: Run): void {
  const id = runId(index);
  const prun = id.replace('stage', 'prun');
  const ended = isOpen(row) ? null : at(row.age);
  const insertPrun = (key: string, retryOf: string | null, state: string, endedAt: string | null): void =>
    run(
      "INSERT INTO pipeline_runs VALUES (?, 'w', ?, 'p', 'key', ?, 'r', '{}', NULL, '0', ?, ?, NULL, ?)",
      key,
      row.version + 1,
      state,
      long,
      endedAt,
      retryOf,
    );
  insertPrun(prun, null, isOpen(row) ? 'running' : row.state, ended);
  const plan = JSON.stringify({ environmentKey: environmentKey(row.environment) });
  run(
    `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause, attempt,
       backend_type, profile, plan_json, created_at, ended_at) VALUES (?, ?, 0, 'w', ?, 's', ?, ?, ?, 'process', 'default', ?, ?, ?)`,
    id,
    prun,
    row.version + 1,
    row.state,
    ended === null ? null : row.state === 'completed' ? 'success' : 'user',
    row.attempts,
    plan,
    long,
    ended,
  );
  for (let attempt = 1; attempt <= row.attempts; attempt += 1) {
    const released = row.released || attempt < row.attempts ? long : null;
    run(
      "INSERT INTO run_attempts (run_id, attempt, external_id, released_at) VALUES (?, ?, 'x', ?)",
      id,
      attempt,
      released,
    );
  }
  if (row.retriedByOpen) insertPrun(`${prun}f`, id, 'running', null);
  run(
    "INSERT INTO records VALUES (?, 'pipeline_run', 'w', ?, ?, NULL, 'm', ?)",
    `record-${index}`,
    row.version + 1,
    prun,
    long,
  );
  if (row.recordTagged)
    run("INSERT INTO tags VALUES ('w', ?, NULL, ?, ?)", `run-${index}`, `record-${index}`, long);
  if (row.state === 'completed') {
    for (const output of row.outputs) {
      const { hash, kind } = contentOf(output);
      run(
        "INSERT INTO signal_lineage VALUES (?, ?, 'file', ?, ?, 9, ?, '{}', ?)",
        id,
        `out${output}`,
        kind,
        hash,
        objectKey(hash),
        long,
      );
    }
  }
  for (const input of row.inputs) {
    // Content of no known producer, as after a change of the schema: only the hash speaks for it.
    run(
      "INSERT INTO run_inputs (run_id, name, signal_type, hash) VALUES (?, ?, 'file', ?)",
      id,
      `in${input}`,
      contentOf(input).hash,
    );
  }
  if (row.source !== null) {
    const { hash } = contentOf(past.sources[row.source]!.content);
    run(
      "INSERT INTO run_inputs (run_id, name, signal_type, hash, from_source, from_source_version) VALUES (?, 'data', 'dataset', ?, ?, 1)",
      id,
      hash,
      `source${row.source}`,
    );
  }
}

/** Writes below the state folder, last touched so many days ago by the project's clock. */
function file(project: DataProject, path: string, content: string, age?: number): string {
  const full = join(project.deps.layout.stateDir, path);
  if (!existsSync(full)) {
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
  }
  if (age !== undefined) touch(project, path, age);
  return full;
}

function touch(project: DataProject, path: string, age: number): void {
  const full = join(project.deps.layout.stateDir, path);
  const when = new Date(project.deps.clock.now() - age * DAY);
  utimesSync(full, when, when);
}
