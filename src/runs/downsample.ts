/** One point of a series as the store gives it: NaN is null. */
export type SeriesPoint = { step: number | null; value: number | null; seq: number };

/**
 * At most `max` points (4 or more) that keep the shape: the series is cut into equal buckets and of each the least
 * and the greatest value stay, besides the first and the last point. What is not a number is never thinned out
 * unseen: of each bucket the first such point stays as well.
 */
export function downsample(points: readonly SeriesPoint[], max: number): SeriesPoint[] {
  if (points.length <= max || max < 4) return points.slice(0, Math.max(max, 1));
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return [];
  const inner = points.slice(1, -1);
  // With room for two points only, a NaN stands in for the least one.
  const perBucket = inner.some((point) => point.value === null) && max >= 5 ? 3 : 2;
  const buckets = Math.max(1, Math.floor((max - 2) / perBucket));
  const kept: SeriesPoint[] = [];
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = Math.floor((bucket * inner.length) / buckets);
    const to = Math.floor(((bucket + 1) * inner.length) / buckets);
    kept.push(...extremes(inner.slice(from, to), perBucket));
  }
  return [first, ...kept, last];
}

function extremes(points: readonly SeriesPoint[], room: number): SeriesPoint[] {
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
  const wanted = room === 3 ? [odd, least, greatest] : [odd ?? least, greatest];
  const chosen = new Set(wanted.filter((point) => point !== undefined));
  return [...chosen].sort((a, b) => a.seq - b.seq);
}

/** JSON has no NaN and no infinities; they are shown by their names. */
export function showNumber(value: number | null): number | string {
  if (value === null) return 'NaN';
  return Number.isFinite(value) ? value : value > 0 ? 'Infinity' : '-Infinity';
}
