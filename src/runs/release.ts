import { isoTime } from '../core/clock.ts';
import { noteReleased, unreleasedAttempts } from '../store/attempts.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { handleOf } from './run-handle.ts';

/** Frees what ended runs still hold of a backend: after a crash between a run's end and its release. */
export async function releaseEnded(deps: RunsDeps, busy: (runId: string) => boolean): Promise<void> {
  for (const attempt of unreleasedAttempts(deps.db)) {
    const run = getStageRun(deps.db, attempt.runId);
    if (!run || busy(run.id)) continue;
    const handle = handleOf(run, attempt);
    try {
      const backend = await deps.backends.get(run.backend);
      await backend.cleanup(handle);
    } catch (error) {
      // One that cannot be freed now must not keep the others from it.
      deps.log.warn({ run: run.id, err: error }, 'what an ended run held could not be released yet');
      continue;
    }
    // kill point: release/cleaned-up
    const key = { runId: run.id, attempt: attempt.attempt };
    deps.db.write(() => noteReleased(deps.db, key, isoTime(deps.clock.now())));
  }
}
