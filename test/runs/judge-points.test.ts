import { describe, expect, it } from 'vitest';
import {
  BUILT_IN_MONITORS,
  type MetricTrend,
  type MonitorSettings,
  type Notice,
} from '../../src/core/monitors.ts';
import type { MetricPoint } from '../../src/core/rows.ts';
import { judgePoints } from '../../src/runs/monitors/judge-points.ts';

type Value = number | [step: number, value: number];

function pointsOf(values: readonly Value[], name = 'loss'): MetricPoint[] {
  return values.map((item) => {
    const [step, value] = Array.isArray(item) ? item : [null, item];
    return { name, step, value, loggedAt: '2026-01-01T00:00:00.000Z' };
  });
}

function settings(change: Partial<MonitorSettings> = {}): MonitorSettings {
  return { ...BUILT_IN_MONITORS, ...change };
}

const DIVERGENCE: MonitorSettings['divergence'] = { action: 'warn', metric: 'loss', factor: 10, points: 3 };
const messagesOf = (given: MonitorSettings, points: readonly MetricPoint[]): string[] =>
  judgePoints(given, null, points).notices.map(({ message }) => message);

describe('a value that is no number', () => {
  const stop = settings({ nonFinite: { action: 'stop', metrics: null } });

  it.each<[Value, string]>([
    [[12, Number.NaN], 'The metric "loss" is NaN at step 12.'],
    [[0, Number.POSITIVE_INFINITY], 'The metric "loss" is Infinity at step 0.'],
    [Number.NEGATIVE_INFINITY, 'The metric "loss" is -Infinity.'],
  ])('is found with its step: %j', (value, message) => {
    expect(judgePoints(stop, null, pointsOf([1, value]))).toEqual({
      notices: [{ monitor: 'non_finite', metric: 'loss', action: 'stop', message }],
      trend: null,
    });
  });

  it('is told once of each metric, with the first of it, and of those that are watched', () => {
    const points = [
      ...pointsOf([
        [1, Number.NaN],
        [2, Number.POSITIVE_INFINITY],
      ]),
      ...pointsOf([[3, Number.NaN]], 'val'),
    ];
    expect(messagesOf(settings(), points)).toEqual([
      'The metric "loss" is NaN at step 1.',
      'The metric "val" is NaN at step 3.',
    ]);
    expect(messagesOf(settings({ nonFinite: { action: 'warn', metrics: ['val'] } }), points)).toEqual([
      'The metric "val" is NaN at step 3.',
    ]);
    expect(messagesOf(settings({ nonFinite: { action: 'off', metrics: null } }), points)).toEqual([]);
  });

  it('is not found in what is large, small or none', () => {
    expect(messagesOf(settings(), pointsOf([0, -0, 1e308, -1e308, 5e-324]))).toEqual([]);
  });

  it('is told on one line, whatever the program called it', () => {
    const points = pointsOf([Number.NaN], `a\nb${'c'.repeat(100)}`);
    expect(messagesOf(settings(), points)).toEqual([`The metric "a b${'c'.repeat(57)}…" is NaN.`]);
  });
});

