import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { getPipelineRun } from '../../src/store/pipeline-runs.ts';
import { inputsOfRun, outputsOfRun } from '../../src/store/signals.ts';
import { runsOfPipelineRun } from '../../src/store/stage-runs.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({ config: 'process: { max_parallel: 4 }\n', files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

const of = (stage: string, pipelineRunId = prepared.first) => project.runOf(pipelineRunId, stage);
const preview = (request: Partial<RunRequest> = {}) =>
  previewRun(project.deps, { workspace: 'exp', reason: 'A look before the run', useCache: true, ...request });
const count = (table: string): number =>
  project.db.prepare<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? -1;
const stored = (): number[] =>
  ['workspace_versions', 'pipeline_runs', 'stage_runs', 'run_events', 'records'].map(count);

/** Lets the first pipeline run complete. */
async function completeAll(): Promise<void> {
  await project.tick();
  await project.complete(of('one').id);
  await project.complete(of('lone').id);
  await project.tick();
  await project.complete(of('two').id);
}

describe('an equal call', () => {
  it('gets the pipeline run that is active, and stores nothing', async () => {
    const before = stored();
    const again = await project.submit({ reason: 'The very same once more' });
    expect(again).toMatchObject({
      deduplicated: true,
      versionCreated: false,
      pipelineRun: { id: prepared.first },
    });
    expect(again.runs.map((run) => run.id)).toEqual(['one', 'two', 'lone'].map((stage) => of(stage).id));
    expect(stored()).toEqual(before);
  });

  it('makes no version of a slot that has not changed', async () => {
    await project.dispose();
    project = await prepared.open({ live: true });
    const before = stored();
    const again = await project.submit({ reason: 'The very same once more' });
    expect(again).toMatchObject({ deduplicated: true, versionCreated: false, version: { version: 1 } });
    expect(stored()).toEqual(before);
    const other = await project.submit({ stages: ['lone'] });
    expect(other).toMatchObject({ deduplicated: false, versionCreated: false, version: { version: 1 } });
  });

  it('gets the pipeline run that has completed, with its results', async () => {
    await completeAll();
    const again = await project.submit();
    expect(again).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: prepared.first, state: 'completed' },
    });
  });

  it('starts a new one after a failure, which reuses what had completed', async () => {
    await project.tick();
    await project.complete(of('one').id);
    await project.complete(of('lone').id);
    await project.tick();
    project.fake.end(of('two').id, { exitCode: 1 });
    await project.tick();
    const again = await project.submit();
    expect(again).toMatchObject({ deduplicated: false, versionCreated: false, version: { version: 1 } });
    expect(again.pipelineRun.id).not.toBe(prepared.first);
    expect(
      again.runs.map(({ stage, state, cause, cachedFrom }) => [stage, state, cause, cachedFrom]),
    ).toEqual([
      ['one', 'completed', 'cached', of('one').id],
      ['two', 'pending', null, null],
      ['lone', 'completed', 'cached', of('lone').id],
    ]);
  });

  it('starts a new one while the first is being canceled', async () => {
    await project.tick();
    cancelRuns(project.deps, { target: of('lone').id, reason: 'Wrong question' });
    expect(getPipelineRun(project.db, prepared.first)?.state).toBe('running');
    expect(await project.submit()).toMatchObject({ deduplicated: false });
  });

  it('starts a new one that reuses nothing where the caller says use_cache: false', async () => {
    await completeAll();
    const again = await project.submit({ useCache: false });
    expect(again.deduplicated).toBe(false);
    await project.tick();
    expect(of('one', again.pipelineRun.id)).toMatchObject({
      state: 'launching',
      cacheReason: 'reuse is off for this stage or call',
    });
  });

  it('is one where the override says what the files say', async () => {
    expect(await project.submit({ configOverride: { one: { k: 1 } } })).toMatchObject({ deduplicated: true });
  });

  it.each<[string, Partial<RunRequest>]>([
    ['other stages', { stages: ['one', 'two'] }],
    ['another config', { configOverride: { one: { k: 2 } } }],
    ['another limit', { configOverride: { one: { compute: { timeout_seconds: 5 } } } }],
  ])('is another one with %s', async (_, request) => {
    expect(await project.submit(request)).toMatchObject({ deduplicated: false });
  });
});

