import { isoTime } from '../core/clock.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';
import { getAttempt, noteReleased } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { findStarted, hasBegun, isUnseen } from './find-started.ts';
import { handleOf } from './run-handle.ts';

/**
 * Ends a run whose cancel came before its launch was confirmed. If an earlier supervisor got as far as asking the
 * backend, whatever that started is found by its name, and is stopped or has ended like every other run. Where the backend
 * cannot look, it is stopped by its name all the same: a cancel waits for nobody who may never answer.
 */
export async function cancelUnlaunched(deps: RunsDeps, run: StageRun): Promise<void> {
  const attempt = attemptOf(deps, run);
  if (attempt) {
    if (await isSeenStarted(deps, run)) return;
    await stopByName(deps, run, attempt, 'It was stopped before its program started.');
  }
  // kill point: cancel/released-by-name
  await endWithCause(deps, run, { cause: run.cancelCause ?? 'user', source: 'caller' });
}

async function isSeenStarted(deps: RunsDeps, run: StageRun): Promise<boolean> {
  try {
    return await findStarted(deps, run);
  } catch (error) {
    if (!isUnseen(error)) throw error;
    return false;
  }
}

/**
 * Ends a run that has been on its way for too long; one that has begun meanwhile is looked at like every other.
 * Errors: BACKEND_UNAVAILABLE where nobody can say whether it has (`isUnseen`).
 */
export async function endLate(deps: RunsDeps, run: StageRun): Promise<void> {
  const attempt = attemptOf(deps, run);
  const { launchTimeoutSeconds } = deps.config.defaults;
  const message = `It did not begin within ${launchTimeoutSeconds} s (defaults.launch_timeout_seconds).`;
  if (attempt) {
    if (await hasBegun(deps, run, attempt)) return;
    await stopByName(deps, run, attempt, message);
  }
  await endWithCause(deps, run, { cause: 'launch_failed', source: 'supervisor', message });
}

function attemptOf(deps: RunsDeps, run: StageRun): RunAttempt | undefined {
  return getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
}

/**
 * What is still about to start (it may only have been stopped) finds the request to stop and does not begin. The request
 * says why, for a supervisor that finds the attempt when this one was killed.
 */
async function stopByName(
  deps: RunsDeps,
  run: StageRun,
  attempt: RunAttempt,
  message: string,
): Promise<void> {
  const backend = await deps.backends.get(run.backend);
  const handle = handleOf(run, attempt);
  await backend.terminate(handle, { graceSeconds: 0, reason: 'cancel', because: { rank: 0, message } });
  // kill point: cancel/stopped-by-name
  if ((await backend.cleanup(handle)) !== 'released') return;
  const key = { runId: run.id, attempt: run.attempt };
  deps.db.write(() => noteReleased(deps.db, key, isoTime(deps.clock.now())));
}
