import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { assetPath } from '../core/assets.ts';
import type { Clock } from '../core/clock.ts';
import { errnoOf, GoldfishError, isGoldfishError } from '../core/errors.ts';
import type { AttemptLayout } from '../core/layout.ts';
import { clip } from '../core/names.ts';
import { hiddenWords } from '../core/redact.ts';
import { withLock } from '../store/lock.ts';
import { readResult, WRAPPER_ERRORS_FILE, wasTaken } from './attempt-files.ts';
import { diskFull } from './disk-full.ts';
import type { RunHandle, RunSpec } from './port.ts';
import type { RankSpec, WrapperSpec } from './wrapper-spec.ts';

export const WRAPPER = assetPath('runtime/run_wrapper.py');
const answerSchema = z.object({ took: z.boolean(), why: z.string().optional() });
type Answer = z.infer<typeof answerSchema>;

export type WrapperStart = {
  clock: Clock;
  spec: RunSpec;
  handle: RunHandle;
  folders: AttemptLayout;
  /** The interpreter that runs the wrapper: Python 3.8 or newer. */
  python: string;
  /** PATH of the wrapper. */
  path: string;
  /** Makes folders and documents of the attempt, which may be there already from a start that was cut short. */
  prepare: () => Promise<RankSpec[]>;
  signal?: AbortSignal | undefined;
};

/**
 * Prepares the attempt and starts its run wrapper; resolves when the wrapper has taken the job. An attempt that was
 * ever taken is never started again. Errors: those of `prepare`, BACKEND_UNAVAILABLE, STORAGE_UNAVAILABLE.
 */
export async function startAttempt(start: WrapperStart): Promise<void> {
  const { clock, spec, handle, folders, signal } = start;
  const waiting = { clock, what: 'this run', ...(signal ? { signal } : {}) };
  try {
    await withLock(join(folders.dir, 'launch.lock'), waiting, async () => {
      if ((await wasTaken(folders)) || (await readResult(folders, handle))) return;
      const document: WrapperSpec = {
        schema: 2,
        runId: spec.runId,
        attempt: spec.attempt,
        timeoutSeconds: spec.timeoutSeconds,
        stopGraceSeconds: spec.stopGraceSeconds,
        wakeSocket: spec.wakeSocket,
        ranks: await start.prepare(),
      };
      // kill point: launch/folder-prepared
      await replaceFile(folders.spec, JSON.stringify(document), 0o600);
      // kill point: launch/spec-written
      signal?.throwIfAborted();
      await startWrapper(start);
    });
  } catch (error) {
    throw startError(error);
  }
}

/** Atomic for a program that reads at the same moment. Not durable: after a power cut it is written again. */
export async function replaceFile(file: string, content: string, mode: number): Promise<void> {
  const temporary = `${file}.unfinished`;
  await rm(temporary, { force: true });
  await writeFile(temporary, content, { mode, flag: 'wx' });
  await rename(temporary, file);
}

/** What the wrapper reads from its pipe: the secrets, and what it takes out of the log because of them. */
export function wrapperRequest(secrets: Readonly<Record<string, string>>): string {
  return JSON.stringify({ secrets, hidden: hiddenWords(Object.values(secrets)) });
}

/** What is slow here is a disk; a wrapper that has not answered by then is taken for stuck. */
const ANSWER_MS = 60_000;

/** The wrapper gets the secrets through a pipe, answers one line, and from then on depends on nobody. */
async function startWrapper(start: WrapperStart): Promise<void> {
  const { python, path, folders, spec } = start;
  const errors = join(folders.dir, WRAPPER_ERRORS_FILE);
  const errorFile = await open(errors, 'a', 0o600);
  try {
    const child = spawn(python, ['-I', '-S', '-B', WRAPPER, folders.dir], {
      // A session of its own, and no folder held: it outlives us.
      detached: true,
      cwd: '/',
      env: { PATH: path, LANG: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', errorFile.fd],
    });
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const { stdin, stdout } = child;
    if (!stdin || !stdout) throw new Error('a pipe to the run wrapper is missing');
    // A wrapper that ended before it read everything says why in its answer.
    stdin.on('error', () => undefined);
    stdin.end(wrapperRequest(spec.secrets));
    child.unref();
    // kill point: launch/wrapper-started
    const line = await patiently(start, Promise.race([text(stdout), failed]));
    if (line === undefined) return await giveUp(start, child);
    const answer = parseAnswer(line);
    if (answer?.took || answer?.why === 'already taken') return;
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `The program that runs stages did not start: ${clip(answer?.why ?? (await lastLine(errors)), 200)}.`,
      hint: 'Look at the disk’s free space and at the interpreter named by process.python, then retry.',
      retryable: true,
    });
  } finally {
    await errorFile.close();
  }
}

/** The answer; undefined where nobody waits for it any more: the caller has gone, or it takes too long. */
async function patiently<T>({ clock, signal }: WrapperStart, answer: Promise<T>): Promise<T | undefined> {
  const arrived = new AbortController();
  const signals = signal ? [signal, arrived.signal] : [arrived.signal];
  const patience = clock.sleep(ANSWER_MS, { signal: AbortSignal.any(signals) }).then(() => undefined);
  try {
    return await Promise.race([answer, patience]);
  } finally {
    arrived.abort();
  }
}

/**
 * A wrapper that has taken the job is left alone: the attempt is started, and its status tells the rest. One that has
 * not is killed, so that it cannot take it later. It is stopped for the look, so that it cannot take it meanwhile.
 */
async function giveUp({ folders, signal }: WrapperStart, child: ChildProcess): Promise<void> {
  child.stdout?.destroy();
  signalGroup(child.pid, 'SIGSTOP');
  const taken = await wasTaken(folders).catch(() => true);
  signalGroup(child.pid, taken ? 'SIGCONT' : 'SIGKILL');
  signal?.throwIfAborted();
  if (taken) return;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The program that runs stages did not answer within ${ANSWER_MS / 1000} s.`,
    hint: 'Look at the disk of the project and at the interpreter named by process.python. It is tried again.',
    retryable: true,
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function parseAnswer(line: string): Answer | undefined {
  try {
    return answerSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

async function lastLine(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
  return lines.at(-1) || 'it ended without a word';
}

/** Errors of the file system in words for people; others as they are. */
export function startError(error: unknown): unknown {
  if (isGoldfishError(error) || (error instanceof Error && error.name === 'AbortError')) return error;
  const full = diskFull(error, 'the run could not be prepared');
  if (full) return full;
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The run could not be prepared (${errnoOf(error) ?? 'unknown'}).`,
    hint: 'Look at the supervisor’s log, then retry.',
    retryable: true,
    cause: error,
  });
}
