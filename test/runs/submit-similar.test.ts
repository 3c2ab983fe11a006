import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;

beforeAll(async () => {
  prepared = await prepareRunsProject({ config: 'process: { max_parallel: 20 }\n', files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  time.advance(60_000);
  project = await prepared.open({ clock: time.clock });
});
afterEach(() => project.dispose());

/** A call of the stage `lone`, a second later than the one before. */
function lone(config: RunRequest['configOverride'] & object, request: Partial<RunRequest> = {}) {
  time.advance(1_000);
  return project.submit({ stages: ['lone'], configOverride: { lone: config }, ...request });
}
const idOf = (call: { pipelineRun: { id: string } }) => call.pipelineRun.id;

async function end(pipelineRunId: string, exitCode: number): Promise<void> {
  const { id } = project.runOf(pipelineRunId, 'lone');
  await project.tick();
  if (exitCode === 0) return project.complete(id);
  project.fake.end(id, { exitCode });
  await project.tick();
}

function logMetric(pipelineRunId: string, value: number): void {
  project.db
    .prepare(
      "INSERT INTO metric_summaries (run_id, name, last, min, max, count) VALUES (?, 'accuracy', ?, ?, ?, 1)",
    )
    .run(project.runOf(pipelineRunId, 'lone').id, value, value, value);
}

describe('similar pipeline runs of a call', () => {
  it('are those that differ in few values, with what differs, how they ended and what they measured', async () => {
    const good = idOf(await lone({ lr: 0.1, seed: 1 }));
    await end(good, 0);
    logMetric(good, 0.91);
    const bad = idOf(await lone({ lr: 0.2, seed: 2 }));
    await end(bad, 1);
    const call = await lone({ lr: 0.2, seed: 1 });
    expect(call.similar).toEqual([
      {
        pipelineRunId: bad,
        version: 1,
        state: 'failed',
        cause: 'exit_nonzero',
        differs: ['lone: config (seed: 2 → 1)'],
        metric: null,
      },
      {
        pipelineRunId: good,
        version: 1,
        state: 'completed',
        cause: null,
        differs: ['lone: config (lr: 0.1 → 0.2)'],
        metric: { name: 'accuracy', last: 0.91 },
      },
    ]);
  });

  it('are shown before anything is started, too', async () => {
    const before = idOf(await lone({ lr: 0.1 }));
    const plan = await previewRun(project.deps, {
      workspace: 'exp',
      reason: 'A look before',
      useCache: true,
      stages: ['lone'],
      configOverride: { lone: { lr: 0.3 } },
    });
    expect(plan.similar).toMatchObject([
      { pipelineRunId: before, state: 'pending', differs: ['lone: config (lr: 0.1 → 0.3)'] },
    ]);
  });

  it('begin with the nearest, and are three at most', async () => {
    const near = idOf(await lone({ a: 0, b: 2 }));
    const further = idOf(await lone({ a: 1 }));
    const nearToo = idOf(await lone({ a: 0 }));
    await lone({ a: 1, b: 1, c: 1 });
    const { similar } = await lone({ a: 0, b: 3 });
    expect(similar.map((row) => row.pipelineRunId)).toEqual([nearToo, near, further]);
  });

  it('may be given the very same: a call that failed', async () => {
    const bad = idOf(await lone({ lr: 0.1 }));
    await end(bad, 1);
    const again = await lone({ lr: 0.1 });
    expect(again.deduplicated).toBe(false);
    expect(again.similar).toMatchObject([{ pipelineRunId: bad, state: 'failed', differs: [] }]);
  });

  it('are not told of a call that is answered with an earlier one', async () => {
    await lone({ lr: 0.1 });
    await lone({ lr: 0.2 });
    expect(await lone({ lr: 0.2 })).toMatchObject({ deduplicated: true, similar: [] });
  });

  it('are neither of other stages nor of many differences', async () => {
    await project.submit({ stages: ['one'], configOverride: { one: { lr: 0.1 } } });
    await lone({ a: 1, b: 1, c: 1, d: 1, e: 1 });
    expect((await lone({})).similar).toEqual([]);
  });

  it('count the repetitions of a call once', async () => {
    const { pipelineRuns } = await lone({ lr: 0.1 }, { replicates: 4 });
    const { similar } = await lone({ lr: 0.2 }, { replicates: 2 });
    expect(similar).toHaveLength(1);
    expect(pipelineRuns.map(({ id }) => id)).toContain(similar[0]?.pipelineRunId);
    expect(similar[0]?.differs).toEqual(['lone: config (lr: 0.1 → 0.2)']);
  });

  it('name a change of the code once for all stages', async () => {
    project.write('modules/helper.py', 'changed = True\n');
    const { similar } = await project.submit();
    expect(similar).toMatchObject([{ pipelineRunId: prepared.first, version: 1, differs: ['code'] }]);
  });

  it('are looked for among the newest fifty only', async () => {
    await lone({ lr: 0.1 });
    const copy = (n: number) =>
      project.db
        .prepare(
          `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason,
             request_json, goldfish_version, created_at)
           SELECT ?, workspace_name, version, pipeline_name, ?, state, reason, request_json, goldfish_version, ?
           FROM pipeline_runs WHERE id = ?`,
        )
        .run(
          `prun-${`${n}`.padStart(12, '0')}`,
          `key ${n}`,
          new Date(time.clock.now() + n).toISOString(),
          prepared.first,
        );
    for (let n = 1; n < 50; n += 1) copy(n);
    const request = { workspace: 'exp', reason: 'A look before', useCache: true, stages: ['lone'] };
    const look = () => previewRun(project.deps, { ...request, configOverride: { lone: { lr: 0.2 } } });
    expect((await look()).similar).toHaveLength(1);
    copy(50);
    expect((await look()).similar).toEqual([]);
  });
});
