import type { Cause } from '../core/causes.ts';
import type { RunFinding } from '../core/monitors.ts';
import type { PipelineRunState, StageRun } from '../core/rows.ts';
import { isTerminal, type RunState } from '../core/run-lifecycle.ts';
import { findingsOfRuns } from '../store/findings.ts';
import { newestEventSeq } from '../store/run-events.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { findRun } from './find.ts';
import { changesSince, type WaitChange } from './wait-changes.ts';
import { describeRuns, fractionOf } from './wait-progress.ts';

/** How often the store is asked whether something happened. One indexed read. */
const LOOK_MS = 100;
/** How often it is looked at what programs say of their progress, which is no event. */
const PROGRESS_MS = 1_000;
/** How often it is made sure that somebody advances the work; a supervisor that dies leaves no event. */
const NUDGE_MS = 2_000;
/** Changes told at once; the cursor then stands behind the last of them. */
const MAX_CHANGES = 20;

export type WaitRequest = {
  targets: string[];
  /** `all` end, `any` ends, or `attention`: something failed or was noticed, or everything ended. With a cursor: since then. */
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

export type WaitOutcome = {
  done: boolean;
  timedOut: boolean;
  targets: WaitTarget[];
  /** The runs behind the targets, once each. */
  runs: StageRun[];
  /** What monitors noticed of their current attempts. */
  findings: RunFinding[];
  /** Newest state of every run that changed since the cursor, in the order of the last change. */
  changes: WaitChange[];
  /** There are more changes than were told: the next call with this cursor tells them at once. */
  more: boolean;
  cursor: number;
};

export type WaitCall = { signal?: AbortSignal; progress?: (fraction: number, message: string) => void };

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
  const tell = teller(call);
  let seen = -1;
  let looked = Number.NEGATIVE_INFINITY;
  let nudged = Number.NEGATIVE_INFINITY;
  for (;;) {
    const now = clock.monotonic();
    const late = now >= deadline || call.signal?.aborted === true;
    const newest = newestEventSeq(db);
    if (newest !== seen || late || now - looked >= PROGRESS_MS) {
      seen = newest;
      looked = now;
      const outcome = look(deps, targets, since);
      const done = isReached(request, outcome);
      if (done || outcome.more || late) return { ...outcome, done, timedOut: !done && !outcome.more };
      tell(outcome.runs);
    }
    if (clock.monotonic() - nudged >= NUDGE_MS) {
      nudged = clock.monotonic();
      await deps.nudge();
    }
    await clock.sleep(LOOK_MS, call.signal ? { signal: call.signal } : {});
  }
}

/** Only what is new: an event may be of another run. */
function teller({ progress }: WaitCall): (runs: readonly StageRun[]) => void {
  let told = '';
  return (runs) => {
    const message = describeRuns(runs);
    if (message === told) return;
    told = message;
    progress?.(fractionOf(runs), message);
  };
}

type Look = Omit<WaitOutcome, 'done' | 'timedOut'>;

function look(deps: Pick<RunsDeps, 'db' | 'clock'>, ids: readonly string[], since: number): Look {
  const { db } = deps;
  return db.read(() => {
    // Of the same snapshot as the changes: what is written between two reads would be told twice.
    const newest = newestEventSeq(db);
    const runs = new Map<string, StageRun>();
    const targets = ids.map((id): WaitTarget => {
      const found = findRun(db, id);
      const members = found.kind === 'run' ? [found.run] : runsOfPipelineRun(db, found.run.id);
      for (const run of members) runs.set(run.id, run);
      const cause = found.kind === 'run' ? found.run.cause : null;
      return { id: found.run.id, kind: found.kind, state: found.run.state, cause };
    });
    const all = changesSince(deps, { seq: since, runs });
    const changes = all.slice(0, MAX_CHANGES);
    const last = changes.at(-1);
    const more = all.length > changes.length;
    // What changed later than the last one told comes after it, so nothing is skipped and nothing told twice.
    const cursor = more && last ? last.seq : newest;
    const findings = findingsOfRuns(db, [...runs.keys()]);
    return { targets, runs: [...runs.values()], findings, changes, more, cursor };
  });
}

const OVER: readonly string[] = ['completed', 'failed', 'terminated', 'canceled'];

function isReached({ until, cursor }: WaitRequest, outcome: Look): boolean {
  const over = outcome.targets.filter((target) => OVER.includes(target.state));
  if (over.length === outcome.targets.length) return true;
  if (until === 'all') return false;
  // What a caller with a cursor has been told before neither ends the wait nor calls for attention again.
  if (until === 'any') return over.some((target) => cursor === undefined || endedSince(target, outcome));
  if (cursor === undefined ? outcome.findings.length > 0 : outcome.changes.some(({ noticed }) => noticed)) {
    return true;
  }
  const states =
    cursor === undefined ? outcome.runs.map((run) => run.state) : outcome.changes.map((change) => change.to);
  return states.includes('failed') || states.includes('terminated');
}

/** A target that is over ended with the last of its runs. */
function endedSince(target: WaitTarget, { runs, changes }: Look): boolean {
  const ended = new Set(changes.filter(({ to }) => isTerminal(to)).map(({ runId }) => runId));
  return runs.some((run) => (run.id === target.id || run.pipelineRunId === target.id) && ended.has(run.id));
}
