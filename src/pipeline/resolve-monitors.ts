import type { OwnMonitors } from '../config/monitors.ts';
import type { Path } from '../config/problem.ts';
import type { MonitorSettings } from '../core/monitors.ts';

/** Every value decided, and where those that are not built in come from: `monitors.stall.action: goldfish.yaml:7`. */
export type AskedMonitors = { settings: MonitorSettings; origins: Record<string, string> };

type Request = {
  /** What the stage says, override included. */
  own: OwnMonitors | undefined;
  defaults: MonitorSettings;
  /** Of a key of the stage's own config. */
  originOf: (path: Path) => string;
  /** Of a key of `defaults`, dotted. */
  originOfDefault: (key: string) => string;
};

/** Key by key the stage, then the defaults. */
export function resolveMonitors({ own, defaults, originOf, originOfDefault }: Request): AskedMonitors {
  const origins: Record<string, string> = {};
  const pick = <T>(path: [rule: string, key: string], value: T | undefined, given: T): T => {
    const key = ['monitors', ...path].join('.');
    const origin = value === undefined ? originOfDefault(key) : originOf(['compute', 'monitors', ...path]);
    if (origin !== 'built-in') origins[key] = origin;
    return value === undefined ? given : value;
  };
  const { stall, nonFinite, divergence } = defaults;
  const settings: MonitorSettings = {
    stall: {
      action: pick(['stall', 'action'], own?.stall.action, stall.action),
      afterSeconds: pick(['stall', 'after_seconds'], own?.stall.after_seconds, stall.afterSeconds),
    },
    nonFinite: {
      action: pick(['non_finite', 'action'], own?.non_finite.action, nonFinite.action),
      metrics: pick(['non_finite', 'metrics'], own?.non_finite.metrics, nonFinite.metrics),
    },
    divergence: {
      action: pick(['divergence', 'action'], own?.divergence.action, divergence.action),
      metric: pick(['divergence', 'metric'], own?.divergence.metric, divergence.metric),
      factor: pick(['divergence', 'factor'], own?.divergence.factor, divergence.factor),
      points: pick(['divergence', 'points'], own?.divergence.points, divergence.points),
    },
  };
  return { settings, origins };
}
