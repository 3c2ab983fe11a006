import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { waitsFor } from '../../src/runs/admit.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { attemptsOfRun } from '../../src/store/attempts.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let id: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: {
      'pipeline.yaml': `stages:
  - name: one
    outputs: { a: json }
    retries: { max_restarts: 2 }
  - name: two
    inputs: { a: { from_stage: one } }
`,
      'modules/one.py': 'pass\n',
      'modules/two.py': 'pass\n',
      'configs/one.yaml': 'compute: { timeout_seconds: 100 }\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  // The fake starts and ends everything at this time.
  time.jump(Date.parse('2026-01-02T03:04:05.000Z') - time.clock.now());
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
});
afterEach(() => project.dispose());

const run = () => project.run(id);
const events = () => eventsOfRun(project.db, id).map(({ event }) => event);

async function look(): Promise<void> {
  time.advance(1_000);
  await project.tick();
}

async function ends(result: Parameters<RunsProject['fake']['end']>[1]): Promise<void> {
  project.fake.end(id, result);
  await project.tick();
}

describe('a run that fails and may be started anew', () => {
  it('is pending again, waits, and runs as the next attempt; nobody is canceled because of it', async () => {
    await ends({ exitCode: 3 });
    expect(run()).toMatchObject({ state: 'pending', attempt: 2, cause: null, endedAt: null, exitCode: null });
    expect(waitsFor(project.deps, run())).toBe(
      'the pause before attempt 2: until 2026-01-02T03:04:10.000Z, 5 s more',
    );
    await project.tick();
    expect(run().state).toBe('pending');
    time.advance(5_000);
    await project.tick();
    expect(run()).toMatchObject({ state: 'launching', attempt: 2 });
    expect(project.fake.launched.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(new Set(project.fake.launched.map(({ checkpointsDir }) => checkpointsDir)).size).toBe(1);
    expect(new Set(project.fake.launched.map(({ attemptDir }) => attemptDir)).size).toBe(2);
    await project.complete(id);
    expect(run()).toMatchObject({ state: 'completed', cause: 'success', attempt: 2, errorMessage: null });
    expect(attemptsOfRun(project.db, id)).toMatchObject([
      { cause: 'exit_nonzero', exitCode: 3, releasedAt: expect.any(String) },
      { cause: 'success', exitCode: 0, releasedAt: expect.any(String) },
    ]);
    expect(events().filter((event) => event === 'restart')).toHaveLength(1);
    expect(project.runOf(prepared.first, 'two').cancelCause).toBeNull();
  });

  it('ends as it failed last when it may not be started again', async () => {
    for (let n = 0; n < 3; n += 1) {
      await ends({ exitCode: 3 + n });
      time.advance(60_000);
      await project.tick();
    }
    expect(run()).toMatchObject({
      state: 'failed',
      cause: 'exit_nonzero',
      attempt: 3,
      exitCode: 5,
      errorMessage: 'The program ended with exit code 5. It was restarted 2 times, as often as it may be.',
    });
    expect(project.runOf(prepared.first, 'two')).toMatchObject({ cause: 'upstream_failed' });
  });

  it('is not started anew when it is canceled in the pause', async () => {
    await ends({ exitCode: 3 });
    cancelRuns(project.deps, { target: id, reason: 'Not worth another try' });
    time.advance(60_000);
    await project.tick();
    await project.tick();
    expect(run()).toMatchObject({ state: 'canceled', cause: 'user' });
    expect(project.fake.launched).toHaveLength(1);
  });

  it('is not started anew when what executed it was stopped on purpose', async () => {
    cancelRuns(project.deps, { target: id, reason: 'Enough' });
    await ends({ exitCode: null, signal: 'SIGTERM', stoppedBy: 'cancel' });
    expect(run()).toMatchObject({ state: 'canceled', cause: 'user', attempt: 1 });
  });

  it('is started anew at once after the pause where the wall clock was set back', async () => {
    await ends({ exitCode: 3 });
    time.jump(-3_600_000);
    await project.tick();
    expect(run().attempt).toBe(2);
    expect(run().state).toBe('launching');
  });

  it('gets what is left of its time, and is not started for nothing', async () => {
    const ran = (seconds: number) =>
      new Date(Date.parse('2026-01-02T03:04:05.000Z') + seconds * 1000).toISOString();
    await ends({ exitCode: 3, endedAt: ran(70) });
    time.advance(5_000);
    await project.tick();
    expect(project.fake.launched[1]?.timeoutSeconds).toBe(30);
    await ends({ exitCode: 3, endedAt: ran(30) });
    time.advance(60_000);
    await project.tick();
    expect(run()).toMatchObject({
      state: 'terminated',
      cause: 'timeout',
      errorMessage: 'Not started again: its attempts ran the 100 s it may run.',
    });
    expect(project.fake.launched).toHaveLength(2);
  });

  it('is stopped when that is over also where what runs it does not stop it', async () => {
    const late = new Date(Date.parse('2026-01-02T03:04:05.000Z') + 70_000).toISOString();
    await ends({ exitCode: 3, endedAt: late });
    time.advance(5_000);
    await project.tick();
    project.fake.set(id, 'running');
    const seconds = 30 + run().plan.compute.stopGraceSeconds;
    for (let second = 0; second <= seconds; second += 1) await look();
    expect(project.fake.stops).toEqual([]);
    // The supervisor gives it some time of its own.
    for (let second = 0; second < 10; second += 1) await look();
    expect(project.fake.stops).toMatchObject([{ runId: id, reason: 'timeout' }]);
  });

  it('ran for as long as was measured beside it, whatever the wall clock made of that', async () => {
    await ends({ exitCode: 3, ranSeconds: 20, endedAt: '2026-01-02T04:04:25.000Z' });
    time.advance(5_000);
    await project.tick();
    expect(project.fake.launched[1]?.timeoutSeconds).toBe(80);
  });

  it('did not run in the hours after its last sign of life, in which nobody looked', async () => {
    project.fake.set(id, 'running');
    await project.tick();
    const { log } = project.deps.layout.attempt(id, 1);
    mkdirSync(log, { recursive: true });
    const sign = join(log, '000000000000.log');
    writeFileSync(sign, 'a line');
    const at = new Date(Date.parse('2026-01-02T03:04:05.000Z') + 10_000);
    utimesSync(sign, at, at);
    time.advance(7_200_000);
    project.fake.set(id, 'absent');
    const loop = project.newLoop();
    for (let n = 0; n < 12; n += 1) {
      time.advance(1_000);
      await loop.tick();
      await loop.settled();
    }
    expect(run()).toMatchObject({ attempt: 2, state: 'launching' });
    expect(project.fake.launched[1]?.timeoutSeconds).toBe(90);
    expect(attemptsOfRun(project.db, id)[0]).toMatchObject({
      cause: 'worker_lost',
      endedAt: at.toISOString(),
    });
  });

  it('did not run into a time to come that a file of its program bears', async () => {
    project.fake.set(id, 'running');
    await project.tick();
    const { control } = project.deps.layout.attempt(id, 1);
    mkdirSync(control, { recursive: true });
    writeFileSync(join(control, 'heartbeat'), '');
    utimesSync(join(control, 'heartbeat'), new Date('2100-01-01'), new Date('2100-01-01'));
    time.advance(10_000);
    project.fake.set(id, 'absent');
    for (let n = 0; n < 4; n += 1) {
      await project.tick();
      time.advance(1_000);
    }
    const [first] = attemptsOfRun(project.db, id);
    expect(first?.cause).toBe('worker_lost');
    expect(Date.parse(first?.endedAt ?? '')).toBeLessThanOrEqual(time.clock.now());
  });

  it('is started anew after its worker was lost, once that is seen to be gone', async () => {
    project.fake.set(id, 'absent');
    for (let n = 0; n < 3; n += 1) {
      time.advance(1_000);
      await project.tick();
    }
    expect(run()).toMatchObject({ state: 'pending', attempt: 2 });
    expect(project.fake.cleaned).toContain(id);
    time.advance(5_000);
    await project.tick();
    await project.complete(id);
    expect(run().cause).toBe('success');
  });
});
