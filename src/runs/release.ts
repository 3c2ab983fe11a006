import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { RunAttempt } from '../core/rows.ts';
import { noteReleased } from '../store/attempts.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { handleOf } from './run-handle.ts';

/**
 * Frees what an ended attempt still holds of its backend: after a crash between its end and its release, or where it was
 * not certain that all of it is gone. Errors: those of the backend; BACKEND_UNAVAILABLE as long as it is not certain.
 */
export async function releaseAttempt(
  deps: Pick<RunsDeps, 'db' | 'clock' | 'backends'>,
  attempt: RunAttempt,
  signal: AbortSignal,
): Promise<void> {
  const run = getStageRun(deps.db, attempt.runId);
  if (!run) return;
  const backend = await deps.backends.get(run.backend);
  const answer = await backend.cleanup(handleOf(run, attempt), { signal });
  if (answer === 'unconfirmed') {
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `${run.backend} cannot say yet whether everything of the run is gone.`,
      retryable: true,
    });
  }
  // kill point: release/cleaned-up
  const key = { runId: attempt.runId, attempt: attempt.attempt };
  deps.db.write(() => noteReleased(deps.db, key, isoTime(deps.clock.now())));
}
