/** One point of a series as the store gives it: NaN is null. */
export type SeriesPoint = { step: number | null; value: number | null; seq: number };
/** As a reader gets it: `[step or index, value]`, NaN and infinities as strings so that JSON can carry them. */
export type ShownPoint = [number, number | string];

/**
 * At most `max` points that keep the shape: the series is cut into equal buckets and of each the least and the
 * greatest value stay, besides the first and the last point. What is not a number is never thinned out unseen: of
 * each bucket the first such point stays as well, in place of the least.
 */
export function downsample(points: readonly SeriesPoint[], max: number): SeriesPoint[] {
  if (points.length <= max || max < 4) return points.slice(0, Math.max(max, 1));
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return [];
  const inner = points.slice(1, -1);
  const buckets = Math.max(1, Math.floor((max - 2) / 2));
  const kept: SeriesPoint[] = [];
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = Math.floor((bucket * inner.length) / buckets);
    const to = Math.floor(((bucket + 1) * inner.length) / buckets);
    kept.push(...extremes(inner.slice(from, to)));
  }
  return [first, ...kept, last];
}

function extremes(points: readonly SeriesPoint[]): SeriesPoint[] {
  let least: SeriesPoint | undefined;
  let greatest: SeriesPoint | undefined;
  let odd: SeriesPoint | undefined;
  for (const point of points) {
    if (point.value === null) odd ??= point;
    else {
      if (least?.value == null || point.value < least.value) least = point;
      if (greatest?.value == null || point.value > greatest.value) greatest = point;
    }
  }
  const chosen = new Set([odd ?? least, greatest].filter((point) => point !== undefined));
  return [...chosen].sort((a, b) => a.seq - b.seq);
}

export function showPoint(point: SeriesPoint): ShownPoint {
  return [point.step ?? point.seq, showNumber(point.value)];
}

/** JSON has no NaN and no infinities; they are shown by their names. */
export function showNumber(value: number | null): number | string {
  if (value === null) return 'NaN';
  return Number.isFinite(value) ? value : value > 0 ? 'Infinity' : '-Infinity';
}
