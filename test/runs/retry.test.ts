import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { type RetryRequest, retryRun } from '../../src/runs/retry.ts';
import { hideWorkspace } from '../../src/store/deletion.ts';
import { getRecord } from '../../src/store/records.ts';
import { inputsOfRun, outputsOfRun } from '../../src/store/signals.ts';
import { runsOfPipelineRun } from '../../src/store/stage-runs.ts';
import { insertWorkspace, releaseSlot } from '../../src/store/workspaces.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';
import { errorOf } from '../support/workspaces-project.ts';

/** `a → b → c`, and `d`, which needs `b` and `side`. */
const FILES: Record<string, string> = {
  'pipeline.yaml': `name: diamond
stages:
  - name: a
    outputs: { x: json }
  - name: side
    outputs: { y: json }
  - name: b
    inputs: { x: { from_stage: a, signal: x } }
    outputs: { z: json }
  - name: c
    inputs: { z: { from_stage: b, signal: z } }
    outputs: { end: json }
  - name: d
    inputs: { z: { from_stage: b, signal: z }, y: { from_stage: side, signal: y } }
    outputs: { end: json }
`,
  'configs/b.yaml': 'depth: 3\ncompute: { timeout_seconds: 60 }\n',
  ...Object.fromEntries(['a', 'side', 'b', 'c', 'd'].map((name) => [`modules/${name}.py`, 'pass\n'])),
};
const REASON = 'The disk was full, now it is not';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({ config: 'process: { max_parallel: 4 }\n', files: FILES });
}, 60_000);
afterAll(() => prepared.dispose());
beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

const of = (stage: string, pipelineRunId = prepared.first) => project.runOf(pipelineRunId, stage);
const retry = (runId: string, request: Partial<RetryRequest> = {}) =>
  retryRun(project.deps, { runId, reason: REASON, ...request });
const refused = (runId: string, request: Partial<RetryRequest> = {}) => errorOf(() => retry(runId, request));
const states = (pipelineRunId = prepared.first) =>
  Object.fromEntries(runsOfPipelineRun(project.db, pipelineRunId).map((run) => [run.stage, run.state]));

/** Ends a stage badly. */
async function fail(runId: string): Promise<void> {
  project.fake.end(runId, { exitCode: 1 });
  await project.tick();
}

/** `a` and `side` complete, `b` fails, `c` and `d` are canceled because of it. */
async function failInTheMiddle(): Promise<void> {
  await project.tick();
  await project.complete(of('a').id);
  await project.complete(of('side').id);
  await project.tick();
  await fail(of('b').id);
  expect(states()).toEqual({ a: 'completed', side: 'completed', b: 'failed', c: 'canceled', d: 'canceled' });
}

