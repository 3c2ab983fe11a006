import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';
import type { Notice } from '../../../src/core/monitors.ts';
import { ingestMetrics } from '../../../src/runs/ingest-metrics.ts';
import { createAttemptWatch } from '../../../src/runs/watch-attempts.ts';
import { recordAttempt } from '../../../src/store/attempts.ts';
import { createTestClock } from '../../support/test-clock.ts';
import { type Effects, effect, type Kit } from './kit.ts';

const config = (monitors: string): string =>
  `defaults: { backend: process, monitors: { ${monitors} } }\nprocess: { sandbox: none }\n`;

/** What is told of a run that logs these values of `loss`, as `action metric`. */
async function told(kit: Kit, monitors: string, values: readonly (number | string)[]): Promise<string[]> {
  const ctx = await kit.open(config(monitors));
  const { runs } = await kit.submit(ctx);
  const id = runs[0]?.id ?? '';
  const key = { runId: id, attempt: 1 };
  recordAttempt(ctx.db, { ...key, externalId: 'of-a-test' });
  const { metrics } = ctx.layout.attempt(id, 1);
  mkdirSync(dirname(metrics), { recursive: true });
  writeFileSync(metrics, values.map((value) => `${JSON.stringify({ name: 'loss', value })}\n`).join(''));
  await ingestMetrics(ctx.runsDeps, { ...key, final: false });
  return ctx.runs.inspect(id).findings.map(({ action, monitor }) => `${action} ${monitor}`);
}

/** What is told of a run of which nothing comes, looked at once a second. */
async function stillness(kit: Kit, monitors: string, seconds: number): Promise<Notice[]> {
  const ctx = await kit.open(config(monitors));
  const { runs } = await kit.submit(ctx);
  const { run } = ctx.runs.inspect(runs[0]?.id ?? '');
  const { clock, advance } = createTestClock();
  const watch = createAttemptWatch({ clock, layout: ctx.layout });
  let notices: Notice[] = [];
  for (let second = 0; second <= seconds; second += 1) {
    ({ notices } = await watch.look(run, {}));
    advance(1_000);
  }
  return notices;
}

const GROWS = [1, 3, 3, 3, 3, 3, 11, 11, 11, 11];
const DIVERGES = ['warn divergence'];

/** Of what watches a run. */
export const MONITOR_EFFECTS: Effects = {
  'defaults.monitors.stall.action': effect('is what is done about a run that stalls', async (kit) => {
    const [notice] = await stillness(kit, 'stall: { action: stop, after_seconds: 5 }', 6);
    expect(notice).toMatchObject({ monitor: 'stall', action: 'stop' });
    expect(await stillness(kit, 'stall: { action: off, after_seconds: 5 }', 6)).toEqual([]);
  }),
  'defaults.monitors.stall.after_seconds': effect('is how long nothing may come of a run', async (kit) => {
    expect(await stillness(kit, 'stall: { after_seconds: 5 }', 5)).toEqual([]);
    expect(await stillness(kit, 'stall: { after_seconds: 5 }', 6)).toHaveLength(1);
    expect(await stillness(kit, '', 6)).toEqual([]);
  }),
  'defaults.monitors.non_finite.action': effect('is what is done about a NaN', async (kit) => {
    expect(await told(kit, '', ['NaN'])).toEqual(['warn non_finite']);
    expect(await told(kit, 'non_finite: { action: stop }', ['NaN'])).toEqual(['stop non_finite']);
    expect(await told(kit, 'non_finite: { action: off }', ['NaN'])).toEqual([]);
  }),
  'defaults.monitors.non_finite.metrics': effect('are the metrics that must be numbers', async (kit) => {
    expect(await told(kit, 'non_finite: { metrics: [val] }', ['NaN'])).toEqual([]);
    expect(await told(kit, 'non_finite: { metrics: [val, loss] }', ['NaN'])).toEqual(['warn non_finite']);
  }),
  'defaults.monitors.divergence.action': effect('is what is done about a metric that grows', async (kit) => {
    expect(await told(kit, 'divergence: { metric: loss, points: 1 }', GROWS)).toEqual([]);
    expect(await told(kit, 'divergence: { action: warn, metric: loss, points: 1 }', GROWS)).toEqual(DIVERGES);
  }),
  'defaults.monitors.divergence.metric': effect('is the metric that must not grow', async (kit) => {
    expect(await told(kit, 'divergence: { action: warn, metric: val, points: 1 }', GROWS)).toEqual([]);
    expect(await told(kit, 'divergence: { action: warn, metric: loss, points: 1 }', GROWS)).toEqual(DIVERGES);
  }),
  'defaults.monitors.divergence.factor': effect('is how far a metric may grow', async (kit) => {
    const of = (factor: number) => `divergence: { action: warn, metric: loss, points: 4, factor: ${factor} }`;
    expect(await told(kit, of(12), GROWS)).toEqual([]);
    expect(await told(kit, of(2), GROWS)).toEqual(DIVERGES);
  }),
  'defaults.monitors.divergence.points': effect('is for how many points in a row', async (kit) => {
    const of = (points: number) => `divergence: { action: warn, metric: loss, points: ${points} }`;
    expect(await told(kit, of(5), GROWS)).toEqual([]);
    expect(await told(kit, of(4), GROWS)).toEqual(DIVERGES);
  }),
};
