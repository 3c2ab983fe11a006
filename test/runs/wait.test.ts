import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { type WaitRequest, waitForRuns } from '../../src/runs/wait.ts';
import { newestEventSeq } from '../../src/store/run-events.ts';
import {
  type PreparedProject,
  prepareGivenVersion,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let clock: Clock;
let one: string;
let two: string;
let lone: string;
let nudges: number;
/** What happens meanwhile: called at each pause of the wait, with its number. */
let meanwhile: (pause: number) => unknown;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ config: 'process: { max_parallel: 4 }\n', files: THREE_STAGES });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  ({ clock } = createTestClock());
  project = await prepared.open({ clock });
  [one, two, lone] = ['one', 'two', 'lone'].map((stage) => project.runOf(prepared.first, stage).id) as [
    string,
    string,
    string,
  ];
  nudges = 0;
  meanwhile = () => undefined;
  await project.tick();
});
afterEach(() => project.dispose());

function wait(request: Partial<WaitRequest>, call: Parameters<typeof waitForRuns>[2] = {}) {
  let pause = 0;
  const deps = {
    db: project.deps.db,
    clock: {
      ...clock,
      sleep: async (ms: number, options?: { signal?: AbortSignal }) => {
        pause += 1;
        await meanwhile(pause);
        if (!options?.signal?.aborted) await clock.sleep(ms);
      },
    },
    nudge: async () => {
      nudges += 1;
    },
  };
  return waitForRuns(deps, { targets: [prepared.first], until: 'all', timeoutSeconds: 45, ...request }, call);
}

const crash = async (id: string): Promise<void> => {
  project.fake.end(id, { exitCode: 1 });
  await project.tick();
};

describe('waiting until all', () => {
  it('returns when the last target has ended, with what changed on the way', async () => {
    meanwhile = async (pause) => {
      if (pause === 1) await project.complete(lone);
      if (pause === 3) await project.complete(one);
    };
    const outcome = await wait({ targets: [one, lone] });
    expect(outcome).toMatchObject({
      done: true,
      timedOut: false,
      targets: [
        { id: one, kind: 'run', state: 'completed', cause: 'success' },
        { id: lone, kind: 'run', state: 'completed', cause: 'success' },
      ],
      changes: [
        { runId: lone, stage: 'lone', from: 'launching', to: 'completed' },
        { runId: one, stage: 'one', from: 'launching', to: 'completed' },
      ],
      cursor: newestEventSeq(project.db),
    });
    expect(clock.monotonic()).toBe(300);
  });

  it('goes on while a pipeline run goes on although one of its runs has failed', async () => {
    await crash(one);
    const outcome = await wait({ timeoutSeconds: 1 });
    expect(outcome).toMatchObject({
      done: false,
      timedOut: true,
      targets: [{ id: prepared.first, kind: 'pipeline_run', state: 'running', cause: null }],
    });
  });

  it('returns at once where everything is over, without waking anybody', async () => {
    cancelRuns(project.deps, { target: two, reason: 'Not needed any more' });
    expect(await wait({ targets: [two] })).toMatchObject({ done: true, changes: [] });
    expect([clock.monotonic(), nudges]).toEqual([0, 0]);
  });
});

describe('waiting until any', () => {
  it('returns with the first target that ends', async () => {
    meanwhile = async (pause) => {
      if (pause === 2) await project.complete(lone);
    };
    const outcome = await wait({ targets: [one, lone], until: 'any' });
    expect(outcome.done).toBe(true);
    expect(outcome.targets.map((target) => target.state)).toEqual(['launching', 'completed']);
    expect(clock.monotonic()).toBe(200);
  });

  it('with a cursor returns only for one that ended since, or when all have', async () => {
    await project.complete(lone);
    const { cursor } = await wait({ targets: [one, lone, two], until: 'any', timeoutSeconds: 0 });
    meanwhile = async (pause) => {
      if (pause === 3) await project.complete(one);
    };
    const next = await wait({ targets: [one, lone, two], until: 'any', cursor });
    expect(next).toMatchObject({ done: true, changes: [{ runId: one, to: 'completed' }] });
    expect(clock.monotonic()).toBe(300);
    cancelRuns(project.deps, { target: two, reason: 'Not needed any more' });
    const { cursor: end } = await wait({ targets: [one, lone, two], until: 'any', cursor: next.cursor });
    expect(await wait({ targets: [one, lone, two], until: 'any', cursor: end })).toMatchObject({
      done: true,
      changes: [],
    });
  });

  it('with a cursor returns for a pipeline run whose last run ended since, and once', async () => {
    const { pipelineRun } = await project.submit({
      stages: ['lone'],
      configOverride: { lone: { k: 9 } },
    });
    const targets = [prepared.first, pipelineRun.id];
    const { cursor } = await wait({ targets, timeoutSeconds: 0 });
    meanwhile = async (pause) => {
      if (pause !== 2) return;
      await project.complete(lone);
      await project.complete(one);
      await project.tick();
      await project.complete(two);
    };
    const outcome = await wait({ targets, until: 'any', cursor });
    expect(outcome.done).toBe(true);
    expect(outcome.targets.map(({ state }) => state)).toEqual(['completed', 'running']);
    meanwhile = () => undefined;
    const again = await wait({ targets, until: 'any', cursor: outcome.cursor, timeoutSeconds: 1 });
    expect(again).toMatchObject({ done: false, timedOut: true });
  });

  it('does not take a run of a pipeline run for the pipeline run', async () => {
    await project.complete(lone);
    expect(await wait({ until: 'any', timeoutSeconds: 1 })).toMatchObject({ done: false, timedOut: true });
  });
});

