import { z } from 'zod';
import { BUILT_IN_MONITORS, MONITOR_ACTIONS, type MonitorSettings } from '../core/monitors.ts';
import { heartbeatSchema, numberOf, oneOf, section } from './fields.ts';

const NAME = 'must be the name of a metric';
const metricSchema = z.string(NAME).min(1, NAME).max(128, NAME);
const NAMES = 'must be a list of 1 to 100 names of metrics, or null for all';

const action = oneOf(MONITOR_ACTIONS);
const afterSeconds = heartbeatSchema.nullable();
const metrics = z.array(metricSchema, NAMES).min(1, NAMES).max(100, NAMES).nullable();
const metric = metricSchema.nullable();
const factor = numberOf('a number above 1 and at most 1e12', { above: 1, max: 1e12 });
const points = numberOf('a whole number from 1 to 10000', { min: 1, max: 10_000, whole: true });

const { stall, nonFinite, divergence } = BUILT_IN_MONITORS;

/** `defaults.monitors` of goldfish.yaml. */
export const monitorsSchema = section({
  stall: section({
    action: action.default(stall.action),
    after_seconds: afterSeconds.default(stall.afterSeconds),
  }),
  non_finite: section({
    action: action.default(nonFinite.action),
    metrics: metrics.default(nonFinite.metrics),
  }),
  divergence: section({
    action: action.default(divergence.action),
    metric: metric.default(divergence.metric),
    factor: factor.default(divergence.factor),
    points: points.default(divergence.points),
  }),
});

/** `compute.monitors` of a stage: what it leaves out is that of the defaults; null means what it means there. */
export const ownMonitorsSchema = section({
  stall: section({ action: action.optional(), after_seconds: afterSeconds.optional() }),
  non_finite: section({ action: action.optional(), metrics: metrics.optional() }),
  divergence: section({
    action: action.optional(),
    metric: metric.optional(),
    factor: factor.optional(),
    points: points.optional(),
  }),
});
export type OwnMonitors = z.output<typeof ownMonitorsSchema>;

export function toMonitors(file: z.output<typeof monitorsSchema>): MonitorSettings {
  return {
    stall: { action: file.stall.action, afterSeconds: file.stall.after_seconds },
    nonFinite: file.non_finite,
    divergence: file.divergence,
  };
}
