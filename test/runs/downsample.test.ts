import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { downsample, type SeriesPoint, showNumber } from '../../src/runs/downsample.ts';

const value = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -1000, max: 1000 }) },
  { weight: 1, arbitrary: fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY) },
  { weight: 1, arbitrary: fc.constant(null) },
);
const numbers = fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 300 });

function series(values: readonly (number | null)[]): SeriesPoint[] {
  return values.map((item, seq) => ({ step: seq * 10, value: item, seq }));
}

const numbersOf = (points: readonly SeriesPoint[]): number[] => points.flatMap((point) => point.value ?? []);

describe('thinning out a series', () => {
  it('never gives more points than asked for, and only points of the series, in order, once each', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 300 }), fc.integer({ min: 4, max: 60 }), (values, max) => {
        const points = series(values);
        const kept = downsample(points, max);
        expect(kept.length).toBeLessThanOrEqual(max);
        const seqs = kept.map((point) => point.seq);
        expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
        for (const point of kept) expect(point).toBe(points[point.seq]);
      }),
    );
  });

  it('keeps a series that is short enough as it is', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), fc.integer({ min: 0, max: 40 }), (values, room) => {
        const points = series(values);
        expect(downsample(points, Math.max(4, points.length + room))).toEqual(points);
      }),
    );
  });

  it('keeps the first and the last point', () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 300 }),
        fc.integer({ min: 4, max: 60 }),
        (values, max) => {
          const points = series(values);
          const kept = downsample(points, max);
          expect(kept[0]).toBe(points[0]);
          expect(kept.at(-1)).toBe(points.at(-1));
        },
      ),
    );
  });

  it('keeps the least and the greatest value', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 300 }), fc.integer({ min: 5, max: 60 }), (values, max) => {
        const points = series(values);
        const all = numbersOf(points);
        const kept = numbersOf(downsample(points, max));
        expect(Math.max(...kept)).toBe(Math.max(...all));
        expect(Math.min(...kept)).toBe(Math.min(...all));
      }),
    );
  });

  it('keeps both extremes with room for four points too, where all are numbers', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const kept = numbersOf(downsample(series(values), 4));
        expect(Math.max(...kept)).toBe(Math.max(...values));
        expect(Math.min(...kept)).toBe(Math.min(...values));
      }),
    );
  });

  it('never thins out all that is not a number', () => {
    fc.assert(
      fc.property(
        numbers,
        numbers,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 4, max: 60 }),
        (before, after, odd, max) => {
          const points = series([...before, ...Array.from({ length: odd }, () => null), ...after]);
          expect(downsample(points, max).some((point) => point.value === null)).toBe(true);
        },
      ),
    );
  });

  it('uses at least half of the room it has', () => {
    const points = series(Array.from({ length: 1000 }, (_, i) => Math.sin(i)));
    expect(downsample(points, 100).length).toBe(100);
    expect(downsample(points, 101).length).toBe(100);
  });

  it('gives the beginning where fewer than four points are asked for', () => {
    const points = series([1, 2, 3, 4, 5]);
    expect(downsample(points, 3).map((point) => point.value)).toEqual([1, 2, 3]);
    expect(downsample(points, 0).map((point) => point.value)).toEqual([1]);
  });
});

describe('a number in an answer', () => {
  it.each([
    [1.5, 1.5],
    [0, 0],
    [null, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
  ])('%s is shown as %s', (given, shown) => {
    expect(showNumber(given)).toBe(shown);
  });
});