describe('a retry', () => {
  it('is a new pipeline run of the same version, of that run and those canceled because of it', async () => {
    await failInTheMiddle();
    const before = of('b');
    const done = await retry(before.id);
    expect(done).toMatchObject({
      deduplicated: false,
      retryOf: before.id,
      version: { version: before.version },
      versionCreated: false,
      leftOut: [],
      pipelineRun: { retryOf: before.id, reason: REASON, state: 'pending', pipeline: 'diamond' },
    });
    expect(done.runs.map((run) => run.stage)).toEqual(['b', 'c', 'd']);
    expect(done.reused).toEqual([
      { stage: 'a', runId: of('a').id },
      { stage: 'side', runId: of('side').id },
    ]);
    expect(getRecord(project.db, { pipelineRunId: done.pipelineRun.id })).toMatchObject({ message: REASON });
    expect(states()).toMatchObject({ b: 'failed', c: 'canceled', d: 'canceled' });
  });

  it('pins what completed stages made by content, and ends well with them', async () => {
    await failInTheMiddle();
    const { pipelineRun, runs } = await retry(of('b').id);
    const hash = outputsOfRun(project.db, of('a').id)[0]?.hash;
    expect(inputsOfRun(project.db, runs[0]?.id ?? '')).toMatchObject([
      { name: 'x', fromRunId: of('a').id, fromSignal: 'x', hash },
    ]);
    await project.tick();
    expect(project.fake.launched.at(-1)).toMatchObject({ runId: runs[0]?.id });
    await project.complete(of('b', pipelineRun.id).id);
    await project.tick();
    await project.complete(of('c', pipelineRun.id).id);
    await project.complete(of('d', pipelineRun.id).id);
    expect(states(pipelineRun.id)).toEqual({ b: 'completed', c: 'completed', d: 'completed' });
  });

  it('uses the stored plan as it is, also where files and defaults have changed since', async () => {
    await failInTheMiddle();
    project.write('configs/b.yaml', 'depth: 99\n');
    const before = of('b').plan;
    const { runs } = await retry(of('b').id);
    const [x] = before.inputs;
    expect(runs[0]?.plan).toEqual({
      ...before,
      needs: [],
      inputs: [
        {
          ...x,
          origin: {
            kind: 'run',
            runId: of('a').id,
            stage: 'a',
            signal: 'x',
            hash: outputsOfRun(project.db, of('a').id)[0]?.hash,
            stale: false,
          },
        },
      ],
    });
    const { needs, inputs, ...rest } = of('d').plan;
    expect(runs[2]?.plan).toMatchObject({ ...rest, needs: ['b'] });
    expect(needs).toEqual(['b', 'side']);
    expect(inputs).toHaveLength(2);
  });

  it('with an override plans the named stage anew from the version, and leaves the others alone', async () => {
    await failInTheMiddle();
    const configOverride = { b: { depth: 4, compute: { timeout_seconds: 600, memory: '1g' } } };
    const { runs, pipelineRun } = await retry(of('b').id, { configOverride });
    expect(runs[0]?.plan).toMatchObject({
      config: { depth: 4 },
      compute: { timeoutSeconds: 600, memoryBytes: 1024 ** 3 },
      inputs: [{ origin: { kind: 'run', runId: of('a').id } }],
      needs: [],
    });
    expect(runs[1]?.plan).toEqual(of('c').plan);
    expect(pipelineRun.request).toMatchObject({ configOverride, stages: ['b', 'c', 'd'] });
  });

  it('keeps the restarts that the call asked for, also where a stage is planned anew', async () => {
    project.write('modules/a.py', 'pass  # again\n');
    const { pipelineRun } = await project.submit({ maxRestarts: 3 });
    const canceled = of('a', pipelineRun.id);
    cancelRuns(project.deps, { target: canceled.id, reason: REASON });
    await project.tick();
    const { runs } = await retry(canceled.id, { configOverride: { a: { depth: 4 } } });
    expect(runs[0]?.plan.retries).toMatchObject({ maxRestarts: 3 });
  });

  it('of a retry keeps the override of the first, and what both say about one stage is merged', async () => {
    await failInTheMiddle();
    const first = await retry(of('b').id, { configOverride: { b: { depth: 4, width: 1 } } });
    await project.tick();
    const again = first.runs[0]?.id ?? '';
    await fail(again);
    const second = await retry(again, { configOverride: { b: { width: 2 } } });
    expect(second.runs[0]?.plan.config).toEqual({ depth: 4, width: 2 });
    expect(second.pipelineRun.retryOf).toBe(again);
    expect(second.runs[0]?.plan.inputs[0]?.origin).toMatchObject({ kind: 'run', runId: of('a').id });
  });

  it('asked for again is the same one, while it is active and when it has completed', async () => {
    await failInTheMiddle();
    const first = await retry(of('b').id);
    const again = await retry(of('b').id, { reason: 'The connection was lost' });
    expect(again).toMatchObject({ deduplicated: true, pipelineRun: { id: first.pipelineRun.id } });
    await project.tick();
    await project.complete(of('b', first.pipelineRun.id).id);
    await project.tick();
    await project.complete(of('c', first.pipelineRun.id).id);
    await project.complete(of('d', first.pipelineRun.id).id);
    expect(await retry(of('b').id)).toMatchObject({ deduplicated: true });
    expect(await retry(of('b').id, { configOverride: { b: { depth: 5 } } })).toMatchObject({
      deduplicated: false,
    });
  });

  it('that failed too is a new one when it is asked for again', async () => {
    await failInTheMiddle();
    const first = await retry(of('b').id);
    await project.tick();
    await fail(of('b', first.pipelineRun.id).id);
    const second = await retry(of('b').id);
    expect(second.deduplicated).toBe(false);
    expect(second.pipelineRun.id).not.toBe(first.pipelineRun.id);
  });

  it('of a call that reuses nothing is one too, however often it is asked for', async () => {
    project.write('modules/a.py', 'raise SystemExit(1)\n');
    const { pipelineRun } = await project.submit({ useCache: false });
    await project.tick();
    await fail(of('a', pipelineRun.id).id);
    const first = await retry(of('a', pipelineRun.id).id);
    expect(first.runs.every((run) => !run.plan.cache)).toBe(true);
    expect(await retry(of('a', pipelineRun.id).id)).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: first.pipelineRun.id },
    });
  });

  it('leaves out what also needs another run that did not complete, and says which', async () => {
    await project.tick();
    await fail(of('side').id);
    await fail(of('a').id);
    const done = await retry(of('a').id);
    expect(done.runs.map((run) => run.stage)).toEqual(['a', 'b', 'c']);
    expect(done.leftOut).toEqual([{ stage: 'd', runId: of('d').id, needs: of('side').id }]);
  });

  it('of a run that was canceled by hand runs that one', async () => {
    await project.tick();
    await project.complete(of('a').id);
    cancelRuns(project.deps, { target: of('c').id, reason: 'Not wanted now' });
    expect(states()).toMatchObject({ c: 'canceled', b: expect.not.stringMatching('canceled') });
    await project.tick();
    await project.complete(of('b').id);
    const done = await retry(of('c').id);
    expect(done.runs.map((run) => run.stage)).toEqual(['c']);
  });
});

