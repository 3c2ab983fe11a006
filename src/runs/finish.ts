import type { BackendStatus, RunHandle, RunResult, StopReason } from '../backends/port.ts';
import { STOP_CAUSES } from '../core/causes.ts';
import { isoTime } from '../core/clock.ts';
import { errnoBehind, messageOf } from '../core/errors.ts';
import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import { storeOutputs } from '../data/store-outputs.ts';
import { noteReleased, recordAttemptEnd } from '../store/attempts.ts';
import { applyRunEvent } from '../store/run-events.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause, type RunEnd } from './end.ts';
import { ingestMetrics } from './ingest-metrics.ts';
import { noteLostEnd } from './last-sign.ts';

/** Storing outputs is tried this often before the run counts as `upload_failed`. */
const STORE_TRIES = 3;
const STORE_PAUSE_MS = 1_000;

/**
 * From a result document to a terminal state: metrics, leftovers, outputs, cause. Every step may be repeated; a
 * supervisor that finds a run in `finishing` starts here again.
 */
export async function finishRun(
  deps: RunsDeps,
  ended: { run: StageRun; handle: RunHandle; status: BackendStatus },
  signal: AbortSignal,
): Promise<void> {
  const { handle, status } = ended;
  const run = getStageRun(deps.db, ended.run.id);
  if (!run || isTerminal(run.state) || !status.result) return;
  const reading = status.result;
  const backend = await deps.backends.get(run.backend);
  if (reading.kind !== 'read') await noteLostEnd(deps, run);
  noteResult(deps, run, reading.kind === 'read' ? reading.result : null);
  // kill point: finish/result-noted
  // Before anything is hashed: whatever the program left behind must not write any more.
  const cleanup = await backend.cleanup(handle, { signal });
  // kill point: finish/cleaned-up
  await ingestMetrics(deps, { runId: run.id, attempt: run.attempt, final: true });
  // kill point: finish/metrics-in
  const end: RunEnd =
    reading.kind === 'read'
      ? await judge(deps, { run, result: reading.result, signal })
      : {
          cause: 'worker_lost',
          source: 'backend',
          message: `The result document is ${reading.kind}: ${reading.detail}`,
          errno: reading.kind === 'unreadable' ? reading.errno : undefined,
        };
  if (signal.aborted) return;
  // kill point: finish/judged
  await endWithCause(deps, run, end);
  // kill point: finish/ended
  // What is not certain to be gone is looked for again.
  if (cleanup !== 'released') return;
  deps.db.write(() => noteReleased(deps.db, keyOf(run), isoTime(deps.clock.now())));
  // kill point: finish/released
}

function keyOf(run: StageRun): { runId: string; attempt: number } {
  return { runId: run.id, attempt: run.attempt };
}

function noteResult(deps: RunsDeps, run: StageRun, result: RunResult | null): void {
  const at = isoTime(deps.clock.now());
  deps.db.write(() => {
    recordAttemptEnd(deps.db, keyOf(run), {
      result,
      exitCode: result?.exitCode ?? null,
      signal: result?.signal ?? null,
      startedAt: result?.startedAt ?? null,
      endedAt: result?.endedAt ?? at,
    });
    // A run that ended before anybody saw it start has started all the same.
    if (result?.startedAt) {
      const started = {
        runId: run.id,
        source: 'backend',
        attempt: run.attempt,
        at: result.startedAt,
      } as const;
      applyRunEvent(deps.db, { ...started, event: 'start' });
    }
    applyRunEvent(deps.db, { runId: run.id, event: 'finish', source: 'backend', at, attempt: run.attempt });
  });
}

type Judged = { run: StageRun; result: RunResult; signal: AbortSignal };

async function judge(deps: RunsDeps, judged: Judged): Promise<RunEnd> {
  const { result, run } = judged;
  const facts = {
    source: 'backend',
    byItself: result.started && !result.lost && result.stoppedBy === null,
    exitCode: result.exitCode,
    signal: result.signal,
    errno: result.errno ?? undefined,
    at: result.endedAt,
  } as const;
  const bad = badEnd(result, run.plan.compute.nodes);
  if (bad) return { ...facts, ...bad };
  const judgement = await judgeOutputs(deps, judged);
  // It ended well, but not everything it printed is in its log.
  const lacks = judgement.cause === 'success' && result.error !== null ? { message: result.error } : {};
  return { ...facts, ...lacks, ...judgement };
}

type BadEnd = Pick<RunEnd, 'cause' | 'message' | 'failureClass'>;

