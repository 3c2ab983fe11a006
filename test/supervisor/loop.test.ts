import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunBackend } from '../../src/backends/port.ts';
import { GoldfishError } from '../../src/core/errors.ts';
import type { RunsDeps } from '../../src/runs/deps.ts';
import { attemptsOfRun, getAttempt } from '../../src/store/attempts.ts';
import { fencedBy } from '../../src/store/lease.ts';
import { metricSummaries } from '../../src/store/metrics.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { outputsOfRun } from '../../src/store/signals.ts';
import { createLoop } from '../../src/supervisor/loop.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;
let time: ReturnType<typeof createTestClock>;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: {
      'pipeline.yaml': 'stages:\n  - name: one\n    outputs: { a: json }\n',
      'modules/one.py': 'pass\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
});
afterEach(() => project.dispose());

const events = () => eventsOfRun(project.db, id).map(({ event }) => event);

/** What the program leaves behind. */
function programEnds(): void {
  const { outputs, metrics, control } = project.deps.layout.attempt(id, 1);
  for (const folder of [outputs, control]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(outputs, 'a.json'), '{}');
  writeFileSync(metrics, '{"name":"loss","value":1}\n{"name":"loss","value":2}\n');
  project.fake.end(id);
}

/** Looks until the run is over, as a supervisor would; the program runs and ends once it is started. */
async function work(loop: ReturnType<typeof createLoop>, looks = 12): Promise<void> {
  for (let n = 0; n < looks && project.run(id).endedAt === null; n += 1) {
    await loop.tick().catch(() => undefined);
    await loop.settled();
    const { launched } = project.fake;
    if (launched.length > 0 && project.run(id).state === 'launching') project.fake.set(id, 'running');
    else if (project.run(id).state === 'running') programEnds();
  }
}

/**
 * A process that dies before its step number `last`. A step is a transaction, a call of the backend, or a write to
 * the storage; between two steps it leaves nothing that another process could see.
 */
function mortal(last: number): { deps: RunsDeps; steps: string[]; died: () => boolean } {
  const steps: string[] = [];
  const step = (name: string): void => {
    if (steps.length >= last) throw new Error('killed');
    steps.push(name);
  };
  const stepped =
    <A extends unknown[], T>(name: string, act: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      step(name);
      return act(...args);
    };
  const { db, storage, backends } = project.deps;
  let depth = 0;
  const { backend } = project.fake;
  const doomed: RunBackend = {
    ...backend,
    build: stepped('build', backend.build),
    launch: stepped('launch', backend.launch),
    getStatus: stepped('getStatus', backend.getStatus),
    terminate: stepped('terminate', backend.terminate),
    cleanup: stepped('cleanup', backend.cleanup),
  };
  const deps: RunsDeps = {
    ...project.deps,
    db: {
      ...db,
      write: (work) => {
        if (depth > 0) return work();
        step('write');
        depth += 1;
        try {
          return db.write(work);
        } finally {
          depth -= 1;
        }
      },
    },
    storage: { ...storage, put: stepped('put', storage.put) },
    backends: { ...backends, get: async () => doomed },
  };
  return { deps, steps, died: () => steps.length >= last };
}

const loopOf = (deps: RunsDeps, signal = new AbortController().signal) =>
  createLoop(deps, { wakeSocket: null, signal, wake: () => undefined });

describe('a supervisor that is killed', () => {
  it('between any two steps is followed by one that ends the run rightly, with one launch', {
    timeout: 60_000,
  }, async () => {
    const whole = mortal(Number.POSITIVE_INFINITY);
    await work(loopOf(whole.deps));
    expect(project.run(id).cause).toBe('success');
    expect(whole.steps).toEqual(expect.arrayContaining(['build', 'launch', 'getStatus', 'cleanup', 'put']));
    for (let last = 0; last < whole.steps.length; last += 1) {
      await project.dispose();
      project = await prepared.open({ clock: createTestClock().clock });
      const first = mortal(last);
      await work(loopOf(first.deps), 6);
      expect(first.died(), `step ${last}`).toBe(true);
      await work(project.loop);
      // The one that ended it may have been killed before it could say that nothing is left.
      await project.tick();
      const where = `killed before step ${last} (${whole.steps[last]})`;
      expect(project.run(id), where).toMatchObject({ state: 'completed', cause: 'success', attempt: 1 });
      expect(project.fake.launched.length, where).toBe(1);
      expect(attemptsOfRun(project.db, id), where).toMatchObject([
        { cause: 'success', exitCode: 0, releasedAt: expect.any(String) },
      ]);
      expect(new Set(events()).size, where).toBe(events().length);
      expect(outputsOfRun(project.db, id), where).toHaveLength(1);
      expect(metricSummaries(project.db, id), where).toMatchObject([{ name: 'loss', count: 2 }]);
    }
  });

  it('after the backend started the attempt and before the handle was stored launches it no second time', async () => {
    await project.startAndDie(id);
    expect(project.run(id).state).toBe('launching');
    expect(getAttempt(project.db, { runId: id, attempt: 1 })).toMatchObject({ handle: null });
    await project.tick();
    expect(project.fake.launchCalls).toEqual([id]);
    expect(project.fake.launched).toHaveLength(1);
    expect(getAttempt(project.db, { runId: id, attempt: 1 })?.handle).not.toBeNull();
    expect(events()).toEqual(['submit', 'prepare', 'build', 'launch']);
  });

  it('then is followed by one that needs nothing a launch needs: it may all be gone while the program runs', async () => {
    await project.startAndDie(id);
    project.fake.failBuild = new Error('the image is gone');
    project.fake.failLaunch = new Error('the engine takes nothing new');
    await work(project.loop);
    expect(project.run(id)).toMatchObject({ state: 'completed', cause: 'success' });
    expect(project.fake.builds).toBe(1);
  });
});