describe('waiting until something needs attention', () => {
  it('returns as soon as a run fails while others go on', async () => {
    meanwhile = async (pause) => {
      if (pause === 2) await crash(one);
    };
    const outcome = await wait({ until: 'attention' });
    expect(outcome).toMatchObject({ done: true, targets: [{ state: 'running' }] });
    expect(outcome.changes).toMatchObject([
      { runId: one, from: 'launching', to: 'failed' },
      { runId: two, from: 'pending', to: 'canceled' },
    ]);
  });

  it('returns for a run that was terminated', async () => {
    meanwhile = async () => {
      project.fake.spoil(lone, 'garbled');
      await project.tick();
    };
    expect(await wait({ until: 'attention' })).toMatchObject({ done: true });
  });

  it('does not return for a success or a cancel', async () => {
    meanwhile = async (pause) => {
      if (pause === 1) await project.complete(lone);
      if (pause === 2) cancelRuns(project.deps, { target: two, reason: 'Not needed any more' });
    };
    expect(await wait({ until: 'attention', timeoutSeconds: 2 })).toMatchObject({ timedOut: true });
  });

  it('returns at once for a failure before it where no cursor says that it is known', async () => {
    await crash(one);
    expect(await wait({ until: 'attention' })).toMatchObject({ done: true, changes: [] });
    expect(clock.monotonic()).toBe(0);
  });

  it('does not return again for a failure that was told, but for the next', async () => {
    await crash(one);
    const { cursor } = await wait({ until: 'attention' });
    meanwhile = async (pause) => {
      if (pause === 5) await crash(lone);
    };
    const outcome = await wait({ until: 'attention', cursor });
    expect(outcome.changes.map(({ runId, to }) => [runId, to])).toEqual([[lone, 'failed']]);
  });
});

describe('a cursor', () => {
  it('returns each change once, as the newest state of a run since then', async () => {
    const { cursor: start } = await wait({ timeoutSeconds: 0 });
    project.fake.set(lone, 'running');
    await project.tick();
    const first = await wait({ timeoutSeconds: 0, cursor: start });
    expect(first.changes).toMatchObject([{ runId: lone, from: 'launching', to: 'running' }]);
    const second = await wait({ timeoutSeconds: 0, cursor: first.cursor });
    expect(second).toMatchObject({ changes: [], cursor: first.cursor });
    await project.complete(lone);
    const third = await wait({ timeoutSeconds: 0, cursor: first.cursor });
    expect(third.changes).toMatchObject([{ runId: lone, from: 'running', to: 'completed' }]);
    const whole = await wait({ timeoutSeconds: 0, cursor: start });
    expect(whole.changes).toMatchObject([{ runId: lone, from: 'launching', to: 'completed' }]);
  });

  it('leaves out what happened to other runs', async () => {
    const { cursor } = await wait({ timeoutSeconds: 0 });
    await project.complete(lone);
    expect(await wait({ targets: [one], timeoutSeconds: 0, cursor })).toMatchObject({ changes: [] });
  });

  it('covers what another process wrote in the very moment of the look', async () => {
    const { cursor } = await wait({ timeoutSeconds: 0 });
    const { db } = project;
    let written = false;
    project.deps.db = {
      ...db,
      read: (work) => {
        if (!written) cancelRuns({ db, clock }, { target: two, reason: 'Not needed any more' });
        written = true;
        return db.read(work);
      },
    };
    const first = await wait({ timeoutSeconds: 0, cursor });
    expect(first.changes).toMatchObject([{ runId: two, to: 'canceled' }]);
    expect(await wait({ timeoutSeconds: 0, cursor: first.cursor })).toMatchObject({ changes: [] });
  });
});

describe('a wait that is bounded', () => {
  it('ends without an error when its time is over, and the work goes on', async () => {
    const outcome = await wait({ timeoutSeconds: 45 });
    expect(outcome).toMatchObject({ done: false, timedOut: true, changes: [] });
    expect(clock.monotonic()).toBe(45_000);
    expect(project.run(one).state).toBe('launching');
  });

  it('of zero seconds looks once', async () => {
    expect(await wait({ timeoutSeconds: 0 })).toMatchObject({ done: false, timedOut: true });
    expect(clock.monotonic()).toBe(0);
  });

  it('ends at once when its caller has gone', async () => {
    const caller = new AbortController();
    meanwhile = (pause) => {
      if (pause === 3) caller.abort();
    };
    expect(await wait({}, { signal: caller.signal })).toMatchObject({ done: false, timedOut: true });
    expect(clock.monotonic()).toBe(200);
  });

  it('sees to it every two seconds that somebody is at work', async () => {
    await wait({ timeoutSeconds: 10 });
    expect(nudges).toBe(5);
  });

  it('reports progress at each change and no more', async () => {
    const told: [number, string][] = [];
    meanwhile = async (pause) => {
      if (pause === 4) await project.complete(lone);
    };
    await wait({ timeoutSeconds: 2 }, { progress: (...report) => told.push(report) });
    expect(told).toEqual([
      [expect.closeTo(0.04), 'one launching, two pending, lone launching'],
      [expect.closeTo(1.06 / 3), 'one launching, two pending, lone completed'],
    ]);
  });
});

describe('targets', () => {
  it('may be prefixes, and one that is named twice counts once', async () => {
    const outcome = await wait({ targets: [lone, lone.slice(0, 14), lone.slice(6)], timeoutSeconds: 0 });
    expect(outcome.targets.map((target) => target.id)).toEqual([lone]);
  });

  it('that do not exist are refused', async () => {
    await expect(wait({ targets: ['stage-ffffffffffff'] })).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});
