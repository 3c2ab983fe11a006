import type { BackendStatus, RunBackend, RunHandle, StopRequest } from '../backends/port.ts';
import { isoTime } from '../core/clock.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';
import { getAttempt, noteObservation, noteStopRequested } from '../store/attempts.ts';
import { isLeaseLost } from '../store/lease.ts';
import { applyRunEvent } from '../store/run-events.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { ingestMetrics } from './ingest-metrics.ts';
import { toHandle } from './run-handle.ts';
import type { AttemptWatch } from './watch-attempts.ts';

/** Absence is death only when seen this often, over at least this long. */
const ABSENCES = 3;
const ABSENT_MS = 1_500;
/** The deadline is kept beside the program; the supervisor acts only when that has failed by so much. */
const DEADLINE_SLACK_MS = 15_000;

/**
 * Looks at every launched run, one question per backend, and acts on what is seen: start, stop, loss.
 * Returns the runs that have a result and are to be finished.
 */
export async function observeRuns(
  deps: RunsDeps,
  runs: readonly StageRun[],
  { signal, watch }: { signal: AbortSignal; watch: AttemptWatch },
): Promise<{ run: StageRun; handle: RunHandle; status: BackendStatus }[]> {
  const launched = runs.flatMap((run) => {
    const attempt = getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
    const handle = attempt && toHandle(run, attempt);
    return attempt && handle ? [{ run, attempt, handle }] : [];
  });
  const ended: { run: StageRun; handle: RunHandle; status: BackendStatus }[] = [];
  for (const [name, group] of Map.groupBy(launched, (item) => item.run.backend)) {
    const backend = await deps.backends.get(name);
    const statuses = await backend.getStatus(
      group.map((item) => item.handle),
      { signal },
    );
    for (const [index, item] of group.entries()) {
      const status = statuses[index];
      if (!status) continue;
      if (status.phase === 'exited') ended.push({ run: item.run, handle: item.handle, status });
      else await observeAlone(deps, { ...item, status, backend, watch });
    }
  }
  watch.keepOnly(runs);
  return ended;
}

type Seen = {
  run: StageRun;
  attempt: RunAttempt;
  handle: RunHandle;
  status: BackendStatus;
  backend: RunBackend;
  watch: AttemptWatch;
};

/** What goes wrong with one run must not keep the others from being looked at. */
async function observeAlone(deps: RunsDeps, seen: Seen): Promise<void> {
  try {
    await observeOne(deps, seen);
  } catch (error) {
    if (isLeaseLost(error)) throw error;
    deps.log.error({ run: seen.run.id, err: error }, 'a look at a run failed');
  }
}

async function observeOne(deps: RunsDeps, seen: Seen): Promise<void> {
  const { run, status } = seen;
  if (status.phase === 'unknown') {
    deps.log.warn({ run: run.id, error: status.error }, 'the backend could not look');
    return;
  }
  noteSeen(deps, seen);
  if (status.phase === 'absent') return considerLost(deps, seen);
  if (status.phase === 'running') {
    await ingestMetrics(deps, { runId: run.id, attempt: run.attempt, final: false });
  }
  await stopIfDue(deps, seen);
}

/** Raw state and, at the first sight of it running, the lifecycle's start. */
function noteSeen(deps: Pick<RunsDeps, 'db' | 'clock'>, seen: Pick<Seen, 'run' | 'status'>): void {
  const { run, status } = seen;
  const at = isoTime(deps.clock.now());
  deps.db.write(() => {
    const absent = status.phase === 'absent';
    const key = { runId: run.id, attempt: run.attempt };
    noteObservation(deps.db, key, { raw: status.raw, startedAt: status.startedAt, absent, at });
    if (status.phase !== 'running' || run.state !== 'launching') return;
    applyRunEvent(deps.db, {
      runId: run.id,
      event: 'start',
      source: 'backend',
      at: status.startedAt ?? at,
      attempt: run.attempt,
    });
  });
}

async function considerLost(deps: RunsDeps, seen: Seen): Promise<void> {
  const { run, backend, handle } = seen;
  const attempt = getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
  const since = attempt?.absentSince ?? null;
  if (!attempt || since === null || attempt.absentCount < ABSENCES) return;
  // The wall clock may have been set back since then.
  if (Math.abs(deps.clock.now() - Date.parse(since)) < ABSENT_MS) return;
  await backend.cleanup(handle);
  await ingestMetrics(deps, { runId: run.id, attempt: run.attempt, final: true });
  await endWithCause(deps, run, {
    cause: 'worker_lost',
    source: 'supervisor',
    message: 'What executed the run disappeared and left no result document.',
  });
}

/** Carries out a cancel, what a monitor found, or a deadline that was not kept. Judged on a fresh row. */
async function stopIfDue(deps: RunsDeps, seen: Seen): Promise<void> {
  const found = seen.status.phase === 'running' ? await seen.watch.look(seen.run, seen.status) : undefined;
  const run = getStageRun(deps.db, seen.run.id);
  const attempt = getAttempt(deps.db, { runId: seen.run.id, attempt: seen.run.attempt });
  if (!run || !attempt || run.endedAt !== null) return;
  const due: Omit<StopRequest, 'graceSeconds'> | undefined =
    run.cancelCause !== null
      ? { reason: 'cancel' }
      : pastDeadline(deps, run, attempt)
        ? { reason: 'timeout' }
        : found;
  if (!due || attempt.stopRequestedAt !== null) return;
  const key = { runId: run.id, attempt: run.attempt };
  await seen.backend.terminate(seen.handle, { graceSeconds: run.plan.compute.stopGraceSeconds, ...due });
  const at = isoTime(deps.clock.now());
  deps.db.write(() => noteStopRequested(deps.db, key, at));
}

function pastDeadline(deps: Pick<RunsDeps, 'clock'>, run: StageRun, attempt: RunAttempt): boolean {
  if (attempt.startedAt === null) return false;
  const { timeoutSeconds, stopGraceSeconds } = run.plan.compute;
  const limit = (timeoutSeconds + stopGraceSeconds) * 1000 + DEADLINE_SLACK_MS;
  return deps.clock.now() - Date.parse(attempt.startedAt) > limit;
}
