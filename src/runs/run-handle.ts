import type { RunHandle } from '../backends/port.ts';
import { isJsonObject } from '../core/json.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';

/** The handle of an attempt: as the backend gave it, or by its name alone, where a crash came before it was stored. */
export function handleOf(run: Pick<StageRun, 'id' | 'backend'>, attempt: RunAttempt): RunHandle {
  const { externalId } = attempt;
  const named = { backend: run.backend, runId: run.id, attempt: attempt.attempt, externalId, data: {} };
  return toHandle(run, attempt) ?? named;
}

/** The handle as the backend gave it, read back from the attempt's row; undefined before the launch was stored. */
export function toHandle(run: Pick<StageRun, 'id' | 'backend'>, attempt: RunAttempt): RunHandle | undefined {
  if (attempt.handle === null) return undefined;
  const data = attempt.handle['data'];
  return {
    backend: run.backend,
    runId: run.id,
    attempt: attempt.attempt,
    externalId: attempt.externalId,
    data: isJsonObject(data) ? data : {},
  };
}
