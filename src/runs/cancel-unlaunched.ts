import { isoTime } from '../core/clock.ts';
import type { StageRun } from '../core/rows.ts';
import { getAttempt, noteReleased } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { externalIdOf } from './launch.ts';

/**
 * Ends a run whose cancel came before its launch was confirmed. If an earlier supervisor got as far as asking the
 * backend, whatever that started is found by its name and ended first; what it is still about to start (it may only
 * have been stopped) finds the request to stop and does not begin.
 */
export async function cancelUnlaunched(deps: RunsDeps, run: StageRun): Promise<void> {
  const key = { runId: run.id, attempt: run.attempt };
  if (getAttempt(deps.db, key)) {
    const backend = await deps.backends.get(run.backend);
    const handle = { ...key, backend: run.backend, externalId: externalIdOf(run), data: {} };
    await backend.terminate(handle, { graceSeconds: 0, reason: 'cancel' });
    await backend.cleanup(handle);
    deps.db.write(() => noteReleased(deps.db, key, isoTime(deps.clock.now())));
  }
  await endWithCause(deps, run, { cause: run.cancelCause ?? 'user', source: 'caller' });
}