describe('a supervisor that is asked to end', () => {
  it('leaves a build where it is, and the next one goes on with it', async () => {
    const ending = new AbortController();
    project.fake.holdBuild = new Promise(() => undefined);
    const first = project.newLoop(ending.signal);
    await first.tick();
    await until(() => project.fake.builds === 1, 'the build');
    ending.abort();
    await first.settled();
    expect(first.busy()).toBe(0);
    expect(project.run(id)).toMatchObject({ state: 'building', cause: null, errorMessage: null });
    project.fake.holdBuild = undefined;
    await work(project.loop);
    expect(project.run(id).cause).toBe('success');
    expect(project.fake.launched).toHaveLength(1);
    expect(events()).toEqual(['submit', 'prepare', 'build', 'launch', 'start', 'finish', 'complete']);
  });

  it('leaves a run in finishing while outputs are stored, and the next one ends it', async () => {
    const ending = new AbortController();
    const { storage } = project.deps;
    const first = project.newLoop(ending.signal);
    await first.tick();
    await first.settled();
    programEnds();
    project.deps.storage = {
      ...storage,
      put: async () => {
        ending.abort();
        throw new Error('the process ends');
      },
    };
    await first.tick();
    await first.settled();
    expect(project.run(id)).toMatchObject({ state: 'finishing', cause: null });
    project.deps.storage = storage;
    await project.tick();
    expect(project.run(id).cause).toBe('success');
    expect(events().filter((event) => event === 'finish')).toHaveLength(1);
  });
});

describe('a launch that something passing keeps from starting', () => {
  const passing = () =>
    new GoldfishError('BACKEND_UNAVAILABLE', {
      message: 'The engine does not answer.',
      retryable: true,
    });

  it('is tried again, and starts once the trouble is over', async () => {
    project.fake.failLaunch = passing();
    for (let n = 0; n < 3; n += 1) await project.tick();
    expect(project.run(id)).toMatchObject({ state: 'launching', cause: null });
    project.fake.failLaunch = undefined;
    await work(project.loop);
    expect(project.run(id).cause).toBe('success');
    expect(project.fake.launched).toHaveLength(1);
  });

  it('ends the run after a minute', async () => {
    project.fake.failBuild = passing();
    const from = project.deps.clock.monotonic();
    for (let n = 0; n < 20 && project.run(id).endedAt === null; n += 1) await project.tick();
    expect(project.run(id)).toMatchObject({
      cause: 'build_failed',
      errorMessage: 'The engine does not answer.',
    });
    expect(project.deps.clock.monotonic() - from).toBeGreaterThanOrEqual(60_000);
    expect(project.deps.clock.monotonic() - from).toBeLessThan(75_000);
  });
});

