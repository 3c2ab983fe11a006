import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderHash } from '../../src/core/folder-hash.ts';
import { sha256 } from '../../src/core/json.ts';
import type { ToolClient } from '../../src/mcp/client.ts';
import { createTestProject, mountStages, type TestProject, waitOver } from '../support/project.ts';

/** Data on their whole way: registered, read by stages on the process backend, written, traced back. */

let project: TestProject;
beforeEach(() => {
  project = createTestProject({ config: 'data_roots: [../outside]\n' });
});
afterEach(() => project.dispose());

const REASON = 'A test of the way of data';
type Row = Record<string, unknown>;

async function runAll(client: ToolClient, extra: Row = {}): Promise<Record<string, string>> {
  const submitted = await client.call('run', { workspace: 'exp', reason: REASON, ...extra });
  await waitOver(client, String(submitted['pipeline_run_id']));
  const runs = submitted['runs'] as { stage: string; run_id: string }[];
  return Object.fromEntries(runs.map((run) => [run.stage, run.run_id]));
}

async function inspect(client: ToolClient, runId: string | undefined) {
  const answer = await client.call('inspect_run', { run_id: runId, include: ['inputs'] });
  const list = (key: string) =>
    (answer[key] ?? []) as {
      name: string;
      hash: string;
      source: string | null;
      path: string;
      size: number;
      from_run: string | null;
    }[];
  const named = (key: string) => Object.fromEntries(list(key).map((row) => [row.name, row]));
  return {
    state: answer['state'],
    failure: answer['failure'],
    inputs: named('inputs'),
    outputs: named('outputs'),
  };
}

/** Writes what it sees of its inputs as JSON: names, kinds, sizes, modes and links. */
const LOOK = `
import json, os, stat, goldfish

def look(path):
    s = os.lstat(path)
    if stat.S_ISLNK(s.st_mode): return {'link': os.readlink(path)}
    if stat.S_ISDIR(s.st_mode): return {n: look(os.path.join(path, n)) for n in sorted(os.listdir(path))}
    with open(path, 'rb') as f: head = f.read(40)
    return [s.st_size, head.decode('utf-8', 'replace'), bool(s.st_mode & 0o100)]

root = os.environ['GOLDFISH_INPUTS']
goldfish.save_output('seen', {n: look(os.path.join(root, n)) for n in sorted(os.listdir(root))})
`;

async function seen(client: ToolClient, runId: string | undefined): Promise<Row> {
  const { outputs, state, failure } = await inspect(client, runId);
  expect({ state, failure }).toEqual({ state: 'completed', failure: null });
  return JSON.parse(readFileSync(join(project.root, outputs['seen']?.path ?? ''), 'utf8')) as Row;
}

