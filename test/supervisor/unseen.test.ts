import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GoldfishError } from '../../src/core/errors.ts';
import { observeRuns } from '../../src/runs/observe.ts';
import { createAttemptWatch } from '../../src/runs/watch-attempts.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
});
afterEach(() => project.dispose());

describe('a run of which nobody can say whether it has begun', () => {
  /** A supervisor has asked for it and died, and now its backend cannot look. */
  beforeEach(async () => {
    await project.startAndDie(id);
    project.fake.set(id, 'unknown');
  });

  const now = (): number => project.deps.clock.monotonic();
  const ticks = async (isOver: () => boolean): Promise<void> => {
    for (let n = 0; n < 2_000 && !isOver(); n += 1) await project.tick();
  };

  it('is launched again by nobody, and the patience with its launch begins when somebody can', async () => {
    project.fake.failLaunch = new GoldfishError('BACKEND_UNAVAILABLE', {
      message: 'The bucket does not answer.',
      retryable: true,
    });
    await ticks(() => now() > 600_000);
    expect(project.run(id)).toMatchObject({ state: 'launching', cause: null });
    expect(project.fake.launchCalls).toEqual([id]);
    project.fake.set(id, 'absent');
    const from = now();
    await ticks(() => project.run(id).endedAt !== null);
    expect(project.run(id)).toMatchObject({
      cause: 'launch_failed',
      errorMessage: 'The bucket does not answer.',
    });
    expect(now() - from).toBeGreaterThan(50_000);
    expect(now() - from).toBeLessThan(80_000);
  });

  it('is not late, and has the whole time again when it can be seen', async () => {
    const limitMs = project.deps.config.defaults.launchTimeoutSeconds * 1000;
    await ticks(() => now() > 2 * limitMs);
    expect(project.run(id)).toMatchObject({ state: 'launching', cause: null });
    project.fake.set(id, 'starting');
    const from = now();
    while (now() - from < limitMs - 10_000) {
      await project.deps.clock.sleep(5_000);
      await project.tick();
    }
    project.fake.set(id, 'running');
    await project.tick();
    expect(project.run(id).state).toBe('running');
    expect(project.fake.stops).toEqual([]);
  });
});

it('a look that was broken off judges no run, and warns of none', async () => {
  await project.tick();
  const said: unknown[] = [];
  const log = { warn: (entry: unknown) => said.push(entry) };
  const leaving = new AbortController();
  const { getStatus } = project.fake.backend;
  project.fake.backend.getStatus = (handles) => {
    leaving.abort();
    return getStatus(handles);
  };
  project.fake.set(id, 'unknown');
  const runs = [project.run(id)];
  const watch = createAttemptWatch(project.deps);
  const deps = { ...project.deps, log: log as unknown as typeof project.deps.log };
  expect(await observeRuns(deps, runs, { signal: leaving.signal, watch })).toEqual({ ended: [], lost: [] });
  expect(said).toEqual([]);
});
