import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { MonitorSettings } from '../../src/core/monitors.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { ingestMetrics } from '../../src/runs/ingest-metrics.ts';
import { createRuns } from '../../src/runs/runs.ts';
import { waitForRuns } from '../../src/runs/wait.ts';
import { findingsOfRun, stoppingFinding } from '../../src/store/findings.ts';
import { eventsOfRun, newestEventSeq } from '../../src/store/run-events.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let id: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    config: 'defaults: { stop_grace_seconds: 5 }\n',
    files: {
      'pipeline.yaml': 'stages:\n  - name: one\n    retries: { max_restarts: 1 }\n',
      'modules/one.py': 'pass\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
  project.fake.set(id, 'running');
  await look();
});
afterEach(() => project.dispose());

const attemptFolder = () => project.deps.layout.attempt(id, project.run(id).attempt);
const findings = () => findingsOfRun(project.db, id);
const findingEvents = () => eventsOfRun(project.db, id).filter(({ event }) => event === 'finding');

async function look(times = 1): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    time.advance(1_000);
    await project.tick();
  }
}

function watchWith(monitors: Partial<MonitorSettings>): void {
  const { plan } = project.run(id);
  const all: MonitorSettings = {
    stall: { action: 'off', afterSeconds: null },
    nonFinite: { action: 'off', metrics: null },
    divergence: { action: 'off', metric: 'loss', factor: 10, points: 3 },
    ...monitors,
  };
  project.db
    .prepare('UPDATE stage_runs SET plan_json = ?')
    .run(JSON.stringify({ ...plan, compute: { ...plan.compute, monitors: all } }));
}

function append(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, text);
}

