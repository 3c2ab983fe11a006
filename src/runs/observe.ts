import type { BackendStatus, RunBackend, RunHandle, StopRequest } from '../backends/port.ts';
import { STOP_CAUSES } from '../core/causes.ts';
import { isoTime } from '../core/clock.ts';
import type { RunAttempt, StageRun } from '../core/rows.ts';
import { getAttempt, noteObservation, noteStopRequested } from '../store/attempts.ts';
import { findingsOfRun, recordFinding, stoppingFinding } from '../store/findings.ts';
import { isLeaseLost } from '../store/lease.ts';
import { applyRunEvent } from '../store/run-events.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { ingestMetrics } from './ingest-metrics.ts';
import { noteLostEnd } from './last-sign.ts';
import type { Finding } from './monitors/monitor.ts';
import { toHandle } from './run-handle.ts';
import { runtimeSoFar } from './runtime-so-far.ts';
import type { AttemptWatch } from './watch-attempts.ts';

/** Absence is death only when seen this often, over at least this long. */
const ABSENCES = 3;
const ABSENT_MS = 1_500;

export type Observed = {
  /** Those that have a result and are to be finished. */
  ended: { run: StageRun; handle: RunHandle; status: BackendStatus }[];
  /** Those that nobody finds any more. */
  lost: { run: StageRun; handle: RunHandle }[];
};

/** Looks at every launched run, one question per backend, and acts on what is seen where that takes no time: start, stop. */
export async function observeRuns(
  deps: RunsDeps,
  runs: readonly StageRun[],
  { signal, watch }: { signal: AbortSignal; watch: AttemptWatch },
): Promise<Observed> {
  const launched = runs.flatMap((run) => {
    const attempt = getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
    const handle = attempt && toHandle(run, attempt);
    return attempt && handle ? [{ run, attempt, handle }] : [];
  });
  const { ended, lost }: Observed = { ended: [], lost: [] };
  for (const [name, group] of Map.groupBy(launched, (item) => item.run.backend)) {
    for (const seen of await lookAt(deps, { name, group, signal })) {
      const { run, handle, status } = seen;
      if (status.phase === 'exited') ended.push({ run, handle, status });
      else if (await observeAlone(deps, { ...seen, watch })) lost.push({ run, handle });
    }
  }
  watch.keepOnly(runs);
  return { ended, lost };
}

type Launched = { run: StageRun; attempt: RunAttempt; handle: RunHandle };

/** One question for all runs of a backend. One that does not answer must not keep the others from being looked at. */
async function lookAt(
  deps: RunsDeps,
  { name, group, signal }: { name: string; group: readonly Launched[]; signal: AbortSignal },
): Promise<(Launched & { status: BackendStatus; backend: RunBackend })[]> {
  try {
    const backend = await deps.backends.get(name);
    const handles = group.map((item) => item.handle);
    const statuses = await backend.getStatus(handles, { signal });
    // A look that was broken off says nothing.
    if (signal.aborted) return [];
    return group.flatMap((item, index) => {
      const status = statuses[index];
      return status ? [{ ...item, status, backend }] : [];
    });
  } catch (error) {
    if (!signal.aborted) deps.log.error({ backend: name, err: error }, 'a backend could not be asked');
    return [];
  }
}

type Seen = {
  run: StageRun;
  attempt: RunAttempt;
  handle: RunHandle;
  status: BackendStatus;
  backend: RunBackend;
  watch: AttemptWatch;
};

/** What goes wrong with one run must not keep the others from being looked at. True where the run is lost. */
async function observeAlone(deps: RunsDeps, seen: Seen): Promise<boolean> {
  try {
    return await observeOne(deps, seen);
  } catch (error) {
    if (isLeaseLost(error)) throw error;
    deps.log.error({ run: seen.run.id, err: error }, 'a look at a run failed');
    return false;
  }
}

async function observeOne(deps: RunsDeps, seen: Seen): Promise<boolean> {
  const { run, status } = seen;
  if (status.phase === 'unknown') {
    deps.log.warn({ run: run.id, error: status.error }, 'the backend could not look');
    // What was asked for is asked again all the same: it may be the only way to end this.
    await stopIfDue(deps, seen);
    return false;
  }
  noteSeen(deps, seen);
  // kill point: observe/noted
  if (status.phase === 'absent') return isLost(deps, run);
  if (status.phase === 'running') {
    await ingestMetrics(deps, { runId: run.id, attempt: run.attempt, final: false });
  }
  await stopIfDue(deps, seen);
  return false;
}

/**
 * Why the attempt is to be stopped, as far as monitors are concerned. What one noticed is stored before anything is done
 * about it, so a death in between forgets nothing; what the points of metrics gave is stored already.
 */