/** What the program's own end means; undefined when it ended well. With several ranks the result names one. */
function badEnd(result: RunResult, nodes: number): BadEnd | undefined {
  // Given up before it was seen to begin, by a supervisor that died before it could write so. A caller's cancel is known.
  if (result.stoppedBy === 'cancel' && result.error !== null) {
    return { cause: 'launch_failed', failureClass: 'infra', message: result.error };
  }
  const step = result.stoppedBy === null ? failedStepOf(result) : undefined;
  if (step !== undefined) return { ...step, message: result.error ?? 'Something of the machine failed.' };
  if (!result.started && !result.lost) {
    return {
      cause: 'launch_failed',
      failureClass: 'config',
      message: `The program could not be started: ${result.error ?? 'unknown'}`,
    };
  }
  if (result.stoppedBy !== null) {
    const { stoppedBy, error } = result;
    return { cause: STOP_CAUSES[stoppedBy], message: STOPPED[stoppedBy](error) };
  }
  if (result.lost) {
    return {
      cause: 'worker_lost',
      message:
        result.error ?? 'What executed the program died under it: how it would have ended is not known.',
    };
  }
  // Of several ranks the error says which one it was; of one, what else went wrong: a log that could not be written.
  const told = (sentence: string): string =>
    result.error === null ? sentence : nodes > 1 ? result.error : `${sentence} ${result.error}`;
  if (result.oom) {
    return { cause: 'oom', message: told('The kernel killed the program for its use of memory.') };
  }
  if (result.signal !== null) {
    return { cause: 'exit_nonzero', message: told(`The program died by ${result.signal}.`) };
  }
  if (result.exitCode === 0) return undefined;
  return {
    cause: 'exit_nonzero',
    message: told(`The program ended with exit code ${result.exitCode ?? 'unknown'}.`),
  };
}

/** Steps of ours on a rented machine. Those before the program are no fault of it. */
const FAILED_STEPS: Readonly<Record<string, Pick<RunEnd, 'cause' | 'failureClass'>>> = {
  preempted: { cause: 'preempted' },
  preflight: { cause: 'preflight_failed', failureClass: 'infra' },
  input: { cause: 'input_unavailable', failureClass: 'infra' },
  upload: { cause: 'upload_failed', failureClass: 'infra' },
};

function failedStepOf({ failedStep }: RunResult): Pick<RunEnd, 'cause' | 'failureClass'> | undefined {
  if (failedStep === undefined || failedStep === null) return undefined;
  const known = Object.hasOwn(FAILED_STEPS, failedStep) ? FAILED_STEPS[failedStep] : undefined;
  return known ?? { cause: 'launch_failed', failureClass: 'infra' };
}

/** Where we ended it. What a monitor found stands in the result's `error`. */
const STOPPED: Record<StopReason, (error: string | null) => string> = {
  timeout: () => 'The run reached its time limit and was stopped.',
  cancel: () => 'The run was stopped.',
  heartbeat: (error) => error ?? 'The heartbeat stopped.',
  monitor: (error) => error ?? 'A monitor stopped it.',
};

async function judgeOutputs(
  deps: RunsDeps,
  { run, result, signal }: Judged,
): Promise<Pick<RunEnd, 'cause' | 'message' | 'outputs' | 'errno'>> {
  const { outputs: outputsDir } = deps.layout.attempt(run.id, run.attempt);
  for (let tries = 1; ; tries += 1) {
    try {
      const collected = await storeOutputs({
        storage: deps.storage,
        clock: deps.clock,
        outputsDir,
        outputs: run.plan.outputs,
        signal,
      });
      if (collected.problems.length > 0) {
        const message = collected.problems.map((problem) => problem.message).join('; ');
        // A machine may have said why it did not send it.
        const why = result.error === null ? '' : ` ${result.error}`;
        return { cause: 'output_missing', message: `The program ended with 0, but ${message}.${why}` };
      }
      const createdAt = isoTime(deps.clock.now());
      const outputs = collected.stored.map((output) => ({ ...output, runId: run.id, createdAt }));
      return { cause: 'success', outputs };
    } catch (error) {
      deps.log.warn({ run: run.id, tries, err: error }, 'outputs could not be stored');
      if (tries >= STORE_TRIES || signal.aborted) {
        const message = `Outputs could not be stored: ${messageOf(error)}`;
        return { cause: 'upload_failed', message, errno: errnoBehind(error) };
      }
      await deps.clock.sleep(STORE_PAUSE_MS, { signal });
    }
  }
}
