import type { Cause } from '../core/causes.ts';
import { isoTime } from '../core/clock.ts';
import type { Failure, StageRun, StoredOutput } from '../core/rows.ts';
import { type EventSource, isTerminal } from '../core/run-lifecycle.ts';
import { setAttemptCause } from '../store/attempts.ts';
import { endRun } from '../store/run-events.ts';
import { insertOutputs } from '../store/signals.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { describeFailure } from './failure.ts';
import { settleRun } from './settle.ts';

export type RunEnd = {
  cause: Cause;
  source: EventSource;
  /** One sentence; absent: the cause says it all. */
  message?: string;
  exitCode?: number | null;
  signal?: string | null;
  /** Whose fault it is, where the facts say more than the cause does. */
  failureClass?: Failure['class'];
  /** When it really ended, where that is known. ISO. */
  at?: string;
  outputs?: readonly StoredOutput[];
  /** The program ended by itself, and nobody stopped it: a cancel that came too late to change that changes nothing. */
  byItself?: boolean;
};

/**
 * Ends a run: terminal event, outputs, the attempt's cause and what it means for the others, in one transaction.
 * A cancel that was asked for before wins over every end but the program's own. An end that comes second changes
 * nothing.
 */
export async function endWithCause(
  deps: Pick<RunsDeps, 'db' | 'clock' | 'layout'>,
  run: StageRun,
  end: RunEnd,
): Promise<void> {
  const { db } = deps;
  const failure = end.cause === 'success' ? undefined : await describeFailure(deps, run, end);
  db.write(() => {
    const now = getStageRun(db, run.id);
    if (!now || isTerminal(now.state) || now.attempt !== run.attempt) return;
    const canceled = now.cancelCause !== null && end.byItself !== true;
    const cause = canceled ? (now.cancelCause ?? end.cause) : end.cause;
    const message = canceled ? `Canceled: ${now.cancelReason ?? 'no reason given'}` : end.message;
    if (!canceled && end.outputs) insertOutputs(db, end.outputs);
    endRun(db, {
      runId: run.id,
      cause,
      source: end.source,
      at: end.at ?? isoTime(deps.clock.now()),
      attempt: run.attempt,
      patch: {
        exitCode: end.exitCode ?? null,
        signal: end.signal ?? null,
        ...(message === undefined ? {} : { errorMessage: message }),
        ...(failure === undefined || canceled ? {} : { failure }),
      },
    });
    setAttemptCause(db, { runId: run.id, attempt: run.attempt }, cause);
    settleRun(deps, run.id);
  });
}
