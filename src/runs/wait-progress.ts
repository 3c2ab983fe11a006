import type { StageRun } from '../core/rows.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';

/** How far a run is that has no word of its own to say: what comes before the program is little. */
const FAR: Partial<Record<RunState, number>> = {
  preparing: 0.02,
  building: 0.04,
  launching: 0.06,
  running: 0.1,
  finishing: 0.95,
};

/** How much of the work is done, from 0 to 1: each run counts the same. */
export function fractionOf(runs: readonly StageRun[]): number {
  if (runs.length === 0) return 0;
  return runs.reduce((sum, run) => sum + partOf(run), 0) / runs.length;
}

function partOf({ state, progress }: StageRun): number {
  if (isTerminal(state)) return 1;
  const start = FAR[state] ?? 0;
  const said = state === 'running' ? Math.min(1, Math.max(0, progress ?? 0)) : 0;
  return start + said * (0.9 - start);
}

/** Runs named one by one in a message; more are counted by state. */
const NAMED = 6;

/** `preprocess completed, train running 40 %`, or `12 completed, 3 running, 85 pending`. */
export function describeRuns(runs: readonly StageRun[]): string {
  if (runs.length <= NAMED) return runs.map(describeRun).join(', ');
  const counts = new Map<string, number>();
  for (const { state } of runs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

function describeRun({ stage, state, progress, attempt }: StageRun): string {
  const percent = state === 'running' && progress !== null ? ` ${Math.round(progress * 100)} %` : '';
  const again = attempt > 1 && !isTerminal(state) ? ` (attempt ${attempt})` : '';
  return `${stage} ${state}${percent}${again}`;
}
