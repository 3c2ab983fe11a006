import { isoTime } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Worker, WorkerJob } from '../../core/rows.ts';
import { WORKER_ENDS } from '../../core/worker-lifecycle.ts';
import { letterSchema } from '../../pool/documents.ts';
import { readResult } from '../attempt-files.ts';
import { exited } from '../attempt-status.ts';
import type { BackendStatus, CallOptions, RunHandle, RunResult } from '../port.ts';
import { readStopNote } from '../stop-request.ts';
import { isSending } from './is-sending.ts';
import { tellConsole } from './machine-console.ts';
import { type MachineSign, machineSign } from './machine-sign.ts';
import type { GceDeps } from './options.ts';
import type { Puller } from './puller.ts';

/** A machine writes at least so often. */
const LETTER_MS = 20_000;
/** For so long the bucket is asked whether a machine has begun what nobody saw begin. */
const CLAIM_MS = 10_000;

/**
 * What is known here of an attempt on a rented machine. It waits for nothing that is far away, but where nobody has seen a
 * machine begin it: then the bucket must say that none has.
 */
export async function rentedStatus(
  deps: GceDeps & { puller: Puller },
  handle: RunHandle,
  call: CallOptions = {},
): Promise<BackendStatus> {
  try {
    return await look(deps, handle, call);
  } catch (error) {
    return unknown(messageOf(error));
  }
}

async function look(
  deps: GceDeps & { puller: Puller },
  handle: RunHandle,
  call: CallOptions,
): Promise<BackendStatus> {
  const folders = deps.layout.attempt(handle.runId, handle.attempt);
  const result = await readResult(folders, handle);
  if (result !== undefined) return exited(result);
  const { pool } = await deps.rented();
  let found = pool.find(handle);
  if (isWaiting(found)) {
    // Whether a machine begins it is the launch's own business; that one has may be news of an earlier life.
    if (!(await pool.hasBegun(handle, withinTime(call)))) return absent('waits for a machine');
    found = pool.find(handle);
  }
  if (found === undefined || found.job.outcome === 'called_off') return absent('not started');
  const { job, worker } = found;
  const sign = await machineSign(folders);
  const isStarting = sign.startedAt === null;
  const isOver = job.outcome !== null;
  const { error, waits, isEmpty, isSlow } = deps.puller.poke(handle, { isOver, isStarting });
  if (error !== undefined) return unknown(error);
  if (!isOver) {
    if (isSending(worker) || isSlow)
      return unwatched(isSlow ? 'fetching' : 'sending', sign.startedAt ?? job.claimedAt);
    return going(sign, waits ?? worker.state);
  }
  if (isEmpty) return exited({ kind: 'read', result: await lostResult(deps, { handle, job, worker, sign }) });
  // Its program does not run any more, and what it made is on the way.
  return unwatched(waits ?? 'ended', sign.startedAt ?? job.claimedAt);
}

/** Nobody has seen that its machine has begun it, or that it never will. */
function isWaiting(found: { job: WorkerJob } | undefined): boolean {
  return found !== undefined && found.job.outcome === null && found.job.claimedAt === null;
}

function withinTime({ signal }: CallOptions): { signal: AbortSignal } {
  const limit = AbortSignal.timeout(CLAIM_MS);
  return { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) };
}

/** Its program does not run any more, or it cannot be said here: nothing of it is to be judged by the time that passes. */
function unwatched(raw: string, startedAt: string | null): BackendStatus {
  return { phase: 'starting', raw, startedAt, result: null, error: null };
}

function going({ startedAt, endedRanks }: MachineSign, raw: string): BackendStatus {
  const phase = startedAt === null ? 'starting' : 'running';
  return { phase, raw, startedAt, result: null, error: null, endedRanks };
}

function absent(raw: string): BackendStatus {
  return { phase: 'absent', raw, startedAt: null, result: null, error: null };
}

function unknown(error: string): BackendStatus {
  return { phase: 'unknown', raw: 'unreadable', startedAt: null, result: null, error };
}

/** Of an attempt whose machine is gone and left no result: why that is, and whether it was asked to end. */
async function lostResult(
  deps: GceDeps,
  { handle, job, worker, sign }: { handle: RunHandle; job: WorkerJob; worker: Worker; sign: MachineSign },
): Promise<RunResult> {
  const { layout, clock } = deps;
  const note = await readStopNote(layout.attempt(handle.runId, handle.attempt));
  const why = job.reason === null ? undefined : WORKER_ENDS[job.reason];
  const isPreempted = job.reason === 'preempted';
  const { runId, attempt } = handle;
  const isAsked = note !== undefined || isPreempted;
  const said = isAsked ? undefined : await tellConsole(deps, { runId, attempt, workerId: worker.id });
  const gone = ['Its machine is gone.', why ?? 'Nobody knows why.', said].filter(
    (text) => text !== undefined,
  );
  return {
    schema: 1,
    runId,
    attempt,
    started: sign.startedAt !== null,
    exitCode: null,
    signal: note === undefined || sign.startedAt === null ? null : 'SIGKILL',
    stoppedBy: note?.reason ?? null,
    oom: false,
    rank: note?.because?.rank ?? 0,
    lost: note === undefined,
    error: note?.because?.message ?? gone.join(' '),
    startedAt: sign.startedAt,
    endedAt: lastSign(job, worker) ?? isoTime(clock.now()),
    ranSeconds: null,
    maxRssBytes: null,
    cpuSeconds: null,
    logBytes: 0,
    failedStep: isPreempted && note === undefined ? 'preempted' : null,
  };
}

/** As far as the machine told: nobody may have looked for hours, in which it did not run. */
function lastSign({ claimedAt, endedAt }: WorkerJob, { letter }: Worker): string | null {
  const told = letterSchema.safeParse(letter).data?.at;
  if (endedAt === null || claimedAt === null || told === undefined) return endedAt;
  const at = Date.parse(told) + LETTER_MS;
  return at > Date.parse(claimedAt) && at < Date.parse(endedAt) ? isoTime(at) : endedAt;
}
