import { readdir, readFile } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { processStart } from '../os/process-identity.ts';
import type { WrapperFile } from './attempt-files.ts';
import type { RunHandle } from './port.ts';
import { recordedProcesses } from './recorded-processes.ts';
import { kill } from './stop-attempt.ts';

const POLL_MS = 10;

/** A process between two programs (execve) has no environment to read for a moment. */
const EMPTY_LOOKS = 3;

/**
 * Kills whatever carries the attempt's mark in its environment: programs of a run wrapper that was killed, daemons
 * with a session of their own. Returns when nothing is left, or after `limitMs`; true when nothing is.
 * `thorough` where no wrapper has done the same before; then `wrapper`, what it wrote of itself, also leads to
 * programs that gave up their environment.
 */
export async function killMarked(
  clock: Clock,
  handle: Pick<RunHandle, 'runId' | 'attempt'>,
  {
    thorough,
    wrapper,
    limitMs = 5_000,
  }: { thorough: boolean; wrapper?: WrapperFile | undefined; limitMs?: number },
): Promise<boolean> {
  const limit = clock.monotonic() + limitMs;
  let empty = thorough ? 0 : EMPTY_LOOKS - 1;
  for (;;) {
    const recorded = thorough && wrapper ? await recordedProcesses(handle, wrapper) : [];
    const found = [...(await markedProcesses(handle)), ...recorded];
    empty = found.length === 0 ? empty + 1 : 0;
    if (empty >= EMPTY_LOOKS) return true;
    if (clock.monotonic() > limit) return false;
    for (const pid of found) kill(pid);
    await clock.sleep(POLL_MS);
  }
}

/** The same, where nothing may live on. Errors: BACKEND_UNAVAILABLE while something does that could still write. */
export async function endMarked(...asked: Parameters<typeof killMarked>): Promise<void> {
  if (await killMarked(...asked)) return;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'Processes of the run live on: they could not be ended within 5 s.',
    hint: 'They may wait for a disk that does not answer. It is tried again.',
    retryable: true,
  });
}

async function markedProcesses(handle: Pick<RunHandle, 'runId' | 'attempt'>): Promise<number[]> {
  const mark = [`GOLDFISH_RUN_ID=${handle.runId}`, `GOLDFISH_ATTEMPT=${handle.attempt}`];
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    if (pid === process.pid) continue;
    // Unreadable for others' processes, empty for kernel threads and zombies.
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    const entries = environment.split('\0');
    if (mark.every((entry) => entries.includes(entry)) && processStart(pid) !== undefined) found.push(pid);
  }
  return found;
}