describe('submitting', () => {
  it('stores the plan as it was shown, and shows it again as long as nothing changes', async () => {
    const request = { configOverride: { two: { depth: 9 } } };
    const [first, second] = [await preview(request), await preview(request)];
    expect(second).toEqual(first);
    const { runs, pipelineRun, version } = await project.submit(request);
    expect(runs.map((run) => run.plan)).toEqual(first.stages.map((stage) => stage.plan));
    expect(pipelineRun.request).toMatchObject({ workspace: 'exp', configOverride: { two: { depth: 9 } } });
    expect(version.version).toBe(first.version);
    expect(first.versionCreated).toBe(false);
  });

  it('makes a version of a slot that has changed, and stores its number with every run', async () => {
    project.write('configs/one.yaml', 'k: 5\n');
    const { version, versionCreated, runs } = await project.submit();
    expect([version.version, versionCreated]).toEqual([2, true]);
    expect(runs.map((run) => run.version)).toEqual([2, 2, 2]);
    expect(runs[0]?.plan.config).toEqual({ k: 5 });
  });

  it('wires an input within the call to the run that will make it', () => {
    expect(inputsOfRun(project.db, of('two').id)).toMatchObject([
      { name: 'a', fromRunId: of('one').id, fromSignal: 'a', hash: null, stale: false },
    ]);
  });

  it('wires an input from outside of the call to the newest completed run, and says where that is stale', async () => {
    await completeAll();
    const [made] = outputsOfRun(project.db, of('one').id);
    const fresh = await project.submit({ stages: ['two'], configOverride: { two: { depth: 4 } } });
    const input = { name: 'a', fromRunId: of('one').id, hash: made?.hash };
    expect(inputsOfRun(project.db, fresh.runs[0]?.id ?? '')).toMatchObject([{ ...input, stale: false }]);
    project.write('configs/one.yaml', 'k: 5\n');
    const stale = await project.submit({ stages: ['two'], configOverride: { two: { depth: 5 } } });
    expect(inputsOfRun(project.db, stale.runs[0]?.id ?? '')).toMatchObject([{ ...input, stale: true }]);
  });
});

describe('a dry run', () => {
  it('stores nothing, not even a version of a slot that has changed', async () => {
    project.write('configs/one.yaml', 'k: 5\n');
    const before = stored();
    expect(await preview()).toMatchObject({
      workspace: 'exp',
      version: 2,
      versionCreated: true,
      pipeline: 'three',
      stages: [
        { plan: { stage: 'one', config: { k: 5 } }, action: 'run', reusedFrom: null },
        { plan: { stage: 'two' }, action: 'run', reason: 'its inputs are made anew by one' },
        {
          plan: { stage: 'lone' },
          action: 'run',
          reason: 'no completed run of this stage in the workspace yet',
        },
      ],
    });
    expect(stored()).toEqual(before);
  });

  it('says of each stage whether it would be reused, from what, or why not', async () => {
    await completeAll();
    const all = await preview();
    expect(all.stages.map(({ action, reusedFrom }) => [action, reusedFrom])).toEqual(
      ['one', 'two', 'lone'].map((stage) => ['reuse', of(stage).id]),
    );
    expect(all.stages[0]?.reason).toBe(
      `same command, config, inputs, code and environment as ${of('one').id}`,
    );
    const changed = await preview({ configOverride: { one: { k: 2, deep: { x: 'y' } } } });
    expect(changed.stages.map((stage) => stage.reason)).toEqual([
      `changed since ${of('one').id}: config (deep: absent → {"x":"y"}, k: 1 → 2)`,
      'its inputs are made anew by one',
      `same command, config, inputs, code and environment as ${of('lone').id}`,
    ]);
    const off = await preview({ useCache: false, stages: ['lone'] });
    expect(off.stages[0]).toMatchObject({ action: 'run', reason: 'reuse is off for this stage or call' });
  });
});

