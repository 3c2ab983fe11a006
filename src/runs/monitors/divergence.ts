import type { MetricTrend, MonitorSettings, Notice } from '../../core/monitors.ts';
import type { MetricPoint } from '../../core/rows.ts';
import { atStep, named, shownValue } from './words.ts';

type Settings = MonitorSettings['divergence'];

/**
 * A metric of which lower is better grows away from its best value: `points` points in a row lie beyond a limit. Where
 * the best is above 0 the limit is `factor` times the best. Of a best at or below 0 a multiple says nothing; there the
 * limit lies `factor - 1` times the largest magnitude so far above it. A metric that was only 0 has no limit yet.
 *
 * NaN and -Infinity are passed over, being no question of growth; Infinity lies beyond every limit. A point beyond the
 * limit is neither a new best nor does it widen the scale, so the limit stands still while the metric grows.
 */
export function followTrend(
  trend: MetricTrend | null,
  point: MetricPoint,
  factor: number,
): MetricTrend | null {
  const { value, step } = point;
  if (Number.isNaN(value) || value === Number.NEGATIVE_INFINITY) return trend;
  if (trend !== null && value > limitOf(trend, factor)) return { ...trend, beyond: trend.beyond + 1 };
  if (value === Number.POSITIVE_INFINITY) return trend;
  const scale = Math.max(trend?.scale ?? 0, Math.abs(value));
  if (trend !== null && value >= trend.best) return { ...trend, scale, beyond: 0 };
  return { best: value, bestStep: step, scale, beyond: 0 };
}

function limitOf({ best, scale }: MetricTrend, factor: number): number {
  if (best > 0) return best * factor;
  return scale === 0 ? Number.POSITIVE_INFINITY : best + (factor - 1) * scale;
}

/** `trend`: after the point. */
export function judgeTrend(
  settings: Settings,
  trend: MetricTrend | null,
  point: MetricPoint,
): Notice | undefined {
  const { action, factor, points } = settings;
  if (action === 'off' || trend === null || trend.beyond < points) return undefined;
  const row = points === 1 ? 'a point lies' : `${points} points in a row lie`;
  const message =
    `The metric ${named(point.name)} diverges: ${row} above ${shownValue(limitOf(trend, factor))} ` +
    `(best ${shownValue(trend.best)}${atStep(trend.bestStep)}, factor ${factor}), ` +
    `the last is ${shownValue(point.value)}${atStep(point.step)}.`;
  return { monitor: 'divergence', metric: point.name, action, message };
}
