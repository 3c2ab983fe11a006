import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { retryRun } from '../../src/runs/retry.ts';
import { inputsOfRun } from '../../src/store/signals.ts';
import {
  type PreparedProject,
  prepareGivenVersion,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ config: 'process: { max_parallel: 20 }\n', files: THREE_STAGES });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

const PAIR = { stages: ['one', 'two'] };
const count = (table: string): number =>
  project.db.prepare<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? -1;
const idsOf = (call: { pipelineRuns: { id: string }[] }) => call.pipelineRuns.map(({ id }) => id);
const launchedOf = (stage: string) =>
  project.fake.launched
    .filter((spec) => spec.stage === stage)
    .map(({ runId }) => project.run(runId).replicate);

async function completePair(pipelineRunId: string): Promise<void> {
  await project.tick();
  await project.complete(project.runOf(pipelineRunId, 'one').id);
  await project.tick();
  await project.complete(project.runOf(pipelineRunId, 'two').id);
}

describe('replicates', () => {
  it('are as many pipeline runs, whose runs know which repetition they are', async () => {
    const call = await project.submit({ ...PAIR, replicates: 3 });
    expect(new Set(idsOf(call)).size).toBe(3);
    expect(call.pipelineRun).toEqual(call.pipelineRuns[0]);
    expect(call.runs.map(({ stage, replicate, pipelineRunId }) => [stage, replicate, pipelineRunId])).toEqual(
      idsOf(call).flatMap((id, index) => [
        ['one', index, id],
        ['two', index, id],
      ]),
    );
    expect(new Set(call.pipelineRuns.map((run) => run.submissionKey)).size).toBe(3);
    expect(call.runs.map((run) => run.plan.replicate)).toEqual([undefined, undefined, 1, 1, 2, 2]);
  });

  it('are stored all or none', async () => {
    const before = [count('pipeline_runs'), count('stage_runs'), count('records')];
    const { ids } = project.deps;
    let made = 0;
    project.deps.ids = {
      ...ids,
      pipelineRun: () => {
        made += 1;
        if (made === 3) throw new Error('the third cannot be named');
        return ids.pipelineRun();
      },
    };
    await expect(project.submit({ ...PAIR, replicates: 3 })).rejects.toThrow('the third cannot be named');
    expect([count('pipeline_runs'), count('stage_runs'), count('records')]).toEqual(before);
  });

  it('asked for again are the same, and asking for more adds to them', async () => {
    const first = await project.submit({ ...PAIR, replicates: 2 });
    const again = await project.submit({ ...PAIR, replicates: 2 });
    expect(again.deduplicated).toBe(true);
    expect(idsOf(again)).toEqual(idsOf(first));
    const more = await project.submit({ ...PAIR, replicates: 3 });
    expect(more.deduplicated).toBe(false);
    expect(idsOf(more).slice(0, 2)).toEqual(idsOf(first));
    expect(idsOf(more)).toHaveLength(3);
  });

  it('begin with the call itself, whether or not that was asked for as one', async () => {
    const plain = await project.submit(PAIR);
    expect(await project.submit({ ...PAIR, replicates: 1 })).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: plain.pipelineRun.id },
    });
    expect(idsOf(await project.submit({ ...PAIR, replicates: 2 }))[0]).toBe(plain.pipelineRun.id);
  });

  it('are all new where nothing is to be reused', async () => {
    const first = await project.submit({ ...PAIR, replicates: 2, useCache: false });
    const again = await project.submit({ ...PAIR, replicates: 2, useCache: false });
    expect(again.deduplicated).toBe(false);
    expect(new Set([...idsOf(first), ...idsOf(again)]).size).toBe(4);
  });

  it('are executed, every stage of the call, also where the call itself has completed before', async () => {
    await completePair((await project.submit(PAIR)).pipelineRun.id);
    const call = await project.submit({ ...PAIR, replicates: 3 });
    await project.tick();
    for (const id of idsOf(call).slice(1)) await completePair(id);
    expect(
      launchedOf('one')
        .filter((replicate) => replicate > 0)
        .sort(),
    ).toEqual([1, 2]);
    expect(
      launchedOf('two')
        .filter((replicate) => replicate > 0)
        .sort(),
    ).toEqual([1, 2]);
    const causes = idsOf(call).flatMap((id) => ['one', 'two'].map((stage) => project.runOf(id, stage).cause));
    expect(causes).toEqual(Array.from({ length: 6 }, () => 'success'));
  });

  it('reuse what the same repetition has made, and nothing else', async () => {
    const call = await project.submit({ ...PAIR, replicates: 2 });
    const [zero = '', one = ''] = idsOf(call);
    await project.tick();
    await completePair(zero);
    await project.complete(project.runOf(one, 'one').id);
    await project.tick();
    project.fake.end(project.runOf(one, 'two').id, { exitCode: 1 });
    await project.tick();
    const again = await project.submit({ ...PAIR, replicates: 2 });
    const [same, anew = ''] = idsOf(again);
    expect(same).toBe(zero);
    expect(anew).not.toBe(one);
    expect(project.runOf(anew, 'one')).toMatchObject({
      cause: 'cached',
      cachedFrom: project.runOf(one, 'one').id,
      replicate: 1,
    });
    expect(project.runOf(anew, 'two').state).toBe('pending');
  });

  it('say why they are executed', async () => {
    await completePair((await project.submit(PAIR)).pipelineRun.id);
    const [, second = ''] = idsOf(await project.submit({ ...PAIR, replicates: 2 }));
    expect(project.runOf(second, 'one').cacheReason).toBe('replicate 1 of this stage has not completed yet');
  });

  it('of some stages read the same from outside of the call, which is never a replicate', async () => {
    const whole = await project.submit({ ...PAIR, replicates: 3 });
    for (const id of idsOf(whole)) await completePair(id);
    const made = project.runOf(idsOf(whole)[0] ?? '', 'one').id;
    const call = await project.submit({
      stages: ['two'],
      configOverride: { two: { depth: 4 } },
      replicates: 2,
    });
    for (const run of call.runs) {
      expect(inputsOfRun(project.db, run.id)).toMatchObject([{ name: 'a', fromRunId: made, stale: false }]);
    }
  });
});