describe('a call whose workspace was deleted while it was planned', () => {
  it('is refused, also where another workspace has got the name, and stores nothing', async () => {
    await failInTheMiddle();
    const { workspaces } = project.deps;
    const planned = workspaces.version('exp');
    project.deps.workspaces = {
      ...workspaces,
      version: () => {
        releaseSlot(project.db, 'w1');
        hideWorkspace(project.db, { name: 'exp', hidden: 'exp-deleted-1', at: planned.createdAt });
        const again = { name: 'exp', goal: 'g', fromWorkspace: null, fromVersion: null };
        insertWorkspace(
          project.db,
          { ...again, createdAt: planned.createdAt },
          { ...planned, gitSha: 'of another' },
        );
        return planned;
      },
    };
    const before = project.db.prepare('SELECT count(*) AS n FROM pipeline_runs').get();
    expect(await refused(of('b').id)).toMatchObject({
      code: 'CONFLICT',
      message: 'exp was deleted while this call was being planned.',
    });
    expect(project.db.prepare('SELECT count(*) AS n FROM pipeline_runs').get()).toEqual(before);
  });
});

describe('a retry is refused, and changes nothing,', () => {
  const rows = () =>
    ['pipeline_runs', 'stage_runs', 'records', 'workspace_versions'].map(
      (table) => project.db.prepare<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n,
    );

  it('of a run that is active or completed', async () => {
    await project.tick();
    const before = rows();
    expect(await refused(of('a').id)).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('there is nothing to retry yet'),
      fix: { tool: 'wait', arguments: { targets: [of('a').id] } },
    });
    await project.complete(of('a').id);
    expect(await refused(of('a').id)).toMatchObject({
      code: 'CONFLICT',
      message: `${of('a').id} completed: there is nothing to retry.`,
      fix: { tool: 'run', arguments: { workspace: 'exp', stages: ['a'], use_cache: false } },
    });
    expect(rows()).toEqual(before);
  });

  it('of a run that never started because of another, which is named', async () => {
    await failInTheMiddle();
    expect(await refused(of('c').id)).toMatchObject({
      code: 'CONFLICT',
      message: `c needs b, whose run ${of('b').id} is failed.`,
      fix: { tool: 'retry', arguments: { run_id: of('b').id } },
    });
  });

  it('of a pipeline run, with the run of it that went wrong', async () => {
    await failInTheMiddle();
    expect(await refused(prepared.first)).toMatchObject({
      code: 'RUN_NOT_FOUND',
      hint: `Retry ${of('b').id}: b failed.`,
      fix: { tool: 'retry', arguments: { run_id: of('b').id } },
    });
  });

  it('with an override of a stage it does not run, or of what no stage may set', async () => {
    await failInTheMiddle();
    const before = rows();
    for (const configOverride of [
      { a: { k: 1 } },
      { nothing: { k: 1 } },
      { b: { compute: { memory: 'x' } } },
    ]) {
      expect(await refused(of('b').id, { configOverride })).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(rows()).toEqual(before);
  });

  it('in a workspace that was deleted, with the call that takes it up again', async () => {
    await failInTheMiddle();
    releaseSlot(project.db, 'w1');
    hideWorkspace(project.db, { name: 'exp', hidden: 'exp-deleted-1', at: '2026-01-02T00:00:00.000Z' });
    expect(await refused(of('b').id)).toMatchObject({
      code: 'WORKSPACE_NOT_FOUND',
      fix: { tool: 'create_workspace', arguments: { from_workspace: 'exp-deleted-1' } },
    });
  });

  it('where its backend cannot run work now', async () => {
    await failInTheMiddle();
    const { backends } = project.deps;
    project.deps.backends = {
      ...backends,
      choose: () => Promise.reject(Object.assign(new Error('gone'), { code: 'BACKEND_UNAVAILABLE' })),
    };
    const before = rows();
    await expect(retry(of('b').id)).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(rows()).toEqual(before);
  });
});
