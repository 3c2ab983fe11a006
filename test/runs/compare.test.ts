import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MetricPoint } from '../../src/core/rows.ts';
import { compareRuns } from '../../src/runs/compare.ts';
import { recordAttempt } from '../../src/store/attempts.ts';
import { appendMetrics } from '../../src/store/metrics.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let first: string;
let second: string;
let reused: string;

/** One project for all: comparing only reads. */
beforeAll(async () => {
  prepared = await prepareRunsProject({ files: THREE_STAGES });
  first = prepared.first;
  project = await prepared.open({ clock: createTestClock().clock });
  logged(first, { loss: 0.30000000000000004, acc: 0.5, same: 1, odd: Number.NaN, 'only first': 1 });
  await project.tick();
  await project.complete(project.runOf(first, 'lone').id);
  project.write('configs/one.yaml', 'k: 2\nnested: { a: 1, b: [1, 2] }\n');
  second = (await project.submit()).pipelineRun.id;
  logged(second, { loss: 0.1, acc: 0.75, same: 1, odd: Number.POSITIVE_INFINITY });
  reused = project.runOf(second, 'lone').id;
}, 60_000);
afterAll(async () => {
  await project.dispose();
  await prepared.dispose();
});

function logged(pipelineRunId: string, values: Record<string, number>): void {
  const runId = project.runOf(pipelineRunId, 'one').id;
  recordAttempt(project.db, { runId, attempt: 1, externalId: `goldfish-${runId}-1` });
  const points = Object.entries(values).map(
    ([name, value]): MetricPoint => ({ name, value, step: null, loggedAt: '2026-01-01T00:00:00.000Z' }),
  );
  appendMetrics(project.db, { runId, attempt: 1, points, from: 0, to: 1 });
}

const compare = (...refs: string[]) => compareRuns(project.deps, refs);

describe('comparing', () => {
  it('names what differs in the configs, by stage and dotted key, and nothing else', () => {
    expect(compare(first, second).config).toEqual([
      { name: 'one.k', values: [1, 2] },
      { name: 'one.nested.a', values: [null, 1] },
      { name: 'one.nested.b', values: [null, [1, 2]] },
    ]);
  });

  it('gives the last value of each metric that differs, with its change from the first to the last', () => {
    const { metrics, sameMetrics } = compare(first, second);
    expect(metrics).toEqual([
      { name: 'one.acc', values: [0.5, 0.75], change: 0.25 },
      { name: 'one.loss', values: [0.30000000000000004, 0.1], change: -0.2 },
      { name: 'one.odd', values: ['NaN', 'Infinity'], change: null },
      { name: 'one.only first', values: [1, null], change: null },
    ]);
    expect(sameMetrics).toEqual(['one.same']);
  });

  it('keeps the order of the refs, also for three', () => {
    const { metrics, refs } = compare(second, first, project.runOf(first, 'one').id);
    expect(metrics.find((metric) => metric.name === 'one.acc')).toEqual({
      name: 'one.acc',
      values: [0.75, 0.5, 0.5],
      change: -0.25,
    });
    expect(refs.map((ref) => ref.id)).toEqual([second, first, project.runOf(first, 'one').id]);
  });

  it('tells of each what it is: version, state, stages and whether they were reused', () => {
    expect(compare(first, second).refs).toMatchObject([
      { workspace: 'exp', version: 1, state: 'running', stages: [{}, {}, { stage: 'lone', cached: false }] },
      { workspace: 'exp', version: 2, state: 'running', stages: [{}, {}, { stage: 'lone', cached: true }] },
    ]);
  });

  it('takes the metrics of a reused run from the run that did the work', () => {
    const original = project.runOf(first, 'lone').id;
    appendMetrics(project.db, {
      runId: original,
      attempt: 1,
      points: [{ name: 'm', value: 3, step: null, loggedAt: '2026-01-01T00:00:00.000Z' }],
      from: 0,
      to: 1,
    });
    expect(compare(original, reused)).toMatchObject({ config: [], metrics: [], sameMetrics: ['lone.m'] });
  });

  it('takes prefixes, and refuses one run that is named twice', () => {
    const { refs } = compare(first.slice(0, 11), second);
    expect(refs[0]?.id).toBe(first);
    expect(() => compare(first, first.slice(0, 13))).toThrow('The same run is named twice.');
  });

  it('refuses what is no run', () => {
    expect(() => compare(first, 'exp@v1')).toThrow('No run has the id "exp@v1".');
  });
});