describe('sources', () => {
  it('reach a stage as one file of the input’s name, or as a folder, with every name and link', async () => {
    project.write('data/größe 1.csv', 'a,b\n');
    project.write('set/ein ordner/ß 🐟.txt', 'fish');
    chmodSync(join(project.root, 'set/ein ordner/ß 🐟.txt'), 0o755);
    mkdirSync(join(project.root, 'set/leer'));
    symlinkSync('ein ordner/ß 🐟.txt', join(project.root, 'set/verweis'));
    mkdirSync(join(project.root, 'nothing'));
    const { client } = await mountStages(project, {
      pipeline: `name: look
stages:
  - name: look
    inputs:
      table: { type: dataset, dataset: table }
      folder: { type: dataset, dataset: set@v1 }
      empty: { type: dataset, dataset: nothing }
    outputs: { seen: json }
`,
      modules: { look: LOOK },
    });
    const hashes: Record<string, unknown> = {};
    for (const [name, uri] of [
      ['table', 'data/größe 1.csv'],
      ['set', 'set'],
      ['nothing', 'nothing'],
    ] as const) {
      const { source } = await client.call('register_source', {
        name,
        uri,
        description: 'Data',
        reason: REASON,
      });
      hashes[name] = (source as Row)['hash'];
    }
    expect(hashes['table']).toBe(sha256('a,b\n'));
    expect(hashes['nothing']).toBe(folderHash([]));
    const { look } = await runAll(client);
    expect(await seen(client, look)).toEqual({
      table: [4, 'a,b\n', false],
      folder: {
        'ein ordner': { 'ß 🐟.txt': [4, 'fish', true] },
        leer: {},
        verweis: { link: 'ein ordner/ß 🐟.txt' },
      },
      empty: {},
    });
    const { inputs } = await inspect(client, look);
    expect(inputs['folder']).toMatchObject({ hash: hashes['set'], source: 'set@v1', from_run: null });
    expect(inputs['table']).toMatchObject({ hash: hashes['table'], source: 'table@v1' });
  });

  it('are pinned: what becomes of the original later changes no run, and a new version makes the old result stale', async () => {
    project.write('numbers', '1');
    const { client } = await mountStages(project, {
      pipeline:
        'name: p\nstages:\n  - name: look\n    inputs: { n: { type: dataset, dataset: numbers } }\n    outputs: { seen: json }\n',
      modules: { look: LOOK },
    });
    const register = () =>
      client.call('register_source', {
        name: 'numbers',
        uri: 'numbers',
        description: 'Data',
        reason: REASON,
      });
    await register();
    project.write('numbers', '22');
    const first = await runAll(client);
    expect(await seen(client, first['look'])).toEqual({ n: [1, '1', false] });
    expect(await register()).toMatchObject({ created: true, source: { version: 'v2' } });
    const second = await runAll(client);
    expect(await seen(client, second['look'])).toEqual({ n: [2, '22', false] });
    expect(second['look']).not.toBe(first['look']);
  });

  it('may be an output of another workspace, without a copy and with its lineage', async () => {
    const { client } = await mountStages(project, {
      pipeline: 'name: p\nstages:\n  - name: make\n    outputs: { made: json }\n',
      modules: { make: 'import goldfish\ngoldfish.save_output("made", [1, 2])\n' },
    });
    const { make } = await runAll(client);
    const before = project.rows<{ n: number }>('SELECT count(*) AS n FROM signal_lineage');
    const promoted = await client.call('promote_artifact', {
      run_id: make,
      output: 'made',
      source_name: 'list',
      description: 'Made once',
      reason: REASON,
    });
    expect(promoted['source']).toMatchObject({ name: 'list', version: 'v1', from_run: make, signal: 'made' });
    expect(project.rows('SELECT count(*) AS n FROM signal_lineage')).toEqual(before);
    await client.call('create_workspace', { name: 'other', goal: 'Read what exp has made', reason: REASON });
    const mounted = await client.call('mount', { workspace: 'other', reason: REASON });
    const slot = String(mounted['path']);
    for (const name of ['modules', 'configs']) rmSync(join(project.root, slot, name), { recursive: true });
    project.write(
      `${slot}/pipeline.yaml`,
      'name: p\nstages:\n  - name: look\n    inputs: { n: { type: dataset, dataset: list } }\n    outputs: { seen: json }\n',
    );
    project.write(`${slot}/modules/look.py`, LOOK);
    const submitted = await client.call('run', { workspace: 'other', reason: REASON });
    await waitOver(client, String(submitted['pipeline_run_id']));
    const [{ run_id: look }] = submitted['runs'] as [{ run_id: string }];
    expect(await seen(client, look)).toEqual({ n: [13, '[\n  1,\n  2\n]\n', false] });
    const up = await client.call('lineage', { ref: look, direction: 'up' });
    const edges = (up['edges'] as Row[]).map((edge) => `${edge['from']} -${edge['kind']}-> ${edge['to']}`);
    expect(edges).toContain(`source:list@v1 -input-> ${look}`);
    expect(edges).toContain(`${make}.made -promoted-> source:list@v1`);
    expect(edges).toContain(`${make} -output-> ${make}.made`);
    expect(edges).toContain(`version:exp@v2 -code-> ${make}`);
  });
});