async function askMonitors(deps: RunsDeps, { run, status, watch }: Seen): Promise<Finding | undefined> {
  const earlierMs = run.attempt > 1 ? runtimeSoFar(deps.db, run.id) : 0;
  const { finding, notices } = await watch.look(run, { ...status, earlierMs });
  const key = { runId: run.id, attempt: run.attempt };
  const createdAt = isoTime(deps.clock.now());
  const known = notices.length === 0 ? [] : findingsOfRun(deps.db, run.id);
  for (const notice of notices) {
    const isKnown = known.some(
      ({ attempt, monitor }) => attempt === run.attempt && monitor === notice.monitor,
    );
    if (!isKnown) recordFinding(deps.db, { ...key, ...notice, createdAt });
  }
  const stopping = stoppingFinding(deps.db, key);
  if (finding !== undefined || stopping === undefined) return finding;
  return { reason: 'monitor', because: { rank: 0, message: stopping.message } };
}

/**
 * Raw state and, at the first sight of it running, the lifecycle's start. What was seen so before is not written again:
 * hundreds may run, and each write costs a sync of the disk.
 */
function noteSeen(
  deps: Pick<RunsDeps, 'db' | 'clock'>,
  { run, attempt, status }: Pick<Seen, 'run' | 'attempt' | 'status'>,
): void {
  const absent = status.phase === 'absent';
  const began = status.phase === 'running' || (status.phase === 'starting' && status.startedAt !== null);
  const starts = began && run.state === 'launching';
  if (!absent && !starts && isNoted(attempt, status)) return;
  const at = isoTime(deps.clock.now());
  deps.db.write(() => {
    const key = { runId: run.id, attempt: run.attempt };
    noteObservation(deps.db, key, { raw: status.raw, startedAt: status.startedAt, absent, at });
    if (!starts) return;
    applyRunEvent(deps.db, {
      runId: run.id,
      event: 'start',
      source: 'backend',
      at: status.startedAt ?? at,
      attempt: run.attempt,
    });
  });
}

function isNoted({ rawState, startedAt, absentCount }: RunAttempt, status: BackendStatus): boolean {
  const isStartNoted = startedAt !== null || status.startedAt === null;
  return rawState === status.raw && absentCount === 0 && isStartNoted;
}

function isLost(deps: Pick<RunsDeps, 'db' | 'clock'>, run: StageRun): boolean {
  const attempt = getAttempt(deps.db, { runId: run.id, attempt: run.attempt });
  const since = attempt?.absentSince ?? null;
  if (!attempt || since === null || attempt.absentCount < ABSENCES) return false;
  // The wall clock may have been set back since then.
  return Math.abs(deps.clock.now() - Date.parse(since)) >= ABSENT_MS;
}

/** Ends a run that nobody finds any more. Its backend may take its time to look for what is left. */
export async function endLost(
  deps: RunsDeps,
  { run, handle }: { run: StageRun; handle: RunHandle },
  watch: Pick<AttemptWatch, 'ranMs'>,
): Promise<void> {
  const ranMs = watch.ranMs(run);
  const backend = await deps.backends.get(run.backend);
  await backend.cleanup(handle);
  // kill point: lost/cleaned-up
  await ingestMetrics(deps, { runId: run.id, attempt: run.attempt, final: true });
  await noteLostEnd(deps, run, ranMs);
  const reason = getAttempt(deps.db, { runId: run.id, attempt: run.attempt })?.stopReason ?? null;
  await endWithCause(deps, run, {
    cause: reason === null ? 'worker_lost' : STOP_CAUSES[reason],
    source: 'supervisor',
    message: reason === null ? LOST : `It was stopped (${reason}). ${LOST}`,
  });
}

const LOST = 'What executed the run disappeared and left no result document.';

/**
 * Carries out a cancel or what a monitor found. Judged on a fresh row. What was asked for is asked again by the next
 * supervisor, and where it is not followed.
 */
async function stopIfDue(deps: RunsDeps, seen: Seen): Promise<void> {
  const { watch, handle, backend } = seen;
  const found = seen.status.phase === 'running' ? await askMonitors(deps, seen) : undefined;
  const key = { runId: seen.run.id, attempt: seen.run.attempt };
  const run = getStageRun(deps.db, key.runId);
  const attempt = getAttempt(deps.db, key);
  if (!run || !attempt || run.endedAt !== null) return;
  const due: Omit<StopRequest, 'graceSeconds'> | undefined =
    attempt.stopReason !== null
      ? { reason: attempt.stopReason }
      : run.cancelCause !== null
        ? { reason: 'cancel' }
        : found;
  if (!due || !watch.mayAsk(run)) return;
  // A look may have written nothing before; who has lost the lease stops nobody.
  deps.db.write(() => undefined);
  await backend.terminate(handle, { graceSeconds: run.plan.compute.stopGraceSeconds, ...due });
  // kill point: stop/asked
  watch.asked(run);
  const at = isoTime(deps.clock.now());
  deps.db.write(() => noteStopRequested(deps.db, key, { at, reason: due.reason }));
  // kill point: stop/noted
}
