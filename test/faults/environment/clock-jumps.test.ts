import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { createIds } from '../../../src/core/ids.ts';
import { attemptsOfRun } from '../../../src/store/attempts.ts';
import { readLease } from '../../../src/store/lease.ts';
import { eventsOfRun } from '../../../src/store/run-events.ts';
import { insertThought, listThoughts } from '../../../src/store/thoughts.ts';
import { supervise } from '../../../src/supervisor/supervise.ts';
import { until } from '../../integration/until.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../../support/runs-project.ts';
import { createTestClock } from '../../support/test-clock.ts';
import { createTally, type Tally } from '../kit/tally.ts';

/**
 * The wall clock of a supervisor is set while durations go on. The store is real, and so is the loop; what executes is
 * a fake, for a real program has a clock of its own.
 */
const HOUR_MS = 3_600_000;
const JUMPS = [HOUR_MS, -HOUR_MS] as const;
const FIRST_PAUSE_MS = 5_000;

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let id: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: {
      'pipeline.yaml': 'stages:\n  - name: one\n    retries: { max_restarts: 2 }\n',
      'modules/one.py': 'pass\n',
      'configs/one.yaml': 'compute: { timeout_seconds: 100 }\n',
    },
  });
});
afterAll(() => prepared.dispose());
beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
});
afterEach(async () => {
  vi.useRealTimers();
  await project.dispose();
});

const name = (jump: number): string => `wall clock set ${jump > 0 ? 'an hour ahead' : 'back by an hour'}`;

/** Looks of the supervisor for so long, a second apart. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    time.advance(1_000);
    await project.tick();
  }
}

it.each(JUMPS)(
  'ends no run because the wall clock is set by %i ms, whatever the run is doing',
  async (jump) => {
    const tally = createTally();
    await project.tick();
    for (const phase of ['starting', 'running'] as const) {
      project.fake.set(id, phase);
      await project.tick();
      time.jump(jump);
      await pass(30);
      const { state, cause } = project.run(id);
      const wanted = phase === 'starting' ? 'launching' : 'running';
      tally.count('right-end', state === wanted ? undefined : `${phase}: it is ${state} (${cause})`);
      tally.count('right-end', project.fake.stops.length === 0 ? undefined : `${phase}: it was stopped`);
    }
    time.jump(jump);
    project.fake.end(id);
    await project.tick();
    tally.count('right-end', project.run(id).cause === 'success' ? undefined : `${project.run(id).cause}`);
    const [attempt] = attemptsOfRun(project.db, id);
    const told = eventsOfRun(project.db, id).map(({ event }) => event);
    tally.count('right-end', attempt?.releasedAt == null ? 'its attempt is not released' : undefined);
    tally.count('once', project.fake.launched.length === 1 ? undefined : 'it was launched again');
    expect(told).toEqual(['submit', 'prepare', 'build', 'launch', 'start', 'finish', 'complete']);
    tally.state({ fault: name(jump) });
  },
);

it.each(JUMPS)('still stops a run at its limit where the wall clock was set by %i ms', async (jump) => {
  const tally = createTally();
  await project.tick();
  project.fake.set(id, 'running');
  await project.tick();
  time.jump(jump);
  // The limit, the grace, and what the supervisor waits beyond them.
  await pass(100 + project.run(id).plan.compute.stopGraceSeconds + 10);
  const [stop] = project.fake.stops;
  tally.count('right-end', stop?.reason === 'timeout' ? undefined : `asked to stop: ${stop?.reason}`);
  tally.state({ fault: `${name(jump)}, a run beyond its limit` });
});

it.each(JUMPS)(
  'makes no pause before a restart longer because the wall clock is set by %i ms',
  async (jump) => {
    const tally = createTally();
    await project.tick();
    project.fake.end(id, { exitCode: 3 });
    await project.tick();
    expect(project.run(id)).toMatchObject({ state: 'pending', attempt: 2 });
    time.jump(jump);
    await pass(FIRST_PAUSE_MS / 1_000 + 1);
    const { state, attempt } = project.run(id);
    tally.count(
      'goes-on',
      state === 'launching' && attempt === 2 ? undefined : `it is ${state} (${attempt})`,
    );
    project.fake.end(id);
    await project.tick();
    tally.count('right-end', project.run(id).cause === 'success' ? undefined : `${project.run(id).cause}`);
    tally.count('once', project.fake.launched.length === 2 ? undefined : 'it was launched again');
    tally.state({ fault: `${name(jump)} in the pause before a restart` });
  },
);

it.each(JUMPS)('steals and loses no lease where the wall clock is set by %i ms', async (jump) => {
  const tally = createTally();
  // Renewals come from a timer of Node's; the pauses of a contender let it go off as often as it would.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const clock = {
    ...time.clock,
    sleep: async (ms: number) => {
      await time.clock.sleep(ms);
      await vi.advanceTimersByTimeAsync(ms);
    },
  };
  const stop = new AbortController();
  const { db, goldfishVersion, layout, log } = project.deps;
  const runtimeDir = join(project.root, 'runtime');
  const context = {
    ...{ clock: time.clock, db, goldfishVersion, layout, log, runtimeDir },
    runsDeps: { ...project.deps, clock: time.clock },
  };
  const holder = supervise({ ...context, clock: { ...time.clock, sleep: patient } }, { signal: stop.signal });
  await until(() => project.logged.includes('supervisor started'), 'a supervisor that renews its lease');
  for (let round = 0; round < 3; round += 1) {
    time.jump(round % 2 === 0 ? jump : -jump);
    const end = await supervise({ ...context, clock }, { signal: stop.signal });
    countLease(tally, end);
  }
  stop.abort();
  expect(await holder).toBe('stopped');
  tally.state({ fault: `${name(jump)}, another supervisor starts` });
});

/** The holder of the lease looks when it is woken, and renews by its timer meanwhile. */
function patient(_ms: number, options?: { signal?: AbortSignal }): Promise<void> {
  return new Promise((resolve) => {
    if (options?.signal?.aborted) return resolve();
    options?.signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

function countLease(tally: Tally, end: string): void {
  const { token, pid } = readLease(project.db);
  tally.count('once', end === 'lease_held' ? undefined : `the second supervisor ended as ${end}`);
  tally.count('once', token === 1 && pid === process.pid ? undefined : `the lease has token ${token}`);
}

it('gives records unique ids that rise, whatever the wall clock is set to', () => {
  const ids = createIds();
  const made: string[] = [];
  for (const jump of [0, HOUR_MS, -HOUR_MS, -HOUR_MS, HOUR_MS, 0]) {
    time.jump(jump);
    for (let n = 0; n < 50; n += 1) {
      const thoughtId = ids.record(time.clock.now());
      const createdAt = new Date(time.clock.now()).toISOString();
      const about = { workspace: 'exp', runId: null, thought: `${made.length}`, actor: 'test' };
      insertThought(project.db, { id: thoughtId, createdAt, ...about });
      made.push(thoughtId);
      if (n % 2 === 1) time.advance(1);
    }
  }
  const listed = listThoughts(project.db, { workspace: 'exp', limit: made.length });
  const tally = createTally();
  for (const [at, { thought }] of listed.entries()) {
    const wanted = `${made.length - 1 - at}`;
    tally.count(
      'no-busy',
      thought === wanted ? undefined : `thought ${thought} stands where ${wanted} should`,
    );
  }
  expect(listed).toHaveLength(made.length);
  tally.state({ fault: 'wall clock set between 300 records' });
});