describe('a run that does not come to run', () => {
  const LIMIT_S = 2_700;
  async function wait(seconds: number): Promise<void> {
    for (let waited = 0; waited < seconds; waited += 5) {
      await project.deps.clock.sleep(5_000);
      await project.tick();
    }
  }

  it('is ended after its time, and what is still about to start is stopped and released', async () => {
    await project.tick();
    await wait(LIMIT_S);
    expect(project.run(id).state).toBe('launching');
    await wait(10);
    expect(project.run(id)).toMatchObject({
      state: 'failed',
      cause: 'launch_failed',
      errorMessage: 'It did not begin within 2700 s (defaults.launch_timeout_seconds).',
    });
    const because = { rank: 0, message: project.run(id).errorMessage };
    expect(project.fake.stops).toEqual([{ runId: id, graceSeconds: 0, reason: 'cancel', because }]);
    expect(getAttempt(project.db, { runId: id, attempt: 1 })?.releasedAt).not.toBeNull();
  });

  it('is left alone where it begins at the last moment', async () => {
    await project.tick();
    await wait(LIMIT_S - 5);
    project.fake.set(id, 'running');
    await wait(60);
    expect(project.run(id).state).toBe('running');
    expect(project.fake.stops).toEqual([]);
  });

  it('is not ended because the machine slept or the wall clock jumped', async () => {
    await project.tick();
    time.advance(2 * 3_600_000);
    time.jump(7 * 3_600_000);
    await project.tick();
    expect(project.run(id).state).toBe('launching');
  });

  it('is ended while it is being built, too', async () => {
    project.fake.holdBuild = new Promise(() => undefined);
    await project.loop.tick();
    for (let waited = 0; waited <= LIMIT_S + 20 && project.run(id).endedAt === null; waited += 5) {
      time.advance(5_000);
      await project.loop.tick();
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (let n = 0; n < 20 && project.run(id).endedAt === null; n += 1) {
      await project.loop.tick();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(project.run(id)).toMatchObject({ cause: 'launch_failed' });
    expect(project.fake.launched).toEqual([]);
  });
});

describe('one look', () => {
  it('starts at most one piece of work per run, however often it is repeated', async () => {
    let release = (): void => undefined;
    project.fake.holdBuild = new Promise((resolve) => {
      release = resolve;
    });
    for (let n = 0; n < 5; n += 1) await project.loop.tick();
    await until(() => project.fake.builds > 0, 'the build');
    expect(project.loop.busy()).toBe(1);
    release();
    await project.loop.settled();
    expect(project.fake.builds).toBe(1);
    expect(project.fake.launchCalls).toEqual([id]);
  });

  it('tries work again that failed for no fault of the run, after a pause that doubles', async () => {
    const { write } = project.db;
    let failures = 2;
    project.deps.db = {
      ...project.db,
      write: (job) => {
        if (project.run(id).state === 'preparing' && failures > 0) {
          failures -= 1;
          throw new Error('the disk is full');
        }
        return write(job);
      },
    };
    await project.tick();
    expect(project.run(id).state).toBe('preparing');
    expect(project.logged.at(-1)).toBe('work on a run failed and will be tried again the disk is full');
    const from = project.deps.clock.monotonic();
    await project.tick();
    expect(project.deps.clock.monotonic() - from).toBe(2_000);
    await project.tick();
    expect(project.run(id).state).toBe('launching');
  });

  it('does not try again at once what was refused because another supervisor has taken over', async () => {
    await project.tick();
    project.fake.end(id);
    const pauses: number[] = [];
    const ending = new AbortController();
    const { clock } = project.deps;
    const deps: RunsDeps = {
      ...project.deps,
      db: fencedBy(project.db, 7),
      clock: {
        ...clock,
        sleep: (ms, options) => {
          pauses.push(ms);
          return new Promise((resolve) => options?.signal?.addEventListener('abort', () => resolve()));
        },
      },
    };
    const replaced = loopOf(deps, ending.signal);
    await replaced.tick();
    await until(() => pauses.length > 0, 'a pause');
    expect(pauses).toEqual([1_000]);
    expect(replaced.busy()).toBe(1);
    expect(project.logged).toEqual([]);
    ending.abort();
    await replaced.settled();
    expect(project.run(id).state).toBe('launching');
  });

  it('releases what a run held whose end was not followed by a release, until that succeeds', async () => {
    await project.tick();
    project.fake.end(id, { exitCode: 1 });
    const dead = mortal(4);
    await work(loopOf(dead.deps), 1);
    expect(project.run(id).cause).toBe('exit_nonzero');
    const released = () => getAttempt(project.db, { runId: id, attempt: 1 })?.releasedAt;
    expect(released()).toBeNull();
    project.fake.failCleanup = new Error('busy');
    await project.tick();
    expect(released()).toBeNull();
    expect(project.logged).toContain('work on a run failed and will be tried again busy');
    project.fake.failCleanup = undefined;
    await project.tick();
    expect(released()).not.toBeNull();
    const { length } = project.fake.cleaned;
    await project.tick();
    expect(project.fake.cleaned).toHaveLength(length);
  });

  it('does nothing for runs that are over', async () => {
    await work(project.loop);
    const before = [project.run(id), events(), project.fake.launchCalls.length];
    for (let n = 0; n < 3; n += 1) await project.tick();
    expect([project.run(id), events(), project.fake.launchCalls.length]).toEqual(before);
  });
});
