import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { admitRuns } from '../../src/runs/admit.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { getAttempt } from '../../src/store/attempts.ts';
import { getPipelineRun } from '../../src/store/pipeline-runs.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { outputsOfRun } from '../../src/store/signals.ts';
import { until } from '../integration/until.ts';
import {
  type PreparedProject,
  prepareGivenVersion,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;
let two: string;
let lone: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ config: 'process: { max_parallel: 3 }\n', files: THREE_STAGES });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
  two = project.runOf(prepared.first, 'two').id;
  lone = project.runOf(prepared.first, 'lone').id;
});
afterEach(() => project.dispose());

const REASON = 'The question is answered';
const cancel = (target = id, reason = REASON) => cancelRuns(project.deps, { target, reason });
const outcomeOf = (target = id) => cancel(target).runs.find((run) => run.runId === id)?.outcome;
const attempt = () => getAttempt(project.db, { runId: id, attempt: 1 });
const stops = () => project.fake.stops.filter((stop) => stop.runId === id);
const CANCELED = { state: 'canceled', cause: 'user', errorMessage: `Canceled: ${REASON}`, failure: null };

describe('a cancel', () => {
  it('ends a pending run at once', () => {
    expect(outcomeOf()).toBe('canceled');
    expect(project.run(id)).toMatchObject({ ...CANCELED, cancelReason: REASON });
    expect(eventsOfRun(project.db, id).at(-1)).toMatchObject({ event: 'cancel', source: 'caller' });
  });

  it('ends a run that is preparing before anything of it starts', async () => {
    admitRuns(project.deps);
    expect(outcomeOf()).toBe('stopping');
    expect(project.run(id).state).toBe('preparing');
    await project.tick();
    expect(project.run(id)).toMatchObject(CANCELED);
    expect(project.fake.launchCalls).not.toContain(id);
    expect(attempt()).toBeUndefined();
  });

  it('ends a run while its build hangs, which is interrupted', async () => {
    project.fake.holdBuild = new Promise(() => undefined);
    await project.loop.tick();
    await until(() => project.fake.builds === 2, 'both builds');
    expect(project.run(id).state).toBe('building');
    expect(outcomeOf()).toBe('stopping');
    await project.loop.tick();
    await until(() => project.loop.busy() === 1, 'the end of the interrupted build');
    expect(project.run(lone).state).toBe('building');
    await project.loop.tick();
    await until(() => project.run(id).endedAt !== null, 'the end of the run');
    expect(project.run(id)).toMatchObject(CANCELED);
    expect(project.fake.launchCalls).toEqual([]);
    cancel(lone);
    await project.tick();
  });

  it('stops a run that is launching, once, and ends it when it has stopped', async () => {
    await project.tick();
    expect(project.run(id).state).toBe('launching');
    expect(outcomeOf()).toBe('stopping');
    await project.tick();
    await project.tick();
    expect(stops()).toEqual([{ runId: id, graceSeconds: 10, reason: 'cancel' }]);
    expect(project.run(id).state).toBe('launching');
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'cancel' });
    await project.tick();
    expect(project.run(id)).toMatchObject({ ...CANCELED, signal: 'SIGTERM' });
    expect(attempt()).toMatchObject({ cause: 'user', releasedAt: expect.any(String) });
  });

  it('that comes while the backend is asked to launch stops what was started', async () => {
    project.fake.afterStart = (runId) => {
      if (runId === id) cancel();
    };
    await project.tick();
    expect(attempt()?.handle).not.toBeNull();
    await project.tick();
    expect(stops()).toMatchObject([{ reason: 'cancel' }]);
    project.fake.end(id, { exitCode: null, signal: 'SIGKILL', stoppedBy: 'cancel' });
    await project.tick();
    expect(project.run(id)).toMatchObject(CANCELED);
  });

  it('finds and ends by its name what a dead supervisor started and never wrote down', async () => {
    await project.startAndDie(id);
    expect(attempt()).toMatchObject({ handle: null });
    expect(outcomeOf()).toBe('stopping');
    await project.tick();
    expect(attempt()?.handle).not.toBeNull();
    await project.tick();
    expect(stops()).toEqual([{ runId: id, graceSeconds: 10, reason: 'cancel' }]);
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'cancel' });
    await project.tick();
    expect(project.run(id)).toMatchObject(CANCELED);
    expect(project.fake.cleaned).toContain(id);
    expect(attempt()?.releasedAt).not.toBeNull();
  });

  it('gets through though the backend cannot say whether what a dead supervisor asked for has begun', async () => {
    await project.startAndDie(id);
    project.fake.set(id, 'unknown');
    expect(outcomeOf()).toBe('stopping');
    await project.tick();
    expect(stops()).toMatchObject([{ runId: id, graceSeconds: 0, reason: 'cancel' }]);
    expect(project.run(id)).toMatchObject(CANCELED);
    expect(attempt()?.releasedAt).not.toBeNull();
  });

  it('stops a running run, once', async () => {
    await project.tick();
    project.fake.set(id, 'running');
    await project.tick();
    expect(outcomeOf()).toBe('stopping');
    for (let n = 0; n < 3; n += 1) await project.tick();
    expect(stops()).toEqual([{ runId: id, graceSeconds: 10, reason: 'cancel' }]);
    expect(project.run(id).state).toBe('running');
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'cancel' });
    await project.tick();
    expect(project.run(id)).toMatchObject(CANCELED);
  });

  it('asks again where the backend could not be told', async () => {
    await project.tick();
    project.fake.set(id, 'running');
    cancel();
    const { terminate } = project.fake.backend;
    project.fake.backend.terminate = async () => {
      throw new Error('no answer');
    };
    await project.tick();
    expect(attempt()?.stopRequestedAt).toBeNull();
    project.fake.backend.terminate = terminate;
    await project.tick();
    expect(stops()).toHaveLength(1);
  });

  it('does not undo the program’s own end that came first and is not recorded yet', async () => {
    await project.tick();
    project.fake.set(id, 'running');
    await project.tick();
    cancel();
    await project.complete(id);
    expect(project.run(id)).toMatchObject({ state: 'completed', cause: 'success', exitCode: 0 });
    expect(outputsOfRun(project.db, id)).toHaveLength(1);
  });

  it('keeps the outputs that are being stored when it comes', async () => {
    await project.tick();
    const { storage } = project.deps;
    let outcome: string | undefined;
    project.deps.storage = {
      ...storage,
      put: async (...args) => {
        expect(project.run(id).state).toBe('finishing');
        outcome ??= outcomeOf();
        return storage.put(...args);
      },
    };
    await project.complete(id);
    expect(outcome).toBe('finishing');
    expect(project.run(id)).toMatchObject({ state: 'completed', cause: 'success' });
    expect(outputsOfRun(project.db, id)).toHaveLength(1);
  });

  it('wins over the loss of what executed the run', async () => {
    await project.tick();
    cancel();
    project.fake.set(id, 'absent');
    for (let n = 0; n < 3; n += 1) {
      await project.tick();
      await project.deps.clock.sleep(1_000);
    }
    expect(project.run(id)).toMatchObject(CANCELED);
  });

  it('that comes after the end changes nothing', async () => {
    await project.tick();
    await project.complete(id);
    const before = project.run(id);
    expect(outcomeOf()).toBe('over');
    await project.tick();
    expect(project.run(id)).toEqual(before);
  });
});

