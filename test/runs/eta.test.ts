import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { estimateEta } from '../../src/runs/eta.ts';
import { runsOfPipelineRun } from '../../src/store/stage-runs.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
const AT = Date.parse('2026-01-02T03:04:05.000Z');

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    config: 'process: { max_parallel: 1 }\n',
    files: {
      'pipeline.yaml': `stages:
  - name: work
    outputs: { a: json }
    retries: { max_restarts: 2 }
  - name: never
    inputs: { a: { from_stage: work, signal: a } }
`,
      'modules/work.py': 'pass\n',
      'modules/never.py': 'pass\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock(AT);
  project = await prepared.open({ clock: time.clock });
});
afterEach(() => project.dispose());

let calls = 0;
/** A call of its own of the stage `work`. */
async function submit(): Promise<string> {
  calls += 1;
  time.advance(1);
  const { runs } = await project.submit({ stages: ['work'], configOverride: { work: { n: calls } } });
  return runs[0]?.id ?? '';
}

/** Completes after so many seconds. */
async function ran(id: string, seconds: number): Promise<void> {
  time.advance(seconds * 1000);
  await project.complete(id);
  // The fake ends everything at one and the same time.
  const endedAt = new Date(time.clock.now()).toISOString();
  project.db.prepare('UPDATE run_attempts SET ended_at = ? WHERE run_id = ?').run(endedAt, id);
}

/** Pipeline run `first` out of the way, then the stage executed once for each of the durations. */
async function history(...seconds: number[]): Promise<void> {
  cancelRuns(project.deps, { target: prepared.first, reason: 'Out of the way' });
  for (const duration of seconds) {
    const id = await submit();
    await project.tick();
    await ran(id, duration);
  }
}

const eta = (...ids: string[]) =>
  estimateEta(
    project.deps,
    ids.map((id) => project.run(id)),
  );

describe('the time to the end', () => {
  it('is not said where a stage has no history', async () => {
    expect(estimateEta(project.deps, runsOfPipelineRun(project.db, prepared.first))).toBeNull();
  });

  it('is not said where nothing is open', async () => {
    await history(10);
    expect(estimateEta(project.deps, runsOfPipelineRun(project.db, prepared.first))).toBeNull();
  });

  it('is what earlier runs took, less what has passed of the attempt', async () => {
    await history(10, 20, 30, 40);
    const id = await submit();
    expect(eta(id)).toEqual({ p50: 30, p90: 40 });
    await project.tick();
    time.advance(5_000);
    expect(eta(id)).toEqual({ p50: 25, p90: 35 });
  });

  it('of one that takes longer than most is judged by those that took longer still, and then not said', async () => {
    await history(10, 20, 30, 40);
    const id = await submit();
    await project.tick();
    time.advance(32_000);
    expect(eta(id)).toEqual({ p50: 8, p90: 8 });
    time.advance(9_000);
    expect(eta(id)).toBeNull();
  });

  it('counts those before it in the queue of its backend', async () => {
    await history(10);
    const [first, second, third] = [await submit(), await submit(), await submit()];
    await project.tick();
    time.advance(4_000);
    expect([eta(first), eta(second), eta(third)].map((said) => said?.p50)).toEqual([6, 16, 26]);
    expect(eta(first, third)?.p50).toBe(26);
  });

  it('starts again with a new attempt, its pause included', async () => {
    await history(10);
    const id = await submit();
    await project.tick();
    time.advance(8_000);
    project.fake.end(id, { exitCode: 1 });
    await project.tick();
    expect(project.run(id)).toMatchObject({ state: 'pending', attempt: 2 });
    expect(eta(id)).toEqual({ p50: 15, p90: 15 });
    time.advance(5_000);
    await project.tick();
    time.advance(3_000);
    expect(eta(id)).toEqual({ p50: 7, p90: 7 });
  });

  it('is not said of one that waits for a value of the environment, but of those beside it', async () => {
    await history(10);
    const blocked = await submit();
    project.db
      .prepare(
        `UPDATE stage_runs SET plan_json = json_set(plan_json, '$.secrets', json('{"K":"K"}')) WHERE id = ?`,
      )
      .run(blocked);
    const free = await submit();
    expect(eta(blocked)).toBeNull();
    expect(eta(free)?.p50).toBe(10);
  });

  it('does not learn from runs that were reused', async () => {
    await history(10);
    const request = {
      stages: ['work'],
      configOverride: { work: { n: calls, compute: { timeout_seconds: 9 } } },
    };
    expect((await project.submit(request)).runs[0]).toMatchObject({ cause: 'cached' });
    expect(eta(await submit())).toEqual({ p50: 10, p90: 10 });
  });
});
