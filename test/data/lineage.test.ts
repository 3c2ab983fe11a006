import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Direction, lineageGraph } from '../../src/data/lineage.ts';
import type { LineageRef } from '../../src/data/lineage-steps.ts';
import { createDataProject, type DataProject } from './data-project.ts';

let project: DataProject;
beforeEach(async () => {
  project = await createDataProject();
  sql("INSERT INTO workspaces (name, goal, created_at) VALUES ('base', 'g', '2026')");
  sql(
    "INSERT INTO workspaces (name, goal, from_workspace, from_version, created_at) VALUES ('fork', 'g', 'base', 2, '2026')",
  );
  for (const [workspace, version] of [
    ['base', 1],
    ['base', 2],
    ['fork', 1],
  ] as const) {
    sql(
      `INSERT INTO workspace_versions VALUES ('${workspace}', ${version}, 's', 't', 'run', 'm', '2026', NULL)`,
    );
  }
});
afterEach(() => project.dispose());

const sql = (text: string, ...values: (string | number | null)[]): void =>
  void project.db.prepare(text).run(...values);

function addRun(
  name: string,
  options: { workspace?: string; version?: number; from?: string; open?: true } = {},
): void {
  const { workspace = 'base', version = 1, from = null, open } = options;
  sql(
    "INSERT INTO pipeline_runs VALUES (?, ?, ?, 'p', 'k', 'running', 'r', '{}', NULL, '0', '2026', NULL, NULL, NULL)",
    `prun-${name}`,
    workspace,
    version,
  );
  sql(
    `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause, cache_key,
       cached_from, backend_type, profile, plan_json, created_at, ended_at)
     VALUES (?, ?, 0, ?, ?, 's', ?, ?, ?, ?, 'process', 'default', '{}', '2026', ?)`,
    `stage-${name}`,
    `prun-${name}`,
    workspace,
    version,
    open ? 'running' : 'completed',
    open ? null : from ? 'cached' : 'success',
    `key of ${from ?? name}`,
    from && `stage-${from}`,
    open ? null : '2026',
  );
}
const addOutput = (run: string, signal: string): void =>
  sql(
    `INSERT INTO signal_lineage VALUES (?, ?, 'file', 'file', ?, 7, 'l', '{}', '2026')`,
    `stage-${run}`,
    signal,
    `sha256:${run}.${signal}`,
  );
const addInput = (run: string, name: string, producer: string, signal: string): void =>
  sql(
    'INSERT INTO run_inputs (run_id, name, signal_type, from_run_id, from_signal) VALUES (?, ?, ?, ?, ?)',
    `stage-${run}`,
    name,
    'file',
    `stage-${producer}`,
    signal,
  );
const readSource = (run: string, name: string, source: string, version = 1): void =>
  sql(
    "INSERT INTO run_inputs (run_id, name, signal_type, hash, from_source, from_source_version) VALUES (?, ?, 'dataset', 'h', ?, ?)",
    `stage-${run}`,
    name,
    source,
    version,
  );
const addSource = (name: string, from?: { run: string; signal: string }, version = 1): void =>
  sql(
    "INSERT INTO sources VALUES (?, ?, 'u', 'd', 'file', 'h', 7, 'full', 'l', '{}', ?, ?, '2026', NULL)",
    name,
    version,
    from ? `stage-${from.run}` : null,
    from?.signal ?? null,
  );

function graph(root: LineageRef, direction: Direction, depth = 20) {
  const found = lineageGraph(project.db, { roots: [root], direction, depth });
  return {
    edges: found.edges
      .map(({ from, to, kind, name }) => `${from} -${name ? `${kind} ${name}` : kind}-> ${to}`)
      .sort(),
    nodes: found.nodes.map(({ id, distance }) => `${distance} ${id}`),
    truncated: found.truncated,
  };
}
const run = (name: string): LineageRef => ({ kind: 'run', runId: `stage-${name}` });

/** raw → clean → (train, look); train.model → source `model` → use, in a fork. */
function family(): void {
  addSource('raw');
  for (const name of ['clean', 'train', 'look']) addRun(name, { version: 2 });
  addRun('use', { workspace: 'fork' });
  readSource('clean', 'data', 'raw');
  addOutput('clean', 'tidy');
  addInput('train', 'x', 'clean', 'tidy');
  addInput('look', 'y', 'clean', 'tidy');
  addOutput('train', 'model');
  addSource('model', { run: 'train', signal: 'model' });
  readSource('use', 'm', 'model');
}

