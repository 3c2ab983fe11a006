import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { getAttempt } from '../../src/store/attempts.ts';
import { fencedBy, takeLease } from '../../src/store/lease.ts';
import { metricSummaries } from '../../src/store/metrics.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { createLoop } from '../../src/supervisor/loop.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let id: string;
let other: string;

const STOPS_AFTER = 60 + 5 + 5;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    config: 'process: { max_parallel: 2 }\ndefaults: { timeout_seconds: 60, stop_grace_seconds: 5 }\n',
    files: {
      'pipeline.yaml': 'stages:\n  - name: one\n  - name: two\n',
      'modules/one.py': 'pass\n',
      'modules/two.py': 'pass\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
  other = project.runOf(prepared.first, 'two').id;
  await project.tick();
});
afterEach(() => project.dispose());

const attempt = () => getAttempt(project.db, { runId: id, attempt: 1 });
const eventsOf = (runId: string) => eventsOfRun(project.db, runId).map((event) => event.event);

async function look(times: number, apart = 1_000): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    time.advance(apart);
    await project.tick();
  }
}

/** Rows that were written meanwhile; each commit that has some is waited for until it is on the disk. */
async function changesOf(work: () => Promise<void>): Promise<number> {
  const total = (): number =>
    project.db.prepare<{ n: number }>('SELECT total_changes() AS n').get()?.n ?? Number.NaN;
  const before = total();
  await work();
  return total() - before;
}

describe('a run that is seen', () => {
  it('stays launching until the backend says that it runs', async () => {
    await look(3);
    expect(project.run(id)).toMatchObject({ state: 'launching', startedAt: null });
    expect(attempt()).toMatchObject({ rawState: 'starting', startedAt: null });
  });

  it('runs since the time the backend names, and says so once', async () => {
    project.fake.set(id, 'running');
    await look(3);
    expect(project.run(id)).toMatchObject({ state: 'running', startedAt: '2026-01-02T03:04:05.000Z' });
    expect(attempt()).toMatchObject({ rawState: 'running', startedAt: '2026-01-02T03:04:05.000Z' });
    expect(eventsOf(id)).toEqual(['submit', 'prepare', 'build', 'launch', 'start']);
  });

  it('has its metrics taken in while it runs', async () => {
    project.fake.set(id, 'running');
    const { metrics } = project.deps.layout.attempt(id, 1);
    mkdirSync(dirname(metrics), { recursive: true });
    appendFileSync(metrics, '{"name":"loss","value":3}\n{"progress":0.5}\n{"name":"loss","va');
    await look(1);
    expect(metricSummaries(project.db, id)).toMatchObject([{ name: 'loss', count: 1 }]);
    expect(project.run(id).progress).toBe(0.5);
  });

  it('is written of only where it is not seen as it was before', async () => {
    project.fake.set(id, 'running');
    project.fake.set(other, 'running');
    expect(await changesOf(() => look(1))).toBeGreaterThan(0);
    expect(await changesOf(() => look(20))).toBe(0);
    project.fake.set(id, 'absent');
    expect(await changesOf(() => look(1))).toBe(1);
    expect(attempt()).toMatchObject({ rawState: 'absent', absentCount: 1 });
    expect(await changesOf(() => look(1))).toBe(1);
    project.fake.set(id, 'running');
    expect(await changesOf(() => look(1))).toBe(1);
    expect(attempt()).toMatchObject({ rawState: 'running', absentCount: 0, absentSince: null });
    expect(await changesOf(() => look(20))).toBe(0);
  });

  it('is looked at together with the others, in one question', async () => {
    const asked: number[] = [];
    const { getStatus } = project.fake.backend;
    project.fake.backend.getStatus = (handles) => {
      asked.push(handles.length);
      return getStatus(handles);
    };
    await look(2);
    expect(asked).toEqual([2, 2]);
  });
});

describe('a supervisor that has lost the lease', () => {
  const holder = { pid: process.pid, start: 'now', bootId: 'this', version: '0.0.0', socket: '' };
  const takeOver = (): number => {
    const at = isoTime(time.clock.now());
    return takeLease(project.db, { holder, at, mayTake: () => true }) ?? 0;
  };

  it('stops no run, though it has nothing else to write', async () => {
    const db = fencedBy(project.db, takeOver());
    const options = { wakeSocket: null, signal: new AbortController().signal, wake: () => undefined };
    const loop = createLoop({ ...project.deps, db }, options);
    project.fake.set(id, 'running');
    project.fake.set(other, 'running');
    await loop.tick();
    takeOver();
    await loop.tick();
    cancelRuns(project.deps, { target: id, reason: 'It is not needed any more' });
    await expect(loop.tick()).rejects.toMatchObject({ details: { lease: 'lost' } });
    expect(project.fake.stops).toEqual([]);
    await look(1);
    expect(project.fake.stops).toMatchObject([{ runId: id, reason: 'cancel' }]);
  });
});

