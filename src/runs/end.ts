import { removeScratch } from '../backends/materialise-inputs.ts';
import type { Cause } from '../core/causes.ts';
import { isoTime } from '../core/clock.ts';
import type { ToolCall } from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import { judgeRestart, type RestartVerdict } from '../core/restart-policy.ts';
import type { Failure, StageRun, StoredOutput } from '../core/rows.ts';
import { type EventSource, isTerminal, judgeEvent } from '../core/run-lifecycle.ts';
import { attemptsOfRun, setAttemptCause } from '../store/attempts.ts';
import { endRun, restartRun } from '../store/run-events.ts';
import { insertOutputs } from '../store/signals.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { describeFailure } from './failure.ts';
import { ranMs } from './runtime-so-far.ts';
import { secretsOf } from './secrets-of-run.ts';
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
  /** The system's error behind it. */
  errno?: string | undefined;
  /** Where more is known of a repetition than the cause says. */
  retrySafe?: boolean;
  /** The call that resolves it. */
  next?: ToolCall | undefined;
  /** When it really ended, where that is known. ISO. */
  at?: string;
  outputs?: readonly StoredOutput[];
  /** The program ended by itself, and nobody stopped it: a cancel that came too late to change that changes nothing. */
  byItself?: boolean;
};

/**
 * Ends a run, or leads it back to pending where its restart policy says so: event, outputs, the attempt's cause and
 * what it means for the others, in one transaction. A cancel that was asked for before wins over every end but the
 * program's own. An end that comes second changes nothing.
 */
export async function endWithCause(
  deps: Pick<RunsDeps, 'db' | 'clock' | 'layout' | 'secrets'>,
  run: StageRun,
  ended: RunEnd,
): Promise<void> {
  const { db } = deps;
  const end = withoutSecrets(deps, run, ended);
  const failure = end.cause === 'success' ? undefined : await describeFailure(deps, run, end);
  const at = end.at ?? isoTime(deps.clock.now());
  await removeRawWords(deps, run);
  db.write(() => {
    const now = getStageRun(db, run.id);
    if (!now || isTerminal(now.state) || now.attempt !== run.attempt) return;
    const canceled = now.cancelCause !== null && end.byItself !== true;
    setAttemptCause(db, attemptOf(run), { cause: canceled ? (now.cancelCause ?? end.cause) : end.cause, at });
    if (canceled) {
      const message = `Canceled: ${now.cancelReason ?? 'no reason given'}`;
      finish(deps, run, { ...end, cause: now.cancelCause ?? 'user', message, at });
      return;
    }
    // kill point: end/half-written
    const verdict = now.cancelCause === null ? restartOrEnd(deps, now, end) : undefined;
    if (verdict?.kind === 'restart') return restart(deps, run, { ...end, at, afterMs: verdict.afterMs });
    if (end.outputs) insertOutputs(db, end.outputs);
    const message = [end.message, verdict?.why].filter((text) => text != null).join(' ');
    const cause = verdict?.cause ?? end.cause;
    // What failed again and again is not likely to do better the next time.
    const told = failure && cause !== end.cause ? { ...failure, retrySafe: false } : failure;
    finish(deps, run, { ...end, cause, at, ...(message === '' ? {} : { message }) }, told);
  });
}

/** A sentence may quote the name of a file that the program made, or what somebody answered. */
function withoutSecrets(deps: Pick<RunsDeps, 'secrets'>, run: StageRun, end: RunEnd): RunEnd {
  return end.message === undefined ? end : { ...end, message: redact(end.message, secretsOf(deps, run)) };
}

/**
 * What a program told Goldfish of itself lies as it wrote it in its control folders. It has been taken in by now, and
 * where the program had secrets it may hold them.
 */
async function removeRawWords({ layout }: Pick<RunsDeps, 'layout'>, run: StageRun): Promise<void> {
  if (Object.keys(run.plan.secrets).length === 0) return;
  const folders = layout.attempt(run.id, run.attempt);
  const ranks = Array.from({ length: run.plan.compute.nodes }, (_, rank) => folders.rank(rank).control);
  await removeScratch(ranks);
}

type Deps = Pick<RunsDeps, 'db' | 'clock' | 'layout'>;

function attemptOf(run: StageRun): { runId: string; attempt: number } {
  return { runId: run.id, attempt: run.attempt };
}

/** Undefined where nothing is to be judged: it has no policy, or its state leads to no restart. */
function restartOrEnd({ db }: Deps, now: StageRun, end: RunEnd): RestartVerdict | undefined {
  const policy = now.plan.retries;
  if (policy === undefined || judgeEvent(now.state, 'restart').kind !== 'moved') return undefined;
  const ended = attemptsOfRun(db, now.id).flatMap((attempt) =>
    attempt.cause === null ? [] : [{ cause: attempt.cause, ranMs: ranMs(attempt) }],
  );
  return ended.at(-1)?.cause === end.cause ? judgeRestart(policy, ended) : undefined;
}

function restart(deps: Deps, run: StageRun, end: RunEnd & { at: string; afterMs: number }): void {
  // kill point: restart/half-written
  const { cause, source, at, message = null, exitCode = null, signal = null, errno = null } = end;
  restartRun(deps.db, {
    ...attemptOf(run),
    source,
    at,
    detail: { cause, message, exit_code: exitCode, signal, errno },
    notBefore: isoTime(deps.clock.now() + end.afterMs),
  });
}

function finish(deps: Deps, run: StageRun, end: RunEnd & { at: string }, failure?: Failure): void {
  endRun(deps.db, {
    ...attemptOf(run),
    cause: end.cause,
    source: end.source,
    at: end.at,
    detail: { exit_code: end.exitCode ?? null, signal: end.signal ?? null, errno: end.errno ?? null },
    patch: {
      exitCode: end.exitCode ?? null,
      signal: end.signal ?? null,
      ...(end.message === undefined ? {} : { errorMessage: end.message }),
      ...(failure === undefined ? {} : { failure }),
    },
  });
  settleRun(deps, run.id);
}
