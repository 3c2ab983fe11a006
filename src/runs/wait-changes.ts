import type { RunEvent, StageRun } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import { eventsAfter } from '../store/run-events.ts';
import type { RunsDeps } from './deps.ts';

/** From the state before the first event to that after the last: what lies between needs no decision. */
export type WaitChange = {
  runId: string;
  stage: string;
  from: RunState | null;
  to: RunState;
  at: string;
  /** Of a run that was started anew meanwhile: `attempt 2, after worker_lost, starts again in 5 s`; what a monitor noticed. */
  note: string | null;
  /** A monitor noticed something. */
  noticed: boolean;
  /** Sequence number of the last event. */
  seq: number;
};

/** One change for every run with an event after `seq`, in the order of its last event. */
export function changesSince(
  deps: Pick<RunsDeps, 'db' | 'clock'>,
  { seq, runs }: { seq: number; runs: ReadonlyMap<string, StageRun> },
): WaitChange[] {
  const changes = new Map<string, WaitChange>();
  for (const event of eventsAfter(deps.db, { seq, runIds: [...runs.keys()] })) {
    const run = runs.get(event.runId);
    if (!run) continue;
    const before = changes.get(event.runId);
    // Put behind the others again: the order is that of the last event.
    changes.delete(event.runId);
    changes.set(event.runId, {
      runId: event.runId,
      stage: run.stage,
      from: before ? before.from : event.fromState,
      to: event.toState,
      at: event.createdAt,
      note: noteOf(event, run, deps.clock.now()) ?? before?.note ?? null,
      noticed: event.event === 'finding' || before?.noticed === true,
      seq: event.seq,
    });
  }
  return [...changes.values()];
}

function noteOf(event: RunEvent, run: StageRun, nowMs: number): string | null {
  if (event.event === 'restart') return restartNote(event, run, nowMs);
  const message = event.event === 'finding' ? event.detail['message'] : null;
  return typeof message === 'string' ? message : null;
}

function restartNote(event: RunEvent, run: StageRun, nowMs: number): string {
  const next = event.attempt + 1;
  const cause = event.detail['cause'];
  const after = typeof cause === 'string' ? `, after ${cause}` : '';
  const waits = run.state === 'pending' && run.attempt === next && run.notBefore !== null;
  const seconds = waits ? Math.ceil((Date.parse(run.notBefore ?? '') - nowMs) / 1000) : 0;
  return `attempt ${next}${after}${seconds > 0 ? `, starts again in ${seconds} s` : ''}`;
}
