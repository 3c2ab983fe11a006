import type { Cause } from '../core/causes.ts';
import type { PipelineRunState, StageRun } from '../core/rows.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';
import type { Db } from '../store/database.ts';
import { eventsAfter, newestEventSeq } from '../store/run-events.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';

/** How often the store is asked whether something happened. One indexed read. */
const LOOK_MS = 100;
/** How often it is made sure that somebody advances the work; a supervisor that dies leaves no event. */
const NUDGE_MS = 2_000;

export type WaitRequest = {
  targets: string[];
  /** `all` end, `any` ends, or `attention`: something failed (with a cursor: since then) or everything ended. */
  until: 'any' | 'all' | 'attention';
  timeoutSeconds: number;
  /** Sequence number of the last event seen; changes after it are told. */
  cursor?: number;
};

export type WaitTarget = {
  id: string;
  kind: 'run' | 'pipeline_run';
  state: RunState | PipelineRunState;
  cause: Cause | null;
};
export type WaitChange = { runId: string; stage: string; from: RunState | null; to: RunState; at: string };

export type WaitOutcome = {
  done: boolean;
  timedOut: boolean;
  targets: WaitTarget[];
  /** The runs behind the targets, once each. */
  runs: StageRun[];
  /** Newest state of every run that changed since the cursor, in the order of the last change. */
  changes: WaitChange[];
  cursor: number;
};

type WaitCall = { signal?: AbortSignal; progress?: (ended: number, total: number, message: string) => void };

/** Waits, bounded, for runs to end. Never an error on timeout; ending the wait does not end the work. */
export async function waitForRuns(
  deps: Pick<RunsDeps, 'db' | 'clock'> & { nudge: () => Promise<unknown> },
  request: WaitRequest,
  call: WaitCall = {},
): Promise<WaitOutcome> {
  const { db, clock } = deps;
  // A prefix that is unique now may not stay so.
  const targets = [...new Set(request.targets.map((text) => findRun(db, text).run.id))];
  const since = request.cursor ?? newestEventSeq(db);
  const deadline = clock.monotonic() + request.timeoutSeconds * 1000;
  let seen = -1;
  let nudged = Number.NEGATIVE_INFINITY;
  for (;;) {
    const late = clock.monotonic() >= deadline || call.signal?.aborted === true;
    if (newestEventSeq(db) !== seen || late) {
      const outcome = look(db, targets, since);
      seen = outcome.cursor;
      const done = isReached(request, outcome);
      if (done || late) return { ...outcome, done, timedOut: !done };
      const ended = outcome.runs.filter((run) => isTerminal(run.state)).length;
      call.progress?.(ended, outcome.runs.length, describe(outcome.runs));
    }
    if (clock.monotonic() - nudged >= NUDGE_MS) {
      nudged = clock.monotonic();
      await deps.nudge();
    }
    await clock.sleep(LOOK_MS, call.signal ? { signal: call.signal } : {});
  }
}

type Look = Omit<WaitOutcome, 'done' | 'timedOut'>;

function look(db: Db, ids: readonly string[], since: number): Look {
  return db.read(() => {
    // Of the same snapshot as the changes: what is written between two reads would be told twice.
    const cursor = newestEventSeq(db);
    const runs = new Map<string, StageRun>();
    const targets = ids.map((id): WaitTarget => {
      const found = findRun(db, id);
      const members = found.kind === 'run' ? [found.run] : runsOfPipelineRun(db, found.run.id);
      for (const run of members) runs.set(run.id, run);
      const cause = found.kind === 'run' ? found.run.cause : null;
      return { id: found.run.id, kind: found.kind, state: found.run.state, cause };
    });
    const changes = new Map<string, WaitChange>();
    for (const event of eventsAfter(db, { seq: since, runIds: [...runs.keys()] })) {
      const first = changes.get(event.runId);
      changes.delete(event.runId);
      changes.set(event.runId, {
        runId: event.runId,
        stage: runs.get(event.runId)?.stage ?? '',
        from: first ? first.from : event.fromState,
        to: event.toState,
        at: event.createdAt,
      });
    }
    return { targets, runs: [...runs.values()], changes: [...changes.values()], cursor };
  });
}

const OVER: readonly string[] = ['completed', 'failed', 'terminated', 'canceled'];

function isReached({ until, cursor }: WaitRequest, outcome: Look): boolean {
  const over = outcome.targets.filter((target) => OVER.includes(target.state));
  if (until === 'any') return over.length > 0;
  if (over.length === outcome.targets.length) return true;
  if (until !== 'attention') return false;
  // What a caller with a cursor has been told before does not call for attention again.
  const states =
    cursor === undefined ? outcome.runs.map((run) => run.state) : outcome.changes.map((change) => change.to);
  return states.includes('failed') || states.includes('terminated');
}

function describe(runs: readonly StageRun[]): string {
  return runs.map((run) => `${run.stage} ${run.state}`).join(', ');
}
