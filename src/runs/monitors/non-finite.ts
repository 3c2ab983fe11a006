import type { MonitorSettings, Notice } from '../../core/monitors.ts';
import type { MetricPoint } from '../../core/rows.ts';
import { atStep, named, shownValue } from './words.ts';

/** A value that is no number any more: what is computed from it is none either. */
export function judgeFinite(settings: MonitorSettings['nonFinite'], point: MetricPoint): Notice | undefined {
  const { action, metrics } = settings;
  if (action === 'off' || Number.isFinite(point.value)) return undefined;
  if (metrics !== null && !metrics.includes(point.name)) return undefined;
  const message = `The metric ${named(point.name)} is ${shownValue(point.value)}${atStep(point.step)}.`;
  return { monitor: 'non_finite', metric: point.name, action, message };
}