describe('signals', () => {
  it('keep apart what has one name: an input and an output, outputs of two stages, readers of one signal', async () => {
    const { client } = await mountStages(project, {
      pipeline: `name: names
stages:
  - name: one
    outputs: { data: directory, same: file }
  - name: two
    inputs: { data: { from_stage: one, signal: data } }
    outputs: { data: directory, same: file }
  - name: left
    inputs: { data: { from_stage: two, signal: data }, same: { from_stage: one, signal: same } }
    outputs: { seen: json }
  - name: right
    inputs: { data: { from_stage: two, signal: data }, other: { from_stage: two, signal: same } }
    outputs: { seen: json }
`,
      modules: {
        one: `
import os, goldfish
d = goldfish.output_path('data')
os.makedirs(os.path.join(d, 'leer'))
open(os.path.join(d, 'ä b.txt'), 'w').write('from one')
open(goldfish.output_path('same'), 'w').write('one')
`,
        two: `
import os, shutil, goldfish
assert goldfish.input_path('data') != goldfish.output_path('data')
shutil.copytree(goldfish.input_path('data'), goldfish.output_path('data'), dirs_exist_ok=True)
# Where there is no sandbox the folder of an input is itself read-only, and copytree copies that too.
os.chmod(goldfish.output_path('data'), 0o755)
open(os.path.join(goldfish.output_path('data'), 'new'), 'w').write('from two')
open(goldfish.output_path('same'), 'w').write('two')
`,
        left: LOOK,
        right: LOOK,
      },
    });
    const runs = await runAll(client);
    const data = { leer: {}, new: [8, 'from two', false], 'ä b.txt': [8, 'from one', false] };
    expect(await seen(client, runs['left'])).toEqual({ data, same: [3, 'one', false] });
    expect(await seen(client, runs['right'])).toEqual({ data, other: [3, 'two', false] });
    const [one, two, left, right] = await Promise.all(
      ['one', 'two', 'left', 'right'].map((stage) => inspect(client, runs[stage])),
    );
    expect(one?.outputs['data']?.hash).toBe(
      folderHash([
        { path: 'leer', mode: '040000', hash: sha256('') },
        { path: 'ä b.txt', mode: '100644', hash: sha256('from one') },
      ]),
    );
    expect(two?.outputs['data']?.hash).not.toBe(one?.outputs['data']?.hash);
    expect(two?.inputs['data']?.hash).toBe(one?.outputs['data']?.hash);
    for (const reader of [left, right]) {
      expect(reader?.inputs['data']).toMatchObject({
        hash: two?.outputs['data']?.hash,
        from_run: runs['two'],
      });
    }
    expect(left?.inputs['same']).toMatchObject({ hash: sha256('one'), from_run: runs['one'] });
    expect(right?.inputs['other']).toMatchObject({ hash: sha256('two'), from_run: runs['two'] });
    const down = await client.call('lineage', { ref: `${runs['two']}.data`, direction: 'down' });
    const readers = (down['edges'] as Row[]).flatMap((edge) =>
      edge['kind'] === 'input' ? [edge['to']] : [],
    );
    expect(readers.sort()).toEqual([runs['left'], runs['right']].sort());
  });

  it('may be of two gigabytes, mostly holes, as a source, an input and an output', async () => {
    const size = 2 * 1024 ** 3 + 12_345;
    const big = join(project.outside, 'big');
    writeFileSync(big, 'start');
    truncateSync(big, size);
    const { client } = await mountStages(project, {
      pipeline: `name: big
stages:
  - name: grow
    inputs: { big: { type: dataset, dataset: big } }
    outputs: { bigger: file }
  - name: look
    inputs: { bigger: { from_stage: grow, signal: bigger } }
    outputs: { seen: json }
`,
      modules: {
        grow: `
import goldfish
size = __import__('os').path.getsize(goldfish.input_path('big'))
with open(goldfish.output_path('bigger'), 'wb') as f:
    f.write(b'head')
    f.truncate(size + 1)
`,
        look: LOOK,
      },
    });
    const request = { name: 'big', uri: big, description: 'Holes', fingerprint: 'declared', reason: REASON };
    let registered: Row;
    do registered = await client.call('register_source', request);
    while (registered['in_progress'] !== undefined);
    expect(registered['source']).toMatchObject({ size, kind: 'file' });
    const runs = await runAll(client);
    expect(await seen(client, runs['look'])).toEqual({
      bigger: [size + 1, expect.stringMatching(/^head\0+$/), false],
    });
  }, 300_000);
});
