import { expect, it } from 'vitest';
import { metricShape, toMetrics } from '../../src/tools/run-rows.ts';

it('shows infinities and NaN by their names, and numbers as they are', () => {
  const { loss, ok } = toMetrics([
    { name: 'loss', last: null, min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY, count: 3 },
    { name: 'ok', last: 1, min: 0, max: 2, count: 3 },
  ]);
  expect(loss).toEqual({ last: 'NaN', min: '-Infinity', max: 'Infinity', count: 3 });
  expect(ok).toEqual({ last: 1, min: 0, max: 2, count: 3 });
  // The answer is parsed by this shape; JSON has no word for these numbers.
  expect(metricShape.safeParse(loss).success).toBe(true);
  expect(JSON.parse(JSON.stringify(loss))).toEqual(loss);
});
