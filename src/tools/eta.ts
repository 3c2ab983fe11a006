import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import type { Runs } from '../runs/runs.ts';

/** Seconds until everything has ended, from how long the same stages took before. */
export type Eta = { p50: number; p90: number };

/** Earlier runs looked at per stage. */
const HISTORY = 20;

/**
 * The longest way through what is still open, stage by stage. Null where a stage has no history in its workspace.
 * Waiting for capacity is not in it.
 */
export function estimateEta(
  runs: Pick<Runs, 'list'>,
  members: readonly StageRun[],
  nowMs: number,
): Eta | null {
  const open = members.filter((run) => !isTerminal(run.state));
  const p50 = longestWay(open, (run) => remaining(runs, run, { nowMs, quantile: 0.5 }));
  const p90 = longestWay(open, (run) => remaining(runs, run, { nowMs, quantile: 0.9 }));
  return p50 === null || p90 === null ? null : { p50, p90 };
}

function longestWay(open: readonly StageRun[], cost: (run: StageRun) => number | null): number | null {
  const ends = new Map<StageRun, number>();
  // A run stands after those it needs, so one pass in the order of the pipeline is enough.
  for (const run of [...open].sort((a, b) => a.position - b.position)) {
    const own = cost(run);
    if (own === null) return null;
    const needed = open.filter(
      (other) => other.pipelineRunId === run.pipelineRunId && run.plan.needs.includes(other.stage),
    );
    ends.set(run, own + Math.max(0, ...needed.map((other) => ends.get(other) ?? 0)));
  }
  return Math.round(Math.max(0, ...ends.values()));
}

function remaining(
  runs: Pick<Runs, 'list'>,
  run: StageRun,
  at: { nowMs: number; quantile: number },
): number | null {
  const durations = runs
    .list({ workspace: run.workspace, stage: run.stage, state: 'completed', limit: HISTORY })
    .flatMap((past) => (past.cause === 'cached' ? [] : seconds(past.startedAt, past.endedAt)))
    .sort((a, b) => a - b);
  const typical = durations[Math.min(durations.length - 1, Math.floor(durations.length * at.quantile))];
  if (typical === undefined) return null;
  const elapsed = run.startedAt === null ? 0 : (at.nowMs - Date.parse(run.startedAt)) / 1000;
  return Math.max(0, typical - elapsed);
}

function seconds(from: string | null, to: string | null): number[] {
  return from === null || to === null ? [] : [(Date.parse(to) - Date.parse(from)) / 1000];
}