describe('absence', () => {
  beforeEach(async () => {
    project.fake.set(id, 'running');
    project.fake.set(other, 'running');
    await look(1);
  });

  it('is death when seen three times over a second and a half', async () => {
    project.fake.set(id, 'absent');
    await look(2);
    expect(project.run(id).state).toBe('running');
    await look(1);
    expect(project.run(id)).toMatchObject({
      state: 'terminated',
      cause: 'worker_lost',
      errorMessage: 'What executed the run disappeared and left no result document.',
      exitCode: null,
    });
    expect(project.fake.cleaned).toContain(id);
    expect(project.run(other).state).toBe('running');
  });

  it('is no death however often it is seen within a second and a half', async () => {
    project.fake.set(id, 'absent');
    await look(10, 100);
    expect(project.run(id).state).toBe('running');
    await look(6, 100);
    expect(project.run(id).cause).toBe('worker_lost');
  });

  it('is no death when seen twice, however long ago', async () => {
    project.fake.set(id, 'absent');
    await look(2, 60_000);
    expect(project.run(id).state).toBe('running');
  });

  it('is forgotten when the run is seen again', async () => {
    project.fake.set(id, 'absent');
    await look(2);
    project.fake.set(id, 'running');
    await look(1);
    expect(attempt()).toMatchObject({ absentCount: 0, absentSince: null });
    project.fake.set(id, 'absent');
    await look(2);
    expect(project.run(id).state).toBe('running');
  });

  it('is found although the wall clock was set back meanwhile', async () => {
    project.fake.set(id, 'absent');
    await look(2);
    time.jump(-3_600_000);
    await look(1);
    expect(project.run(id).cause).toBe('worker_lost');
  });

  it('keeps what the program logged before it disappeared', async () => {
    const { metrics } = project.deps.layout.attempt(id, 1);
    mkdirSync(dirname(metrics), { recursive: true });
    appendFileSync(metrics, '{"name":"loss","value":3}');
    project.fake.set(id, 'absent');
    await look(3);
    expect(metricSummaries(project.db, id)).toMatchObject([{ name: 'loss', last: 3 }]);
  });

  it('of an attempt that never ran is death as well', async () => {
    const again = await project.submit({ useCache: false, stages: ['one'] });
    project.fake.end(other);
    await look(1);
    const late = project.runOf(again.pipelineRun.id, 'one').id;
    await look(1);
    expect(project.run(late).state).toBe('launching');
    project.fake.set(late, 'absent');
    await look(3);
    expect(project.run(late).cause).toBe('worker_lost');
    expect(eventsOf(late)).toEqual(['submit', 'prepare', 'build', 'launch', 'terminate']);
  });
});

describe('a backend that could not look', () => {
  beforeEach(async () => {
    project.fake.set(id, 'running');
    await look(1);
  });

  it('is no evidence of death, however long it lasts', async () => {
    project.fake.set(id, 'unknown');
    await look(100, 60_000);
    expect(project.run(id).state).toBe('running');
    expect(attempt()).toMatchObject({ rawState: 'running', absentCount: 0 });
    expect(project.logged).toContain('the backend could not look');
  });

  it('is asked all the same to end what is to be ended', async () => {
    project.fake.set(id, 'unknown');
    cancelRuns(project.deps, { target: id, reason: 'It is not needed any more' });
    await look(1);
    expect(project.fake.stops).toMatchObject([{ runId: id, reason: 'cancel' }]);
  });

  it('neither confirms nor ends an absence', async () => {
    project.fake.set(id, 'absent');
    await look(2);
    project.fake.set(id, 'unknown');
    await look(5);
    expect(project.run(id).state).toBe('running');
    project.fake.set(id, 'absent');
    await look(1);
    expect(project.run(id).cause).toBe('worker_lost');
  });
});

