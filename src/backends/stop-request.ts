import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, isoTime } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import { parseJson } from '../core/json.ts';
import type { AttemptLayout } from '../core/layout.ts';
import { writeFileAtomic } from '../os/files.ts';
import type { WrapperFile } from './attempt-files.ts';
import type { RunHandle, RunResult, StopRequest } from './port.ts';

const STOP_REQUEST_FILE = 'stop-request.json';
/** What a program that watches `stop` has after the grace period: LAST_WORD_SECONDS of runtime/wrapper_rank.py. */
export const LAST_WORD_MS = 1_000;

const time = z.iso.datetime();
const noteSchema = z.object({
  reason: z.enum(['cancel', 'timeout', 'heartbeat', 'monitor']),
  /** The shortest that was asked for. */
  graceSeconds: z.number().nonnegative(),
  because: z.object({ rank: z.number().int(), message: z.string() }).optional(),
  /** Of the first request. */
  requestedAt: time,
  /** By then a run wrapper that hears has ended its programs. */
  endBy: time,
  /** Set before a run wrapper that does not hear is killed. */
  killedAt: time.optional(),
});
export type StopNote = z.infer<typeof noteSchema>;

/** The request to stop that lies in the attempt's folder, for the run wrapper and for later lives of the supervisor. */
export async function readStopNote(folders: AttemptLayout): Promise<StopNote | undefined> {
  try {
    return noteSchema.safeParse(parseJson(await readFile(join(folders.dir, STOP_REQUEST_FILE), 'utf8'))).data;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Adds a request to those before it: reason and time of the first stay, a later one can only shorten the grace
 * period. The same one again changes nothing.
 */
export async function noteStop(
  clock: Clock,
  folders: AttemptLayout,
  request: StopRequest,
): Promise<StopNote> {
  const before = await readStopNote(folders);
  const now = clock.now();
  const endBy = isoTime(now + request.graceSeconds * 1000 + LAST_WORD_MS);
  const note: StopNote = before
    ? {
        ...before,
        graceSeconds: Math.min(before.graceSeconds, request.graceSeconds),
        endBy: before.endBy < endBy ? before.endBy : endBy,
      }
    : { ...request, requestedAt: isoTime(now), endBy };
  if (JSON.stringify(note) !== JSON.stringify(before)) await writeNote(folders, note);
  return note;
}

export async function noteKilled(clock: Clock, folders: AttemptLayout, note: StopNote): Promise<void> {
  if (note.killedAt === undefined) await writeNote(folders, { ...note, killedAt: isoTime(clock.now()) });
}

/**
 * The result of an attempt whose run wrapper we had to kill, because it did not carry out a stop: that it was stopped
 * is known, and why. Whether its program had begun when the wrapper fell silent is not; it counts as stopped.
 */
export function resultOfKilled(
  handle: RunHandle,
  wrapper: WrapperFile,
  note: StopNote & { killedAt: string },
): RunResult {
  return {
    schema: 1,
    runId: handle.runId,
    attempt: handle.attempt,
    started: true,
    exitCode: null,
    signal: 'SIGKILL',
    stoppedBy: note.reason,
    oom: false,
    rank: note.because?.rank ?? 0,
    lost: false,
    error: note.because?.message ?? null,
    startedAt: wrapper.startedAt,
    endedAt: note.killedAt,
    ranSeconds: null,
    maxRssBytes: null,
    cpuSeconds: null,
    logBytes: 0,
  };
}

function writeNote(folders: AttemptLayout, note: StopNote): Promise<void> {
  return writeFileAtomic(join(folders.dir, STOP_REQUEST_FILE), JSON.stringify(note));
}
