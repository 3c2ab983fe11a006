import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { sha256 } from '../../src/core/json.ts';
import { createSources, type Sources } from '../../src/data/sources.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { sourceConsumers } from '../../src/store/sources.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

const FILES = {
  'pipeline.yaml': `name: p
stages:
  - name: make
    outputs: { made: json, folder: directory }
`,
  'modules/make.py': 'pass\n',
  'modules/read.py': 'pass\n',
};
const READS = `name: p
stages:
  - name: read
    inputs: { data: { type: dataset, dataset: numbers } }
    outputs: { seen: json }
`;

let prepared: PreparedProject;
let project: RunsProject;
let sources: Sources;
beforeAll(async () => {
  prepared = await prepareRunsProject({ files: FILES, config: 'storage: { keep: { min_free_gb: 0 } }\n' });
});
afterAll(() => prepared.dispose());
beforeEach(async () => {
  project = await prepared.open();
  sources = createSources(project.deps);
  writeFileSync(join(project.root, 'numbers'), '1');
});
afterEach(async () => {
  await sources.close();
  await project.dispose();
});

const register = (name: string, uri = 'numbers') => sources.register({ name, uri, description: 'Numbers' });

describe('listing', () => {
  it('shows the newest version of each name, in pages', async () => {
    for (const name of ['b', 'a', 'C', 'd']) await register(name);
    writeFileSync(join(project.root, 'numbers'), '2');
    await register('b');
    await sources.delete('d');
    const first = sources.list({ limit: 2 });
    expect(first.sources.map(({ source, versions }) => [source.name, source.version, versions])).toEqual([
      ['C', 1, 1],
      ['a', 1, 1],
    ]);
    const rest = sources.list({ limit: 2, cursor: first.nextCursor ?? '' });
    expect(rest.sources.map(({ source, versions }) => [source.name, source.version, versions])).toEqual([
      ['b', 2, 2],
    ]);
    expect(rest.nextCursor).toBeNull();
  });
});

describe('a source that runs read', () => {
  const submitReader = async () => {
    project.write('pipeline.yaml', READS);
    const { pipelineRun } = await project.submit();
    return project.runOf(pipelineRun.id, 'read');
  };

  it('names them, the open ones first, and cannot be deleted while one is open', async () => {
    await register('numbers');
    const run = await submitReader();
    project.write('pipeline.yaml', FILES['pipeline.yaml']);
    await project.deps.workspaces.snapshot({ workspace: 'exp', message: 'No reader any more' });
    expect(await sources.inspect({ name: 'numbers' })).toMatchObject({
      counts: { runs: 1, open: 1 },
      consumers: [{ runId: run.id, stage: 'read', input: 'data', sourceVersion: 1, open: true }],
      pipelines: [],
    });
    await expect(sources.delete('numbers')).rejects.toMatchObject({
      code: 'SOURCE_IN_USE',
      message: `numbers is in use: ${run.id} (read of exp, pending).`,
      details: { open_runs: [`${run.id} (read of exp, pending)`], pipelines: [] },
      fix: { tool: 'inspect_source', arguments: { name: 'numbers' } },
    });
    cancelRuns(project.deps, { target: run.id, reason: 'It is not needed' });
    await project.tick();
    expect(await sources.delete('numbers')).toEqual({ name: 'numbers', versions: 1 });
    // What was read stays known.
    expect(sourceConsumers(project.db, { name: 'numbers', limit: 5 })).toHaveLength(1);
  });

  it('cannot be deleted while the newest version of a workspace names it, also in a pipeline with problems', async () => {
    await register('numbers');
    project.write('pipelines/other.yaml', `${READS.replace('numbers', 'numbers@v1')}    nonsense: true\n`);
    await project.deps.workspaces.snapshot({ workspace: 'exp', message: 'Names the source' });
    await expect(sources.delete('numbers')).rejects.toMatchObject({
      code: 'SOURCE_IN_USE',
      message: 'numbers is in use: read.data of exp@v2 (other).',
      details: { open_runs: [], pipelines: ['read.data of exp@v2 (other)'], pipelines_in_all: 1 },
    });
    rmSync(join(project.root, 'workspaces/w1/pipelines'), { recursive: true });
    await project.deps.workspaces.snapshot({ workspace: 'exp', message: 'Does not name it' });
    expect(await sources.delete('numbers')).toEqual({ name: 'numbers', versions: 1 });
  });

  it('is not in use by one whose name begins with its own', async () => {
    await register('numbers');
    await register('num');
    await submitReader();
    expect(await sources.delete('num')).toEqual({ name: 'num', versions: 1 });
  });

  it('reaches a run that was planned before it was deleted', async () => {
    await register('numbers');
    const run = await submitReader();
    project.db.prepare("UPDATE sources SET deleted_at = '2026-01-01T00:00:00.000Z'").run();
    await project.tick();
    const [spec] = project.fake.launched.filter(({ runId }) => runId === run.id);
    expect(spec?.inputs).toMatchObject([{ name: 'data', kind: 'file', fileName: 'data', hash: sha256('1') }]);
  });
});