describe('a metric of which lower is better', () => {
  const given = settings({ divergence: DIVERGENCE });
  /** The position of the point at which it is found to diverge. */
  const foundAt = (values: readonly Value[], change: Partial<MonitorSettings['divergence']> = {}) => {
    const watching = settings({
      divergence: { ...DIVERGENCE, ...change },
      nonFinite: { action: 'off', metrics: null },
    });
    const at = values.findIndex(
      (_, i) => judgePoints(watching, null, pointsOf(values.slice(0, i + 1))).notices.length > 0,
    );
    return at === -1 ? undefined : at;
  };

  it.each<[string, Value[], number | undefined]>([
    ['falls', [5, 4, 3, 2, 1], undefined],
    ['rises, but not beyond ten times the best', [1, 10, 10, 10, 10], undefined],
    ['rises beyond ten times the best', [5, 1, 10.1, 11, 12, 13], 4],
    ['rises, and comes back in between', [1, 11, 11, 1, 11, 11], undefined],
    ['rises, and comes back as far as the limit', [1, 11, 11, 10, 11, 11, 11], 6],
    ['finds a better value while it is watched', [10, 1, 50, 50, 0.1, 2, 2, 2], 7],
    ['begins where it is worst', [1e9, 1, 1, 1], undefined],
    ['is negative and falls', [-1, -2, -3, -400], undefined],
    ['is negative and rises by no more than nine times its magnitude', [-4, -5, 39, 39, 39, 40], undefined],
    ['is negative and rises by more', [-4, -5, 400, 400, 400], 4],
    ['falls below 0 and stays near', [5, 1, -0.001, 3, 4, 5], undefined],
    ['falls below 0 and grows', [5, 1, -0.001, 46, 46, 46], 5],
    ['falls to 0 and grows', [5, 0, 46, 46, 46], 4],
    ['was only 0, which is no measure', [0, 0, 0], undefined],
    ['was 0 and gets its measure by the first other value', [0, 2, 18, 18, 18], undefined],
    ['becomes infinite', [1, 2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 1e300], 4],
    ['is infinite from the start', Array(9).fill(Number.POSITIVE_INFINITY), undefined],
    ['is no number in between', [1, 11, Number.NaN, 11, Number.NEGATIVE_INFINITY, 11], 5],
    ['is never a number', Array(9).fill(Number.NaN), undefined],
    ['has one value', [1e9], undefined],
  ])('%s', (_, values, at) => {
    expect(foundAt(values)).toBe(at);
  });

  it('is judged by its own factor and number of points', () => {
    expect(foundAt([1, 3, 3], { factor: 2, points: 2 })).toBe(2);
    expect(foundAt([1, 2, 2, 2], { factor: 2, points: 1 })).toBeUndefined();
    expect(foundAt([1, 2.1], { factor: 2, points: 1 })).toBe(1);
  });

  it('is found with best, limit, step and value, once', () => {
    const points = pointsOf([
      [0, 5],
      [1, 0.5],
      [2, 6],
      [3, 7],
      [4, 812.3456789],
      [5, 900],
    ]);
    expect(judgePoints(given, null, points).notices).toEqual([
      {
        monitor: 'divergence',
        metric: 'loss',
        action: 'warn',
        message:
          'The metric "loss" diverges: 3 points in a row lie above 5 (best 0.5 at step 1, factor 10), the last is 812.346 at step 4.',
      },
    ]);
    expect(messagesOf(settings({ divergence: { ...DIVERGENCE, points: 1 } }), pointsOf([1, 11]))).toEqual([
      'The metric "loss" diverges: a point lies above 10 (best 1, factor 10), the last is 11.',
    ]);
  });

  it('is judged alike however its points are cut into batches, also through JSON', () => {
    const values = [
      [0, 5],
      [1, 0.5],
      [2, 6],
      [3, -1],
      [4, 60],
      [5, 61],
      [6, 62],
      [7, 63],
    ] as Value[];
    const points = pointsOf(values);
    const whole = judgePoints(given, null, points);
    expect(whole.notices).toHaveLength(1);
    for (const size of [1, 2, 3, 5]) {
      let trend: MetricTrend | null = null;
      const notices: Notice[] = [];
      for (let at = 0; at < points.length; at += size) {
        const judged = judgePoints(given, trend, points.slice(at, at + size));
        notices.push(...judged.notices);
        trend = JSON.parse(JSON.stringify(judged.trend)) as MetricTrend;
      }
      expect(notices[0]).toEqual(whole.notices[0]);
      expect(trend).toEqual(whole.trend);
    }
  });

  it('is watched only where it is named and the monitor is on', () => {
    const points = pointsOf([1, 100, 100, 100]);
    expect(messagesOf(settings({ divergence: { ...DIVERGENCE, action: 'off' } }), points)).toEqual([]);
    expect(messagesOf(settings({ divergence: { ...DIVERGENCE, metric: null } }), points)).toEqual([]);
    expect(messagesOf(settings({ divergence: { ...DIVERGENCE, metric: 'val' } }), points)).toEqual([]);
  });
});
