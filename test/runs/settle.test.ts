import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { settleRun } from '../../src/runs/settle.ts';
import { getPipelineRun } from '../../src/store/pipeline-runs.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

/** `top → left, right → bottom → last`, and `lone` beside them. */
const DIAMOND = {
  'pipeline.yaml': `stages:
  - name: top
    outputs: { t: json }
  - name: left
    inputs: { t: { from_stage: top, signal: t } }
    outputs: { l: json }
  - name: right
    inputs: { t: { from_stage: top, signal: t } }
    outputs: { r: json }
  - name: bottom
    inputs: { l: { from_stage: left, signal: l }, r: { from_stage: right, signal: r } }
    outputs: { b: json }
  - name: last
    inputs: { b: { from_stage: bottom, signal: b } }
  - name: lone
    outputs: { x: json }
`,
  ...Object.fromEntries(
    ['top', 'left', 'right', 'bottom', 'last', 'lone'].map((name) => [`modules/${name}.py`, 'pass\n']),
  ),
};

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ config: 'process: { max_parallel: 8 }\n', files: DIAMOND });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  await project.tick();
});
afterEach(() => project.dispose());

const of = (stage: string) => project.runOf(prepared.first, stage);
const whole = () => getPipelineRun(project.db, prepared.first);

async function complete(...names: string[]): Promise<void> {
  for (const stage of names) await project.complete(of(stage).id);
  await project.tick();
}

async function crash(stage: string): Promise<void> {
  project.fake.end(of(stage).id, { exitCode: 1 });
  await project.tick();
}

describe('a run that does not complete', () => {
  it('cancels all that needs it, each told by whom, and its neighbours complete', async () => {
    await complete('top');
    await crash('left');
    expect(of('bottom')).toMatchObject({
      state: 'canceled',
      cause: 'upstream_failed',
      errorMessage: `Not started: left (${of('left').id}) did not complete.`,
      failure: null,
    });
    expect(of('last')).toMatchObject({
      state: 'canceled',
      cause: 'upstream_failed',
      errorMessage: `Not started: bottom (${of('bottom').id}) did not complete.`,
    });
    expect(eventsOfRun(project.db, of('bottom').id).at(-1)).toMatchObject({
      event: 'cancel',
      source: 'supervisor',
      detail: { upstream: of('left').id, cause: 'upstream_failed' },
    });
    expect(whole()).toMatchObject({ state: 'running', endedAt: null });
    await complete('right', 'lone');
    expect([of('right').cause, of('lone').cause]).toEqual(['success', 'success']);
    expect(whole()?.state).toBe('failed');
  });

  it('cancels a run with two producers once, although both fail', async () => {
    await complete('top');
    await crash('left');
    await crash('right');
    expect(of('bottom').errorMessage).toContain('left');
    expect(eventsOfRun(project.db, of('bottom').id).map(({ event }) => event)).toEqual(['submit', 'cancel']);
  });

  it('leaves what has completed before it alone', async () => {
    await complete('top', 'lone');
    await crash('left');
    expect(of('top').state).toBe('completed');
    expect(of('lone').state).toBe('completed');
  });

  it.each([
    ['failed', 'a crash', () => crash('top'), 'failed'],
    [
      'terminated',
      'a lost worker',
      async () => {
        project.fake.spoil(of('top').id, 'unreadable');
        await project.tick();
      },
      'terminated',
    ],
    [
      'canceled',
      'a cancel',
      async () => {
        cancelRuns(project.deps, { target: of('top').id, reason: 'Not needed any more' });
        project.fake.end(of('top').id, { stoppedBy: 'cancel' });
        await project.tick();
      },
      'canceled',
    ],
  ])('makes the pipeline run %s by %s once all is over', async (_, __, end, state) => {
    await end();
    expect(of('last').cause).toBe('upstream_failed');
    expect(whole()?.state).toBe('running');
    await complete('lone');
    expect(whole()).toMatchObject({ state, endedAt: expect.any(String) });
  });

  it('makes the pipeline run failed rather than terminated or canceled', async () => {
    project.fake.spoil(of('lone').id, 'garbled');
    await project.tick();
    await crash('top');
    expect(whole()?.state).toBe('failed');
  });
});

describe('settling', () => {
  it('may be repeated and changes nothing', async () => {
    await complete('top');
    await crash('left');
    const stages = ['top', 'left', 'right', 'bottom', 'last', 'lone'];
    const before = stages.map(of);
    for (const stage of stages) settleRun(project.deps, of(stage).id);
    expect(stages.map(of)).toEqual(before);
    expect(eventsOfRun(project.db, of('last').id)).toHaveLength(2);
  });

  it('takes the time of the last end as the pipeline run’s', async () => {
    for (const [stage, endedAt] of [
      ['top', '2026-01-02T05:00:00.000Z'],
      ['lone', '2026-01-02T04:00:00.000Z'],
    ] as const) {
      project.fake.end(of(stage).id, { exitCode: 1, endedAt });
      await project.tick();
    }
    expect(whole()?.endedAt).toBe('2026-01-02T05:00:00.000Z');
  });
});
