import { isoTime } from '../core/clock.ts';
import type { StageRun } from '../core/rows.ts';
import { getAttempt, noteReleased } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { findStarted } from './find-started.ts';
import { handleOf } from './run-handle.ts';

/**
 * Ends a run whose cancel came before its launch was confirmed. If an earlier supervisor got as far as asking the
 * backend, whatever that started is found by its name, and is stopped or has ended like every other run. What it is
 * still about to start (it may only have been stopped) finds the request to stop and does not begin.
 */
export async function cancelUnlaunched(deps: RunsDeps, run: StageRun): Promise<void> {
  const key = { runId: run.id, attempt: run.attempt };
  const attempt = getAttempt(deps.db, key);
  if (attempt) {
    if (await findStarted(deps, run)) return;
    const backend = await deps.backends.get(run.backend);
    const handle = handleOf(run, attempt);
    await backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
    await backend.cleanup(handle);
    deps.db.write(() => noteReleased(deps.db, key, isoTime(deps.clock.now())));
  }
  await endWithCause(deps, run, { cause: run.cancelCause ?? 'user', source: 'caller' });
}
