import { lstat, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf } from '../core/errors.ts';
import { parseJson } from '../core/json.ts';
import type { AttemptLayout } from '../core/layout.ts';
import { isProcessAlive } from '../os/process-identity.ts';
import type { ResultReading, RunHandle, RunResult } from './port.ts';

const count = z.number().nonnegative().nullable();
const resultSchema: z.ZodType<RunResult> = z
  .object({
    schema: z.literal(1),
    runId: z.string(),
    attempt: z.number().int(),
    started: z.boolean(),
    exitCode: z.number().int().min(0).max(255).nullable(),
    signal: z.string().nullable(),
    stoppedBy: z.enum(['cancel', 'timeout', 'heartbeat', 'monitor']).nullable(),
    oom: z.boolean(),
    // Wrappers knew neither before there were ranks; what one of those started may still run, or have ended unseen.
    rank: z.number().int().nonnegative().default(0),
    lost: z.boolean().default(false),
    error: z.string().nullable(),
    errno: z.string().nullable().default(null),
    startedAt: z.string().nullable(),
    endedAt: z.string(),
    ranSeconds: count.default(null),
    maxRssBytes: count,
    cpuSeconds: count,
    logBytes: z.number().nonnegative(),
    failedStep: z.string().nullable().default(null),
  })
  .refine(({ started, lost, exitCode, signal }) => {
    return !started || lost || (exitCode === null) !== (signal === null);
  });

/**
 * `process`: the program, leader of a session of its own. `groups`: control groups that the wrapper made around a rank, and removes unless it is killed. `ended`: whether the
 * rank has ended while others run.
 */
const wrapperSchema = z.object({
  pid: z.number().int().positive(),
  start: z.string(),
  bootId: z.string(),
  startedAt: z.string().nullable(),
  ranks: z
    .array(
      z.object({
        rank: z.number().int(),
        groups: z.array(z.string()),
        ended: z.boolean(),
        process: z.object({ pid: z.number().int().positive(), start: z.string() }).nullish(),
      }),
    )
    .default([]),
});
export type WrapperFile = z.infer<typeof wrapperSchema>;

/** Files of an attempt that only backends with a run wrapper know. */
const STARTED_FILE = 'started';
const GIVEN_UP_FILE = 'given-up';
export const WRAPPER_ERRORS_FILE = 'wrapper.err';

/** Errors of which looking again makes no difference. Any other (EIO, EMFILE, ENOMEM, …) says nothing of the file. */
const LASTING: ReadonlySet<string> = new Set(['EISDIR', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP']);

/**
 * The result document, or undefined while there is none. A document of another run or attempt is garbled.
 * Throws where it could not be looked at: that is no evidence of anything.
 */
export async function readResult(
  folders: AttemptLayout,
  handle: Pick<RunHandle, 'runId' | 'attempt'>,
): Promise<ResultReading | undefined> {
  let text: string;
  try {
    text = await readFile(folders.result, 'utf8');
  } catch (error) {
    const errno = errnoOf(error) ?? 'unknown';
    if (errno === 'ENOENT') return undefined;
    const detail = `The result document cannot be read (${errno}).`;
    if (!LASTING.has(errno)) throw new Error(detail, { cause: error });
    return { kind: 'unreadable', detail, errno };
  }
  const parsed = resultSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    return {
      kind: 'garbled',
      detail: `The result document is damaged: ${text.length} characters that make no sense.`,
    };
  }
  const { runId, attempt } = parsed.data;
  if (runId !== handle.runId || attempt !== handle.attempt) {
    return { kind: 'garbled', detail: 'The result document belongs to another run or attempt.' };
  }
  return { kind: 'read', result: parsed.data };
}

/**
 * What the run wrapper said of itself; undefined where it has not. The file is renamed into place, so it is damaged
 * only when the machine went down, and then nothing it could describe lives. Throws where it cannot be read.
 */
export async function readWrapper(folders: AttemptLayout): Promise<WrapperFile | undefined> {
  try {
    return wrapperSchema.safeParse(parseJson(await readFile(folders.wrapper, 'utf8'))).data;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new Error(`what the run wrapper wrote of itself cannot be read (${errnoOf(error) ?? 'unknown'})`);
  }
}

export function isWrapperAlive(wrapper: WrapperFile | undefined): wrapper is WrapperFile {
  return wrapper !== undefined && isProcessAlive(wrapper);
}

/** True once a wrapper has taken the attempt, whatever became of it: it is never executed again. */
export function wasTaken(folders: AttemptLayout): Promise<boolean> {
  return pathExists(join(folders.dir, STARTED_FILE));
}

/**
 * Tells a run wrapper that has taken the attempt and not said so yet to start no program: it is taken for dead. As far as
 * the disk lets it be written.
 */
export async function giveUp(folders: AttemptLayout): Promise<void> {
  await writeFile(join(folders.dir, GIVEN_UP_FILE), '').catch(() => undefined);
}

export async function pathExists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}
