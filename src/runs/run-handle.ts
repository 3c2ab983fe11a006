import type { RunHandle } from '../backends/port.ts';
import { isJsonObject } from '../core/json.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';

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