describe('a deadline', () => {
  beforeEach(async () => {
    project.fake.set(id, 'running');
    // The fake starts everything at this time of the next day.
    time.jump(Date.parse('2026-01-02T03:04:05.000Z') - time.clock.now());
    await project.tick();
  });

  it('is kept beside the program; the supervisor steps in 5 s after the grace period, once', async () => {
    await look(STOPS_AFTER);
    expect(project.fake.stops).toEqual([]);
    await look(1);
    await look(3, 0);
    expect(project.fake.stops).toEqual([{ runId: id, graceSeconds: 5, reason: 'timeout' }]);
    expect(attempt()).toMatchObject({ stopRequestedAt: isoTime(time.clock.now()), stopReason: 'timeout' });
    expect(project.run(id).state).toBe('running');
  });

  it('does not come earlier where the wall clock jumps, or the machine slept', async () => {
    time.jump(3_600_000);
    await look(2);
    time.advance(3_600_000);
    await look(2);
    expect(project.fake.stops).toEqual([]);
    time.jump(-3_600_000);
    await look(STOPS_AFTER - 8);
    expect(project.fake.stops).toHaveLength(1);
  });

  it('that is not followed is asked for again, as the same, also by the next supervisor', async () => {
    await look(STOPS_AFTER + 1);
    await look(10);
    expect(project.fake.stops).toHaveLength(1);
    await look(1);
    expect(project.fake.stops).toHaveLength(2);
    cancelRuns(project.deps, { target: id, reason: 'Takes too long' });
    const next = project.newLoop();
    await next.tick();
    await next.tick();
    expect(project.fake.stops.map(({ reason }) => reason)).toEqual(['timeout', 'timeout', 'timeout']);
  });

  it('names the cause also where what executed the run is killed without a result', async () => {
    await look(STOPS_AFTER + 1);
    project.fake.set(id, 'absent');
    await look(3);
    expect(project.run(id)).toMatchObject({ state: 'terminated', cause: 'timeout' });
  });

  it('ends the run as timeout when the program is stopped', async () => {
    await look(STOPS_AFTER + 1);
    project.fake.end(id, { exitCode: null, signal: 'SIGKILL', stoppedBy: 'timeout' });
    await project.tick();
    expect(project.run(id)).toMatchObject({ state: 'terminated', cause: 'timeout', signal: 'SIGKILL' });
  });

  it('does not begin before the program has', async () => {
    project.fake.set(other, 'starting');
    await look(STOPS_AFTER + 1);
    expect(project.fake.stops.map((stop) => stop.runId)).toEqual([id]);
  });
});

describe('trouble with one run', () => {
  it('does not keep the others from being looked at, and is tried again', async () => {
    project.fake.set(id, 'running');
    project.fake.set(other, 'running');
    await look(STOPS_AFTER + 1);
    time.advance(1_000);
    const { terminate } = project.fake.backend;
    project.fake.backend.terminate = async (handle, request) => {
      if (handle.runId === id) throw new Error('no answer');
      return terminate(handle, request);
    };
    await project.tick();
    expect(project.fake.stops.map((stop) => stop.runId)).toEqual([other]);
    expect(project.logged).toContain('a look at a run failed no answer');
    project.fake.backend.terminate = terminate;
    await project.tick();
    expect(project.fake.stops.map((stop) => stop.runId)).toEqual([other, id]);
  });
});

describe('a heartbeat', () => {
  const heartbeat = (runId: string): string => project.deps.layout.attempt(runId, 1).heartbeat;
  const beat = (runId: string, at: number): void => {
    mkdirSync(dirname(heartbeat(runId)), { recursive: true });
    writeFileSync(heartbeat(runId), '');
    utimesSync(heartbeat(runId), at, at);
  };

  beforeEach(async () => {
    // Both plans expect one every ten seconds.
    project.db.write(() =>
      project.db
        .prepare(
          "UPDATE stage_runs SET plan_json = json_set(plan_json, '$.compute.heartbeatTimeoutSeconds', 10)",
        )
        .run(),
    );
    project.fake.set(id, 'running');
    project.fake.set(other, 'starting');
    await look(1);
  });

  it('that does not come stops its run, once, and no other', async () => {
    for (let second = 1; second <= 10; second += 1) {
      beat(id, second);
      await look(1);
    }
    expect(project.fake.stops).toEqual([]);
    await look(10);
    expect(project.fake.stops).toEqual([]);
    await look(5);
    const message = 'The heartbeat of rank 0 stopped: no new one came for 10 s.';
    expect(project.fake.stops).toEqual([
      { runId: id, graceSeconds: 5, reason: 'heartbeat', because: { rank: 0, message } },
    ]);
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'heartbeat', error: message });
    await project.tick();
    expect(project.run(id)).toMatchObject({
      state: 'terminated',
      cause: 'heartbeat_lost',
      errorMessage: message,
    });
  });

  it('is not expected of a run that does not run yet, nor judged by a supervisor that has just begun to look', async () => {
    await look(20);
    expect(project.fake.stops.map((stop) => stop.runId)).toEqual([id]);
    project.fake.set(other, 'running');
    const next = project.newLoop();
    for (let second = 0; second < 10; second += 1) {
      time.advance(1_000);
      await next.tick();
    }
    expect(project.fake.stops.map((stop) => stop.runId)).not.toContain(other);
  });

  it('is no link and no folder that the stage put there', async () => {
    mkdirSync(heartbeat(id), { recursive: true });
    await look(12);
    expect(project.fake.stops[0]).toMatchObject({
      because: { rank: 0, message: 'The heartbeat of rank 0 could not be read for 10 s (it is no file).' },
    });
  });
});