function log(...entries: object[]): void {
  append(attemptFolder().metrics, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
}

const loss = (step: number, value: number | string) => ({ name: 'loss', step, value });

describe('a metric that is no number', () => {
  const MESSAGE = 'The metric "loss" is NaN at step 2.';

  it('is told once, as an event too, and the run goes on, where nobody said anything of monitors', async () => {
    log(loss(1, 0.5), loss(2, 'NaN'), loss(3, 'NaN'));
    await look(2);
    log(loss(4, 'Infinity'));
    await look(2);
    expect(findings()).toEqual([
      {
        runId: id,
        attempt: 1,
        monitor: 'non_finite',
        metric: 'loss',
        action: 'warn',
        message: MESSAGE,
        createdAt: '2026-01-01T00:00:02.000Z',
      },
    ]);
    expect(findingEvents()).toMatchObject([
      { fromState: 'running', toState: 'running', detail: { monitor: 'non_finite', message: MESSAGE } },
    ]);
    expect(project.fake.stops).toEqual([]);
  });

  it('stops the run at the look that takes it in, with the sentence, once', async () => {
    watchWith({ nonFinite: { action: 'stop', metrics: null } });
    log(loss(1, 0.5), loss(2, 'NaN'));
    await look(4);
    const because = { rank: 0, message: MESSAGE };
    expect(project.fake.stops).toEqual([{ runId: id, graceSeconds: 5, reason: 'monitor', because }]);
    project.fake.end(id, { exitCode: null, signal: 'SIGTERM', stoppedBy: 'monitor', error: MESSAGE });
    await project.tick();
    expect(project.run(id)).toMatchObject({
      state: 'terminated',
      cause: 'stopped_by_monitor',
      errorMessage: MESSAGE,
      attempt: 1,
    });
  });

  it('stops the run by the next supervisor, where the last one died with it in the store', async () => {
    watchWith({ nonFinite: { action: 'stop', metrics: null } });
    log(loss(2, 'NaN'));
    // As one does that is killed before it acts.
    await ingestMetrics(project.deps, { runId: id, attempt: 1, final: false });
    expect(stoppingFinding(project.db, { runId: id, attempt: 1 })?.message).toBe(MESSAGE);
    await project.newLoop().tick();
    expect(project.fake.stops).toMatchObject([{ reason: 'monitor', because: { message: MESSAGE } }]);
  });

  it('only warns where the program had ended by itself when it was taken in', async () => {
    watchWith({ nonFinite: { action: 'stop', metrics: null } });
    log(loss(2, 'NaN'));
    project.fake.end(id);
    await look();
    expect(project.run(id)).toMatchObject({ state: 'completed', cause: 'success' });
    expect(findings()).toMatchObject([{ action: 'warn', message: MESSAGE }]);
    expect(findingEvents()).toMatchObject([{ fromState: 'finishing', toState: 'finishing' }]);
  });

  it('does not become the reason of a stop that somebody asked for before', async () => {
    watchWith({ nonFinite: { action: 'stop', metrics: null } });
    cancelRuns(project.deps, { target: id, reason: 'Takes too long' });
    await look();
    log(loss(2, 'NaN'));
    await look(20);
    expect(new Set(project.fake.stops.map(({ reason }) => reason))).toEqual(new Set(['cancel']));
  });

  it('is told for at most a hundred names', async () => {
    log(...Array.from({ length: 150 }, (_, i) => ({ name: `m${i}`, value: 'NaN' })));
    await look();
    expect(findings()).toHaveLength(100);
    expect(findingEvents()).toHaveLength(100);
  });

  it('is one of each attempt: what was found of an earlier one neither stops the next nor is told for it', async () => {
    watchWith({ nonFinite: { action: 'stop', metrics: null } });
    log(loss(2, 'NaN'));
    await ingestMetrics(project.deps, { runId: id, attempt: 1, final: false });
    project.fake.end(id, { exitCode: 1 });
    await project.tick();
    time.advance(300_000);
    await project.tick();
    project.fake.set(id, 'running');
    await look(2);
    expect(project.run(id)).toMatchObject({ attempt: 2, state: 'running' });
    expect(project.fake.stops).toEqual([]);
    log(loss(9, 'NaN'));
    await look();
    expect(findings().map(({ attempt, message }) => [attempt, message])).toEqual([
      [1, MESSAGE],
      [2, 'The metric "loss" is NaN at step 9.'],
    ]);
    expect(project.fake.stops).toHaveLength(1);
  });

  it('shows no secret that the program made a name of', async () => {
    project.environment['KEY'] = 'a-secret-of-some-length';
    project.db
      .prepare(
        'UPDATE stage_runs SET plan_json = json_set(plan_json, \'$.secrets\', json(\'{"TOKEN":"KEY"}\'))',
      )
      .run();
    log({ name: 'of a-secret-of-some-length', value: 'NaN' });
    await look();
    expect(findings()).toMatchObject([{ metric: 'of ***', message: 'The metric "of ***" is NaN.' }]);
  });
});

describe('a metric that diverges', () => {
  const MESSAGE =
    'The metric "loss" diverges: 3 points in a row lie above 5 (best 0.5 at step 2, factor 10), the last is 8 at step 5.';

  it.each([1, 2, 3, 4, 5, 6])(
    'is found at the same point by supervisors of which each sees %i of them',
    async (size) => {
      watchWith({ divergence: { action: 'stop', metric: 'loss', factor: 10, points: 3 } });
      const points = [3, 0.5, 6, 7, 8, 9].map((value, i) => loss(i + 1, value));
      for (let at = 0; at < points.length; at += size) {
        log(...points.slice(at, at + size));
        await project.newLoop().tick();
      }
      expect(findings().map(({ message }) => message)).toEqual([MESSAGE]);
      expect(project.fake.stops[0]).toMatchObject({ reason: 'monitor', because: { message: MESSAGE } });
    },
  );

  it('is not found where the points in a row are of two attempts', async () => {
    watchWith({ divergence: { action: 'warn', metric: 'loss', factor: 10, points: 3 } });
    log(loss(1, 0.5), loss(2, 6), loss(3, 7));
    await look();
    project.fake.end(id, { exitCode: 1 });
    await project.tick();
    time.advance(300_000);
    await project.tick();
    project.fake.set(id, 'running');
    log(loss(4, 8), loss(5, 9));
    await look(2);
    expect(project.run(id).attempt).toBe(2);
    expect(findings()).toEqual([]);
  });
});

describe('a run of which nothing comes', () => {
  const MESSAGE = 'It stalled: no line of log, metric, progress or checkpoint came for 10 s.';

  it('is told once, after the time, and again not by the next supervisor', async () => {
    watchWith({ stall: { action: 'warn', afterSeconds: 10 } });
    await look(11);
    expect(findings()).toEqual([]);
    await look(20);
    expect(findings()).toMatchObject([{ monitor: 'stall', metric: null, action: 'warn', message: MESSAGE }]);
    const next = project.newLoop();
    for (let n = 0; n < 20; n += 1) {
      time.advance(1_000);
      await next.tick();
    }
    expect(findings()).toHaveLength(1);
    expect(findingEvents()).toHaveLength(1);
    expect(project.fake.stops).toEqual([]);
  });

  it.each<[string, (second: number) => void]>([
    ['a line of its log', () => append(`${attemptFolder().log}/000000000000.log`, 'a line\n')],
    ['a metric', (second) => log(loss(second, 1))],
    ['its progress', () => log({ progress: 0.5 })],
    [
      'another message of a heartbeat',
      (second) => writeFileSync(attemptFolder().heartbeat, `epoch ${second}`),
    ],
    ['a checkpoint', (second) => mkdirSync(`${attemptFolder().checkpoints}/${second}`, { recursive: true })],
  ])('is none of which %s comes', async (_, show) => {
    watchWith({ stall: { action: 'stop', afterSeconds: 10 } });
    mkdirSync(attemptFolder().control, { recursive: true });
    for (let second = 0; second < 40; second += 1) {
      if (second % 8 === 0) show(second);
      await look();
    }
    expect(findings()).toEqual([]);
    await look(12);
    expect(project.fake.stops).toEqual([
      { runId: id, graceSeconds: 5, reason: 'monitor', because: { rank: 0, message: MESSAGE } },
    ]);
  });

  it('is one whose heartbeat goes on without a word: the library beats also where the program hangs', async () => {
    watchWith({ stall: { action: 'warn', afterSeconds: 10 } });
    append(attemptFolder().heartbeat, '');
    for (let second = 0; second < 20; second += 1) {
      utimesSync(attemptFolder().heartbeat, second, second);
      await look();
    }
    expect(findings()).toHaveLength(1);
  });

  it('is not one that is looked at for the first time, nor one that does not run yet', async () => {
    watchWith({ stall: { action: 'stop', afterSeconds: 10 } });
    await look(9);
    const next = project.newLoop();
    for (let n = 0; n < 10; n += 1) {
      time.advance(1_000);
      await next.tick();
    }
    project.fake.set(id, 'starting');
    await look(30);
    expect(findings()).toEqual([]);
  });
});

describe('who waits for attention', () => {
  const wait = (cursor?: number) =>
    waitForRuns(
      { db: project.db, clock: time.clock, nudge: async () => undefined },
      { targets: [id], until: 'attention', timeoutSeconds: 0, ...(cursor === undefined ? {} : { cursor }) },
    );

  it('hears of a warning once by its cursor, and of the warnings there are without one', async () => {
    const start = newestEventSeq(project.db);
    expect(await wait(start)).toMatchObject({ done: false });
    log(loss(2, 'NaN'));
    await look();
    const heard = await wait(start);
    expect(heard).toMatchObject({
      done: true,
      changes: [{ from: 'running', to: 'running', note: 'The metric "loss" is NaN at step 2.' }],
    });
    expect(await wait(heard.cursor)).toMatchObject({ done: false, changes: [] });
    expect(await wait()).toMatchObject({ done: true, findings: [{ metric: 'loss' }] });
  });
});

it('a run that is reused shows what was found of the run that did the work', async () => {
  log(loss(2, 'NaN'));
  project.fake.end(id);
  await look();
  const { pipelineRun } = await project.submit({
    idempotency: { key: 'again', arguments: {} },
    replicates: 1,
  });
  expect(pipelineRun.id).toBe(prepared.first);
  const runs = createRuns(project.deps, async () => undefined);
  expect(runs.inspect(id).findings).toMatchObject([{ metric: 'loss' }]);
  expect([...runs.countFindings([project.run(id)])]).toEqual([[id, 1]]);
});
