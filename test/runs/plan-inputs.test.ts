import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import type { InputOrigin } from '../../src/core/stage-plan.ts';
import { registerSource } from '../../src/data/register-source.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { inputsOfRun, outputsOfRun } from '../../src/store/signals.ts';
import { deleteSourceVersions, listSourceNames, newestSource } from '../../src/store/sources.ts';
import { listStageRuns } from '../../src/store/stage-runs.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

const PIPELINE = `stages:
  - name: make
    outputs: { x: json, y: json }
  - name: use
    inputs: { x: { from_stage: make } }
    outputs: { z: json }
`;
const WITH_DATASET = `${PIPELINE}  - name: read
    inputs: { raw: { dataset: digits } }
    outputs: { r: json }
`;

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  // Room for what the prepared project holds already, whichever of the runs comes first.
  prepared = await prepareRunsProject({
    config: 'process: { max_parallel: 8 }\n',
    files: {
      'pipeline.yaml': PIPELINE,
      'modules/make.py': 'pass\n',
      'modules/use.py': 'pass\n',
      'modules/read.py': 'pass\n',
    },
  });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

/** Where the inputs of the planned stages come from. */
async function origins(request: Partial<RunRequest>): Promise<Record<string, InputOrigin>> {
  const asked = { workspace: 'exp', reason: 'A look before the run', useCache: true, ...request };
  const { stages } = await previewRun(project.deps, asked);
  const found = stages.flatMap(({ plan }) =>
    plan.inputs.map((input) => [`${plan.stage}.${input.name}`, input.origin] as const),
  );
  return Object.fromEntries(found);
}

async function refusal(request: Partial<RunRequest>) {
  const error: unknown = await origins(request).catch((thrown: unknown) => thrown);
  if (!isGoldfishError(error)) throw error;
  return error;
}

const override = (x: NonNullable<RunRequest['inputsOverride']>[string][string]): Partial<RunRequest> => ({
  stages: ['use'],
  inputsOverride: { use: { x } },
});

/** The first call's run of a stage, completed. */
async function completed(stage: 'make' | 'use', outputs?: Record<string, unknown>) {
  await project.tick();
  const { id } = project.runOf(prepared.first, stage);
  await project.complete(id, outputs);
  return id;
}

async function register(name: string, text: string): Promise<void> {
  writeFileSync(join(project.root, `${name}.json`), text);
  await registerSource(project.deps, { name, uri: `${name}.json`, description: 'Data of the test' });
}