describe('a deleted source', () => {
  it('is gone for new work, and its number is not used again', async () => {
    await register('numbers');
    await sources.delete('numbers');
    await expect(sources.inspect({ name: 'numbers' })).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    await expect(sources.delete('numbers')).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
    expect((await register('numbers')).source.version).toBe(2);
    await expect(sources.inspect({ name: 'numbers', version: 1 })).rejects.toMatchObject({
      message: 'numbers has no version v1.',
      hint: 'Its newest is v2.',
    });
    await expect(sources.inspect({ name: 'nubmers' })).rejects.toMatchObject({
      hint: 'Did you mean numbers?',
    });
  });
});

describe('promoting an output', () => {
  const complete = async () => {
    const run = project.runOf(prepared.first, 'make');
    await project.tick();
    const { outputs } = project.deps.layout.attempt(run.id, 1);
    mkdirSync(join(outputs, 'folder'), { recursive: true });
    writeFileSync(join(outputs, 'made.json'), '[1]');
    writeFileSync(join(outputs, 'folder', 'a'), 'a');
    project.fake.end(run.id);
    await project.tick();
    return project.run(run.id);
  };
  const promote = (run: ReturnType<RunsProject['run']>, output: string, name = 'promoted') =>
    sources.promote({ run, output, name, description: 'An output' });

  it('names the same content, without a copy, and knows where it came from', async () => {
    const run = await complete();
    const before = (await project.deps.storage.list('')).objects;
    const { source, created } = promote(run, 'made');
    expect(created).toBe(true);
    expect(source).toMatchObject({
      version: 1,
      kind: 'file',
      hash: sha256('[1]'),
      uri: `${run.id}.made`,
      fromRunId: run.id,
      fromSignal: 'made',
    });
    expect(promote(run, 'folder', 'set').source).toMatchObject({ kind: 'folder', size: 1 });
    expect(promote(run, 'made')).toMatchObject({ created: false, source: { version: 1 } });
    expect((await project.deps.storage.list('')).objects).toEqual(before);
  });

  it('of a reused run leads to the run that did the work', async () => {
    const run = await complete();
    const { pipelineRun } = await project.submit({
      configOverride: { make: { compute: { timeout_seconds: 77 } } },
    });
    const reused = project.runOf(pipelineRun.id, 'make');
    expect(reused).toMatchObject({ cause: 'cached', cachedFrom: run.id });
    expect(promote(reused, 'made').source).toMatchObject({ fromRunId: run.id });
  });

  it('is refused for what is not there', async () => {
    const open = project.runOf(prepared.first, 'make');
    expect(() => promote(open, 'made')).toThrowError(
      expect.objectContaining({
        code: 'CONFLICT',
        message: `${open.id} is pending: only a completed run has outputs.`,
      }),
    );
    const run = await complete();
    expect(() => promote(run, 'mode')).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', hint: 'Did you mean made?' }),
    );
    expect(() => promote(run, 'made', 'a/b')).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('registering patiently', () => {
  const patiently = (waitMs: number, signal = new AbortController().signal) =>
    sources.registerPatiently({ name: 'numbers', uri: 'numbers', description: 'd' }, { waitMs, signal });

  it('answers when patience ends, and gives the same call the result later', async () => {
    writeFileSync(join(project.root, 'numbers'), Buffer.alloc(4 << 20, 'x'));
    expect(await patiently(0)).toMatchObject({ inProgress: { copied: expect.any(Number) } });
    const outcome = await patiently(60_000);
    expect(outcome).toMatchObject({ created: true, source: { size: 4 << 20, version: 1 } });
    expect(await patiently(60_000)).toMatchObject({ created: false });
  });

  it('means the data as they are by then where the same call comes much later', async () => {
    const time = createTestClock();
    sources = createSources({ ...project.deps, clock: { ...systemClock, monotonic: time.clock.monotonic } });
    writeFileSync(join(project.root, 'numbers'), Buffer.alloc(4 << 20, 'x'));
    const first = await patiently(0);
    if ('inProgress' in first) await until(() => sources.list({ limit: 1 }).sources.length === 1, 'the copy');
    writeFileSync(join(project.root, 'numbers'), 'changed');
    time.advance(6 * 60_000);
    expect(await patiently(60_000)).toMatchObject({ created: true, source: { size: 7, version: 2 } });
  });

  it('gives the same call the refusal, once', async () => {
    rmSync(join(project.root, 'numbers'));
    const first = await patiently(0).catch((error: unknown) => error);
    const second = first instanceof Error ? first : await patiently(60_000).catch((error: unknown) => error);
    expect(second).toMatchObject({ code: 'INVALID_ARGUMENT' });
    writeFileSync(join(project.root, 'numbers'), '1');
    expect(await patiently(60_000)).toMatchObject({ created: true });
  });

  it('goes on for another call that waits when one is aborted', async () => {
    writeFileSync(join(project.root, 'numbers'), Buffer.alloc(4 << 20, 'x'));
    const abort = new AbortController();
    const gone = patiently(60_000, abort.signal);
    const stays = patiently(60_000);
    abort.abort();
    await expect(gone).rejects.toThrow();
    expect(await stays).toMatchObject({ created: true, source: { version: 1 } });
  });

  it('ends with the call that is aborted, and with the process', async () => {
    writeFileSync(join(project.root, 'numbers'), Buffer.alloc(4 << 20, 'x'));
    const abort = new AbortController();
    const going = patiently(60_000, abort.signal);
    abort.abort();
    await expect(going).rejects.toThrow();
    await patiently(0);
    await sources.close();
    expect(sources.list({ limit: 5 }).sources).toEqual([]);
  });
});
