import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ingestMetrics } from '../../src/runs/ingest-metrics.ts';
import { createRuns } from '../../src/runs/runs.ts';
import { getAttempt, recordAttempt } from '../../src/store/attempts.ts';
import { metricSeries, metricSummaries } from '../../src/store/metrics.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';

let prepared: PreparedProject;
let project: RunsProject;
let runId: string;
let file: string;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open();
  runId = project.runOf(prepared.first, 'one').id;
  recordAttempt(project.db, { runId, attempt: 1, externalId: `goldfish-${runId}-1` });
  file = project.deps.layout.attempt(runId, 1).metrics;
  mkdirSync(dirname(file), { recursive: true });
});
afterEach(() => project.dispose());

const ingest = (final = false): Promise<void> => ingestMetrics(project.deps, { runId, attempt: 1, final });
const log = (...entries: object[]): void => {
  appendFileSync(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
};
const series = (name: string) => metricSeries(project.db, { runId, name });

it('stores what was logged once, however often it is looked at', async () => {
  log({ name: 'loss', value: 2, step: 0 }, { name: 'loss', value: 1, step: 1 });
  await ingest();
  await ingest();
  log({ name: 'loss', value: 1.5, step: 2 });
  await ingest();
  await ingest(true);
  expect(series('loss').map((point) => point.value)).toEqual([2, 1, 1.5]);
  expect(metricSummaries(project.db, runId)).toEqual([{ name: 'loss', last: 1.5, min: 1, max: 2, count: 3 }]);
});

it('stores two looks at the same moment once', async () => {
  log({ name: 'loss', value: 2 }, { name: 'loss', value: 1 });
  await Promise.all([ingest(), ingest(true), ingest()]);
  expect(series('loss')).toHaveLength(2);
});

it('keeps duplicate and out-of-order steps as they were logged', async () => {
  const steps = [5, 3, 3, 9, 1];
  log(...steps.map((step, value) => ({ name: 'loss', value, step })));
  await ingest();
  expect(series('loss').map((point) => [point.step, point.value])).toEqual(steps.map((step, i) => [step, i]));
});

it('keeps NaN and infinities in the series, and NaN out of the extremes', async () => {
  log(
    { name: 'loss', value: 'NaN' },
    { name: 'loss', value: 3 },
    { name: 'loss', value: '-Infinity' },
    { name: 'nothing', value: 'NaN' },
  );
  await ingest();
  expect(series('loss').map((point) => point.value)).toEqual([null, 3, Number.NEGATIVE_INFINITY]);
  log({ name: 'loss', value: 'nan' });
  await ingest();
  expect(metricSummaries(project.db, runId)).toEqual([
    { name: 'loss', last: null, min: Number.NEGATIVE_INFINITY, max: 3, count: 4 },
    { name: 'nothing', last: null, min: null, max: null, count: 1 },
  ]);
});

it('keeps the newest progress and message of the run, each by itself', async () => {
  log({ progress: 0.25, message: 'warming up' }, { progress: 0.5 });
  await ingest();
  expect(project.run(runId)).toMatchObject({ progress: 0.5, progressMessage: 'warming up' });
  log({ message: 'nearly' }, { name: 'loss', value: 1 });
  await ingest();
  expect(project.run(runId)).toMatchObject({ progress: 0.5, progressMessage: 'nearly' });
});

it('takes in eight batches at a look while a run goes on, and all of it at the end', async () => {
  const line = `${JSON.stringify({ name: 'loss', value: 1, pad: 'p'.repeat(60_000) })}\n`;
  writeFileSync(file, line.repeat(200));
  await ingest();
  const live = getAttempt(project.db, { runId, attempt: 1 })?.metricsOffset ?? 0;
  expect(live).toBeGreaterThan(7 * 1024 * 1024);
  expect(live).toBeLessThanOrEqual(8 * 1024 * 1024);
  await ingest(true);
  expect(metricSummaries(project.db, runId)).toMatchObject([{ count: 200 }]);
  expect(getAttempt(project.db, { runId, attempt: 1 })?.metricsOffset).toBe(200 * line.length);
});

it('does nothing for an attempt that was never recorded', async () => {
  log({ name: 'loss', value: 1 });
  await ingestMetrics(project.deps, { runId, attempt: 2, final: true });
  expect(metricSummaries(project.db, runId)).toEqual([]);
});

it('answers with as many points as asked for, of the names asked for, from a step on', async () => {
  const runs = createRuns(project.deps, async () => undefined);
  log(...Array.from({ length: 50 }, (_, step) => ({ name: 'loss', value: Math.abs(25 - step), step })));
  log({ name: 'other', value: 1, step: 0 });
  await ingest();
  const [all] = runs.metrics({ runIds: [runId], maxPoints: 10 });
  expect(all?.series.map(({ name, total }) => [name, total])).toEqual([
    ['loss', 50],
    ['other', 1],
  ]);
  expect(all?.series[0]?.points.length).toBeLessThanOrEqual(10);
  const [some] = runs.metrics({ runIds: [runId], names: ['loss'], maxPoints: 100, fromStep: 48 });
  expect(some?.series).toMatchObject([{ name: 'loss', total: 2, points: [{ step: 48 }, { step: 49 }] }]);
  expect(some?.summary.map((metric) => metric.name)).toEqual(['loss']);
});

it('cuts a long message, and leaves nothing of a secret that stands where it is cut', async () => {
  log({ progress: 0.5, message: 'm'.repeat(500) });
  await ingest();
  expect(project.run(runId).progressMessage).toBe('m'.repeat(200));
  project.environment['KEY'] = 'a-secret-of-some-length';
  project.db
    .prepare(
      'UPDATE stage_runs SET plan_json = json_set(plan_json, \'$.secrets\', json(\'{"TOKEN":"KEY"}\'))',
    )
    .run();
  log({ progress: 0.6, message: `${'m'.repeat(190)}a-secret-of-some-length` });
  await ingest();
  expect(project.run(runId).progressMessage).toBe(`${'m'.repeat(190)}***`);
});