describe('reuse', () => {
  beforeEach(completeAll);

  it('does not depend on limits, nor on files that only say what is run', async () => {
    project.write('pipeline.yaml', `# a remark\n${THREE_STAGES['pipeline.yaml']}`);
    const { runs } = await project.submit({ configOverride: { two: { compute: { timeout_seconds: 5 } } } });
    expect(runs.map((run) => run.cause)).toEqual(['cached', 'cached', 'cached']);
    expect(getPipelineRun(project.db, runs[0]?.pipelineRunId ?? '')).toMatchObject({ state: 'completed' });
  });

  it('names the run that did the work, also when that was reused before', async () => {
    const again = { two: { compute: { timeout_seconds: 5 } } };
    const once = await project.submit({ configOverride: again });
    const twice = await project.submit({ configOverride: { two: { compute: { timeout_seconds: 6 } } } });
    expect(once.pipelineRun.id).not.toBe(twice.pipelineRun.id);
    expect(of('one', twice.pipelineRun.id).cachedFrom).toBe(of('one').id);
    expect(outputsOfRun(project.db, of('one', twice.pipelineRun.id).id)).toMatchObject([
      { name: 'a', hash: outputsOfRun(project.db, of('one').id)[0]?.hash },
    ]);
  });

  it('ends with a change of the code or of the environment, and says so', async () => {
    project.write('modules/helper.py', 'changed = True\n');
    project.deps.backends.environmentKey = async () => 'sha256:another';
    const { stages } = await preview({ stages: ['lone'] });
    expect(stages[0]).toMatchObject({
      action: 'run',
      reason: `changed since ${of('lone').id}: image, code`,
    });
  });

  it('ends with another command, other outputs or another environment of values', async () => {
    project.write(
      'pipeline.yaml',
      `${THREE_STAGES['pipeline.yaml']}`.replace(
        '{ c: json }',
        '{ c: json, d: file }\n    command: [python, x.py]',
      ),
    );
    project.write('configs/lone.yaml', 'environment: { SEED: "7" }\n');
    const { stages } = await preview({ stages: ['lone'] });
    expect(stages[0]?.reason).toBe(`changed since ${of('lone').id}: command, outputs, environment`);
  });

  it('names at most three changes of a config, each cut', async () => {
    const config = { a: 1, b: 2, c: 'x'.repeat(100), k: 9 };
    const { stages } = await preview({ stages: ['one'], configOverride: { one: config } });
    expect(stages[0]?.reason).toBe(
      `changed since ${of('one').id}: config (a: absent → 1, b: absent → 2, c: absent → "${'x'.repeat(38)}…, and 1 more)`,
    );
  });
});

describe('a call that is refused', () => {
  it.each<[string, Partial<RunRequest>, Record<string, string>, object]>([
    [
      'a broken pipeline',
      {},
      { 'pipeline.yaml': 'stages:\n  - name: one\n    inputs: { x: { from_stage: nowhere, signal: y } }\n' },
      { code: 'INVALID_PIPELINE', fix: { tool: 'validate', arguments: { workspace: 'exp' } } },
    ],
    [
      'an unknown stage',
      { stages: ['tow'] },
      {},
      { code: 'INVALID_ARGUMENT', hint: expect.stringContaining('"two"') },
    ],
    [
      'an override of a stage that is not called',
      { stages: ['lone'], configOverride: { one: { k: 2 } } },
      {},
      {
        code: 'INVALID_ARGUMENT',
        message: 'config_override names the stage "one", which this call does not run.',
      },
    ],
    [
      'an input that nobody has made',
      { stages: ['two'] },
      {},
      {
        code: 'INPUT_UNAVAILABLE',
        message: 'Input "a" of two needs "a" of one, and no completed run of one has made it.',
        fix: {
          tool: 'run',
          arguments: { workspace: 'exp', stages: ['one'], reason: 'Make a, which two needs' },
        },
      },
    ],
    ['a workspace that does not exist', { workspace: 'nope' }, {}, { code: 'WORKSPACE_NOT_FOUND' }],
  ])('for %s makes no version and stores nothing', async (_, request, files, error) => {
    project.write('modules/one.py', 'changed = True\n');
    for (const [path, text] of Object.entries(files)) project.write(path, text);
    const before = stored();
    await expect(project.submit(request)).rejects.toMatchObject(error);
    expect(stored()).toEqual(before);
    expect(runsOfPipelineRun(project.db, prepared.first).map((run) => run.state)).toEqual([
      'pending',
      'pending',
      'pending',
    ]);
  });
});
