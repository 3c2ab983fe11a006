import type { BackendStatus, RunHandle } from '../backends/port.ts';
import { isoTime } from '../core/clock.ts';
import { GoldfishError, isGoldfishError } from '../core/errors.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';
import { getAttempt, setAttemptHandle } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';
import { handleOf } from './run-handle.ts';

type Deps = Pick<RunsDeps, 'db' | 'clock' | 'backends'>;

/**
 * Whether the backend has the attempt already, though nobody stored its handle: the supervisor that asked for it was
 * killed in between. Then it is stored, and the attempt is looked at like every other. Asks for nothing that a launch
 * needs: secrets, inputs and images may be gone by now, and the program runs.
 * Errors: BACKEND_UNAVAILABLE where it could not look (`isUnseen`); the backend's own.
 */
export async function findStarted(deps: Deps, run: StageRun, signal?: AbortSignal): Promise<boolean> {
  const attempt = getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
  if (!attempt || attempt.handle !== null) return false;
  if ((await statusOf(deps, { run, attempt, signal })).phase === 'absent') return false;
  // kill point: takeover/found
  noteStarted(deps, handleOf(run, attempt));
  return true;
}

/** Whether the program of an attempt runs or has ended, whoever knows of it. */
export async function hasBegun(deps: Deps, run: StageRun, attempt: RunAttempt): Promise<boolean> {
  const { phase, startedAt } = await statusOf(deps, { run, attempt, signal: undefined });
  const began = phase === 'running' || phase === 'exited' || (phase === 'starting' && startedAt !== null);
  if (!began) return false;
  if (attempt.handle === null) noteStarted(deps, handleOf(run, attempt));
  return true;
}

async function statusOf(
  deps: Deps,
  asked: { run: StageRun; attempt: RunAttempt; signal: AbortSignal | undefined },
): Promise<BackendStatus> {
  const { run, attempt, signal } = asked;
  const backend = await deps.backends.get(run.backend);
  const [status] = await backend.getStatus([handleOf(run, attempt)], signal ? { signal } : {});
  if (status !== undefined && status.phase !== 'unknown') return status;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `${run.backend} could not look: ${status?.error ?? 'no answer'}`,
    retryable: true,
    details: { unseen: true },
  });
}

/** Nobody knows whether the attempt has begun: the time that passes meanwhile is none in which it should have. */
export function isUnseen(error: unknown): boolean {
  return isGoldfishError(error) && error.details['unseen'] === true;
}

export function noteStarted(deps: Pick<Deps, 'db' | 'clock'>, handle: RunHandle): void {
  const at = isoTime(deps.clock.now());
  deps.db.write(() => setAttemptHandle(deps.db, handle, { handle, at }));
}