describe('a cancel that is repeated', () => {
  it('is harmless, and the first reason stays', async () => {
    await project.tick();
    project.fake.set(id, 'running');
    expect(outcomeOf()).toBe('stopping');
    await project.tick();
    cancel(id, 'Another reason altogether');
    await project.tick();
    expect(stops()).toHaveLength(1);
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'cancel' });
    await project.tick();
    expect(project.run(id)).toMatchObject(CANCELED);
    expect(cancel(id, 'Another reason altogether').runs).toEqual([
      { runId: id, stage: 'one', state: 'canceled', outcome: 'over' },
    ]);
    expect(eventsOfRun(project.db, id).filter(({ event }) => event === 'cancel')).toHaveLength(1);
  });
});

describe('a cancel of a pipeline run', () => {
  it('says of each run what became of it, and none is canceled because of another', async () => {
    await project.tick();
    await project.complete(lone);
    const answer = cancel(prepared.first);
    expect(answer).toEqual({
      targetId: prepared.first,
      runs: [
        { runId: id, stage: 'one', state: 'launching', outcome: 'stopping' },
        { runId: two, stage: 'two', state: 'canceled', outcome: 'canceled' },
        { runId: lone, stage: 'lone', state: 'completed', outcome: 'over' },
      ],
    });
    expect(project.run(two)).toMatchObject({ cause: 'user' });
    expect(getPipelineRun(project.db, prepared.first)?.state).toBe('running');
    project.fake.end(id, { stoppedBy: 'cancel' });
    await project.tick();
    expect(getPipelineRun(project.db, prepared.first)).toMatchObject({
      state: 'canceled',
      endedAt: expect.any(String),
    });
  });

  it('that is pending ends it whole, each run as canceled by the caller', () => {
    expect(cancel(prepared.first).runs.map((run) => run.outcome)).toEqual([
      'canceled',
      'canceled',
      'canceled',
    ]);
    expect(getPipelineRun(project.db, prepared.first)).toMatchObject({ state: 'canceled' });
    expect([id, two, lone].map((run) => project.run(run).cause)).toEqual(['user', 'user', 'user']);
  });

  it('is refused where there is no such run', () => {
    expect(() => cancel('stage-ffffffffffff')).toThrow('No run has the id "stage-ffffffffffff".');
  });
});