describe('lineage', () => {
  it('goes up to everything something was made from, and nowhere else', () => {
    family();
    expect(graph(run('use'), 'up').edges).toEqual(
      [
        'version:fork@v1 -code-> stage-use',
        'version:base@v2 -forked-> version:fork@v1',
        'source:model@v1 -input m-> stage-use',
        'stage-train.model -promoted-> source:model@v1',
        'stage-train -output-> stage-train.model',
        'version:base@v2 -code-> stage-train',
        'stage-clean.tidy -input x-> stage-train',
        'stage-clean -output-> stage-clean.tidy',
        'version:base@v2 -code-> stage-clean',
        'source:raw@v1 -input data-> stage-clean',
      ].sort(),
    );
  });

  it('goes down to everything that was made from something', () => {
    family();
    expect(graph({ kind: 'source', name: 'raw', version: 1 }, 'down').edges).toEqual(
      [
        'source:raw@v1 -input data-> stage-clean',
        'stage-clean -output-> stage-clean.tidy',
        'stage-clean.tidy -input x-> stage-train',
        'stage-clean.tidy -input y-> stage-look',
        'stage-train -output-> stage-train.model',
        'stage-train.model -promoted-> source:model@v1',
        'source:model@v1 -input m-> stage-use',
      ].sort(),
    );
  });

  it('goes both ways without the neighbours of neighbours', () => {
    family();
    const { nodes } = graph(run('train'), 'both');
    expect(nodes.some((node) => node.endsWith('stage-look'))).toBe(false);
    expect(nodes.some((node) => node.endsWith('source:raw@v1'))).toBe(true);
    expect(nodes.some((node) => node.endsWith('stage-use'))).toBe(true);
  });

  it('starts at a signal, and counts steps without signals', () => {
    family();
    const signal: LineageRef = { kind: 'signal', runId: 'stage-clean', signal: 'tidy' };
    expect(graph(signal, 'down', 1).nodes).toEqual([
      '0 stage-clean.tidy',
      '1 stage-look',
      '1 stage-look'.replace('look', 'train'),
      '1 stage-train.model',
    ]);
    expect(graph(signal, 'up', 1).nodes).toEqual(['0 stage-clean.tidy', '1 stage-clean']);
  });

  it('leads from a reused run to the one that did the work, and back', () => {
    family();
    addRun('again', { version: 1, from: 'train' });
    addOutput('again', 'model');
    addRun('after', { open: true });
    addInput('after', 'm', 'again', 'model');
    expect(graph(run('again'), 'up', 1).edges).toContain('stage-train -reused-> stage-again');
    expect(graph(run('train'), 'down', 3).edges).toEqual(
      expect.arrayContaining([
        'stage-train -reused-> stage-again',
        'stage-again -output-> stage-again.model',
        'stage-again.model -input m-> stage-after',
      ]),
    );
    expect(graph(run('after'), 'up').edges).toContain('source:raw@v1 -input data-> stage-clean');
  });

  it('shows signals that are not made yet where somebody waits for them', () => {
    addRun('slow', { open: true });
    addRun('waits', { open: true });
    addInput('waits', 'in', 'slow', 'soon');
    const found = lineageGraph(project.db, { roots: [run('slow')], direction: 'down', depth: 5 });
    const soon = found.nodes.find(({ id }) => id === 'stage-slow.soon');
    expect(soon?.ref).toEqual({ kind: 'signal', runId: 'stage-slow', signal: 'soon' });
    expect(soon?.content).toBeUndefined();
    expect(found.nodes.map(({ id }) => id)).toContain('stage-waits');
  });

  it('starts at a version with the runs of it and the workspaces made from it', () => {
    family();
    expect(graph({ kind: 'version', workspace: 'base', version: 2 }, 'down', 1).edges).toEqual(
      [
        'version:base@v2 -code-> stage-clean',
        'version:base@v2 -code-> stage-train',
        'version:base@v2 -code-> stage-look',
        'version:base@v2 -forked-> version:fork@v1',
        'stage-clean -output-> stage-clean.tidy',
        'stage-train -output-> stage-train.model',
      ].sort(),
    );
  });

  it('ends where data go in a circle through the same names', () => {
    addRun('a');
    addOutput('a', 'x');
    addSource('loop', { run: 'a', signal: 'x' });
    addRun('b');
    readSource('b', 'in', 'loop');
    addOutput('b', 'x');
    addSource('loop', { run: 'b', signal: 'x' }, 2);
    readSource('a', 'in', 'loop', 2);
    expect(graph(run('a'), 'both').truncated).toBe(false);
    expect(graph(run('a'), 'up').nodes.length).toBeLessThan(10);
  });

  it('is bounded, nearest first, and says that there is more', () => {
    addRun('hub');
    addOutput('hub', 'x');
    project.db.write(() => {
      for (let i = 0; i < 250; i += 1) {
        addRun(`n${i}`);
        addInput(`n${i}`, 'in', 'hub', 'x');
        addOutput(`n${i}`, 'a');
        addOutput(`n${i}`, 'b');
        addOutput(`n${i}`, 'c');
      }
    });
    const wide = lineageGraph(project.db, { roots: [run('hub')], direction: 'down', depth: 1 });
    expect(wide.truncated).toBe(true);
    expect(wide.nodes.filter(({ ref }) => ref.kind === 'run')).toHaveLength(101);
    const deep = lineageGraph(project.db, { roots: [run('hub')], direction: 'down', depth: 9 });
    expect(deep.nodes.length).toBeLessThanOrEqual(402);
    expect(deep.truncated).toBe(true);
    const distances = deep.nodes.map(({ distance }) => distance);
    expect(distances).toEqual([...distances].sort((x, y) => x - y));
    const ids = new Set(deep.nodes.map(({ id }) => id));
    expect(deep.edges.every(({ from, to }) => ids.has(from) && ids.has(to))).toBe(true);
  });
});