describe('a retry of a replicate', () => {
  it.each([
    ['as it was', {}],
    ['with another config', { configOverride: { two: { depth: 7 } } }],
  ])('%s stays that repetition', async (_, override) => {
    const [, second = ''] = idsOf(await project.submit({ ...PAIR, replicates: 2 }));
    await project.tick();
    await project.complete(project.runOf(second, 'one').id);
    await project.tick();
    const failed = project.runOf(second, 'two').id;
    project.fake.end(failed, { exitCode: 1 });
    await project.tick();
    const retry = await retryRun(project.deps, { runId: failed, reason: 'Try it once more', ...override });
    expect(retry.runs.map(({ stage, replicate }) => [stage, replicate])).toEqual([['two', 1]]);
    expect(retry.runs[0]?.plan.replicate).toBe(1);
  });
});

describe('a dry run of replicates', () => {
  const preview = (request: Partial<RunRequest>) =>
    previewRun(project.deps, { workspace: 'exp', reason: 'A look before', useCache: true, ...request });

  it('says of each what would be executed, and what is there', async () => {
    const call = await project.submit(PAIR);
    await completePair(call.pipelineRun.id);
    const before = count('pipeline_runs');
    expect((await preview({ ...PAIR, replicates: 3 })).replicates).toEqual([
      { replicate: 0, run: 0, reuse: 2, equal: call.pipelineRun.id },
      { replicate: 1, run: 2, reuse: 0, equal: null },
      { replicate: 2, run: 2, reuse: 0, equal: null },
    ]);
    expect(count('pipeline_runs')).toBe(before);
  });

  it('of one names the pipeline run that is active, which would be the answer', async () => {
    const plan = await preview({});
    expect(plan.replicates).toEqual([{ replicate: 0, run: 3, reuse: 0, equal: prepared.first }]);
    expect(plan.similar).toEqual([]);
    expect((await preview({ useCache: false })).replicates[0]?.equal).toBeNull();
  });
});
