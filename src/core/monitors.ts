/** What a monitor does where it finds something. */
export const MONITOR_ACTIONS = ['off', 'warn', 'stop'] as const;
export type MonitorAction = (typeof MONITOR_ACTIONS)[number];

/** The monitors a stage may set; runtime and heartbeat have keys of their own. */
export type MonitorSettings = {
  /** Null: it does not watch. */
  stall: { action: MonitorAction; afterSeconds: number | null };
  /** Null: every metric. */
  nonFinite: { action: MonitorAction; metrics: string[] | null };
  /** Of a metric of which lower is better; null: it does not watch. */
  divergence: { action: MonitorAction; metric: string | null; factor: number; points: number };
};

/** Where nobody says anything. A plan that says nothing of monitors, as those of 0.1, means these. */
export const BUILT_IN_MONITORS: MonitorSettings = {
  stall: { action: 'warn', afterSeconds: null },
  nonFinite: { action: 'warn', metrics: null },
  divergence: { action: 'off', metric: null, factor: 10, points: 5 },
};

/** What the monitor of divergence remembers of its metric from point to point. JSON-safe. */
export type MetricTrend = {
  /** The lowest value so far. */
  best: number;
  bestStep: number | null;
  /** The largest magnitude of the points that did not lie beyond the limit. */
  scale: number;
  /** Points beyond the limit since the last that was not. */
  beyond: number;
};

export type MonitorName = 'stall' | 'non_finite' | 'divergence';

/** What a monitor noticed. `stop`: the attempt is to end because of it. */
export type Notice = {
  monitor: MonitorName;
  /** Null: it is about the attempt as a whole. */
  metric: string | null;
  action: 'warn' | 'stop';
  /** One sentence for people. */
  message: string;
};

/** A notice as it is kept: of an attempt, its monitor and metric the first one. */
export type RunFinding = Notice & { runId: string; attempt: number; createdAt: string };