describe('an input given by the call', () => {
  it('may be a run, whose output of the wired name it takes', async () => {
    const id = await completed('make', { x: { a: 1 } });
    const [x] = outputsOfRun(project.db, id);
    expect(await origins(override(id.slice(0, 14)))).toEqual({
      'use.x': { kind: 'run', runId: id, stage: 'make', signal: 'x', hash: x?.hash, stale: false },
    });
  });

  it('may be one output of a run', async () => {
    const id = await completed('make');
    expect(await origins(override({ runId: id, signal: 'y' }))).toMatchObject({
      'use.x': { kind: 'run', runId: id, signal: 'y' },
    });
  });

  it('may be the only output of a run, whatever its name', async () => {
    await completed('make');
    const id = await completed('use');
    expect(await origins(override(id))).toMatchObject({ 'use.x': { runId: id, signal: 'z' } });
  });

  it('may be a source or a version of one, and is pinned', async () => {
    await register('numbers', '[1]');
    await register('numbers', '[1, 2]');
    expect(await origins(override('numbers'))).toMatchObject({
      'use.x': { kind: 'source', name: 'numbers', version: 2 },
    });
    const { runs } = await project.submit(override('numbers@v1'));
    await register('numbers', '[1, 2, 3]');
    const [input] = inputsOfRun(project.db, runs[0]?.id ?? '');
    expect(input).toMatchObject({ fromSource: 'numbers', fromSourceVersion: 1, fromRunId: null });
  });

  it('may be a path, which becomes a source when the call is made and not when it is only looked at', async () => {
    mkdirSync(join(project.root, 'raw'));
    writeFileSync(join(project.root, 'raw', 'a b.json'), '{"a": 1}');
    const planned = await origins(override('raw/a b.json'));
    expect(planned).toMatchObject({ 'use.x': { kind: 'source', version: 1 } });
    expect(listSourceNames(project.db)).toEqual([]);
    const { runs } = await project.submit(override('raw/a b.json'));
    expect(runs[0]?.plan.inputs[0]?.origin).toEqual(planned['use.x']);
    const [name = ''] = listSourceNames(project.db);
    expect(newestSource(project.db, name)).toMatchObject({ uri: 'raw/a b.json', kind: 'file' });
    // The same file again is the same call.
    expect(await project.submit(override('raw/a b.json'))).toMatchObject({ deduplicated: true });
  });

  it('is handed to the stage as its bytes, with no need for the producer', async () => {
    await register('numbers', '[1, 2, 3]');
    const { pipelineRun } = await project.submit({
      ...override('numbers'),
      stages: ['make', 'use'],
      useCache: false,
    });
    await project.tick();
    const run = project.runOf(pipelineRun.id, 'use');
    expect(run.state).toBe('launching');
    const spec = project.fake.launched.find((launched) => launched.runId === run.id);
    expect(spec?.inputs).toMatchObject([{ name: 'x', kind: 'file', fileName: 'x.json' }]);
  });

  it('makes another call, and another result only where the content differs', async () => {
    const made = await completed('make', { x: [1] });
    await project.tick();
    await project.complete(project.runOf(prepared.first, 'use').id);
    await register('same', JSON.stringify([1]));
    await register('other', JSON.stringify([2]));
    const same = await project.submit(override('same'));
    expect([same.deduplicated, same.runs[0]?.cause]).toEqual([false, 'cached']);
    expect((await project.submit(override(made))).runs[0]?.cause).toBe('cached');
    const other = await project.submit(override('other'));
    expect([other.deduplicated, other.runs[0]?.cause]).toEqual([false, null]);
  });

  it.each<[Parameters<typeof override>[0], string, string, string]>([
    ['stage-000000', 'RUN_NOT_FOUND', 'No run has the id "stage-000000".', 'Ids are stage-'],
    ['nubers', 'SOURCE_NOT_FOUND', 'There is no source "nubers".', 'Did you mean numbers?'],
    ['numbers@v9', 'SOURCE_NOT_FOUND', 'numbers has no version v9.', 'Its newest is v1.'],
    ['./gone', 'INPUT_UNAVAILABLE', '"./gone" is not there.', 'uri is a path'],
    ['/etc/passwd', 'PATH_OUTSIDE_ROOT', '"/etc/passwd" is neither in the project', 'A person can add'],
    [
      '.goldfish/goldfish.db',
      'PATH_OUTSIDE_ROOT',
      '".goldfish/goldfish.db" is, or holds,',
      'Register the file',
    ],
    ['raw', 'SOURCE_NOT_FOUND', 'There is no source "raw".', 'list_sources'],
    [
      './raw',
      'INVALID_ARGUMENT',
      '"./raw" is a folder, and the input wants one file (json).',
      'Name other data',
    ],
  ])('is refused as %j', async (value, code, message, hint) => {
    await register('numbers', '[1]');
    mkdirSync(join(project.root, 'raw'));
    writeFileSync(join(project.root, 'raw', 'a.json'), '{}');
    const error = await refusal(override(value));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  it('is refused as a run that has not completed, with the call that helps', async () => {
    const { id } = project.runOf(prepared.first, 'make');
    const error = await refusal(override(id));
    expect(error).toMatchObject({
      code: 'INPUT_UNAVAILABLE',
      message: `Input "x" of use is to come from ${id}, which is pending.`,
      fix: { tool: 'wait', arguments: { targets: [id] } },
    });
  });

  it('is refused as an output the run has not, or one of another type, with those it has', async () => {
    const id = await completed('make');
    expect(await refusal(override({ runId: id, signal: 'yy' }))).toMatchObject({
      message: `${id} has no output "yy".`,
      hint: 'Did you mean "y"?',
      details: { field: 'inputs_override', stage: 'use', input: 'x', allowed: ['x', 'y'] },
    });
    project.write('pipeline.yaml', PIPELINE.replace('{ x: json, y: json }', '{ x: csv, y: json }'));
    expect(await refusal(override(id))).toMatchObject({
      message: `"x" of ${id} is json, and the input wants csv.`,
    });
  });

  it('is refused as a pipeline run, which has many', async () => {
    expect(await refusal(override(prepared.first))).toMatchObject({
      code: 'RUN_NOT_FOUND',
      message: `${prepared.first} is a pipeline run; this needs the run of one stage.`,
    });
  });
});

describe('an input that an earlier run made', () => {
  it('is refused as one that was stored as another type, with the call that makes it anew', async () => {
    const id = await completed('make');
    project.write('pipeline.yaml', PIPELINE.replace('{ x: json, y: json }', '{ x: csv, y: json }'));
    expect(await refusal({ stages: ['use'] })).toMatchObject({
      code: 'INPUT_UNAVAILABLE',
      message: `Input "x" of use needs "x" of make, and ${id} stored it as json, not as csv.`,
      fix: { tool: 'run', arguments: { workspace: 'exp', stages: ['make'] } },
    });
  });
});

describe('a dataset', () => {
  it('is its newest version when the call is planned, and stays that', async () => {
    await register('digits', '[1]');
    project.write('pipeline.yaml', WITH_DATASET);
    const { runs } = await project.submit({ stages: ['read'] });
    const id = runs[0]?.id ?? '';
    await register('digits', '[1, 2]');
    expect(inputsOfRun(project.db, id)).toMatchObject([{ fromSource: 'digits', fromSourceVersion: 1 }]);
    expect(await origins({ stages: ['read'] })).toMatchObject({ 'read.raw': { version: 2 } });
    expect(await project.submit({ stages: ['read'] })).toMatchObject({ deduplicated: false });
  });

  it('may be pinned in the pipeline', async () => {
    await register('digits', '[1]');
    await register('digits', '[1, 2]');
    project.write('pipeline.yaml', WITH_DATASET.replace('dataset: digits', 'dataset: digits@v1'));
    expect(await origins({ stages: ['read'] })).toMatchObject({
      'read.raw': { kind: 'source', name: 'digits', version: 1 },
    });
  });

  it('that is not registered is a problem of the pipeline, before anything is stored', async () => {
    await register('digit', '[1]');
    project.write('pipeline.yaml', WITH_DATASET);
    const before = listStageRuns(project.db, { limit: 100 }).length;
    await expect(project.submit({ stages: ['read'] })).rejects.toMatchObject({
      code: 'INVALID_PIPELINE',
      message: 'pipeline.yaml:8:31: The dataset "digits" is not registered.',
      hint: 'Did you mean "digit"?',
    });
    expect(listStageRuns(project.db, { limit: 100 })).toHaveLength(before);
  });

  it('that was deleted is registered no more', async () => {
    await register('digits', '[1]');
    deleteSourceVersions(project.db, { name: 'digits', at: '2026-01-01T00:00:00.000Z' });
    project.write('pipeline.yaml', WITH_DATASET);
    expect((await refusal({ stages: ['read'] })).message).toContain(
      'The dataset "digits" is not registered.',
    );
  });

  it('with new content makes what was computed from it stale', async () => {
    project.write(
      'pipeline.yaml',
      `${WITH_DATASET}  - name: report\n    command: [run]\n    inputs: { r: { from_stage: read } }\n`,
    );
    await register('digits', '[1]');
    const { pipelineRun } = await project.submit({ stages: ['read'] });
    await project.tick();
    await project.complete(project.runOf(pipelineRun.id, 'read').id);
    expect(await origins({ stages: ['report'] })).toMatchObject({ 'report.r': { stale: false } });
    await register('digits', '[1, 2]');
    expect(await origins({ stages: ['report'] })).toMatchObject({ 'report.r': { stale: true } });
  });
});

describe('a group', () => {
  it('is the label of the runs of its calls, and filters them', async () => {
    const { pipelineRun } = await project.submit({ group: 'night', configOverride: { make: { k: 2 } } });
    expect(pipelineRun.group).toBe('night');
    const inGroup = listStageRuns(project.db, { group: 'night', limit: 10 });
    expect(inGroup.map((run) => run.stage).toSorted()).toEqual(['make', 'use']);
    expect(listStageRuns(project.db, { group: 'day', limit: 10 })).toEqual([]);
  });

  it('does not make an equal call another one', async () => {
    expect(await project.submit({ group: 'night' })).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: prepared.first, group: null },
    });
  });
});
