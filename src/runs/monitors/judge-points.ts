import type { MetricTrend, MonitorSettings, Notice } from '../../core/monitors.ts';
import type { MetricPoint } from '../../core/rows.ts';
import { followTrend, judgeTrend } from './divergence.ts';
import { judgeFinite } from './non-finite.ts';

export type Judged = {
  /** Of a monitor and metric the first one. */
  notices: Notice[];
  /** After the last point; null before there was any. */
  trend: MetricTrend | null;
};

/** Judges points in the order in which they were logged, from what was remembered of those before. */
export function judgePoints(
  settings: MonitorSettings,
  before: MetricTrend | null,
  points: readonly MetricPoint[],
): Judged {
  const { divergence, nonFinite } = settings;
  const notices = new Map<string, Notice>();
  const add = (notice: Notice | undefined): void => {
    if (notice === undefined) return;
    const key = `${notice.monitor} ${notice.metric}`;
    if (!notices.has(key)) notices.set(key, notice);
  };
  const follows = divergence.action !== 'off' && divergence.metric !== null;
  let trend = before;
  for (const point of points) {
    add(judgeFinite(nonFinite, point));
    if (!follows || point.name !== divergence.metric) continue;
    trend = followTrend(trend, point, divergence.factor);
    add(judgeTrend(divergence, trend, point));
  }
  return { notices: [...notices.values()], trend };
}
