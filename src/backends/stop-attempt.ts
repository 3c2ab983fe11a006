import { rmdir } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { AttemptLayout, Layout } from '../core/layout.ts';
import {
  giveUp,
  isWrapperAlive,
  pathExists,
  readResult,
  readWrapper,
  type WrapperFile,
} from './attempt-files.ts';
import type { RunHandle, StopRequest } from './port.ts';
import { LAST_WORD_MS, noteKilled, noteStop, readStopNote, type StopNote } from './stop-request.ts';

export type StopOptions = {
  layout: Layout;
  clock: Clock;
  /** Ends at once, and without a run wrapper, whatever the attempt has running. */
  endAll: (handle: RunHandle) => Promise<unknown>;
};

/** How long after the moment by which a run wrapper has ended its programs one that has not is taken for deaf. */
const DEAF_MS = 5_000;
/** How long a run wrapper may take to end after its result. */
const ENDING_MS = 2_000;
/** How long a control group may be busy after the last of its processes was killed. */
const GROUP_MS = 1_000;

/** Attempts (by folder) whose run wrapper this process waits for. */
const waitedFor = new Set<string>();
/** When the wrappers of attempts (by folder) are taken for deaf, in milliseconds of each clock; `endBy`: of the request that says so. */
const deafAt = new WeakMap<Clock, Map<string, { at: number; endBy: string }>>();

/**
 * Leaves the request where the run wrapper finds it, then wakes the wrapper. A wrapper that has not started its
 * program yet will not start it. Where the wrapper is dead, what it left running is ended at once; where it does
 * not react (stopped, stuck) it is killed with everything it runs once its time is over, and the run ends by the
 * reason of the request. May be repeated, by another process too: the time of the first request counts.
 */
export async function stopAttempt(
  options: StopOptions,
  handle: RunHandle,
  request: StopRequest,
): Promise<void> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  if (!(await pathExists(folders.dir)) || (await hasResult(folders, handle))) return;
  const note = await noteStop(options.clock, folders, request);
  // kill point: stop/request-written
  const wrapper = await readWrapper(folders).catch(() => undefined);
  if (!isWrapperAlive(wrapper)) {
    await options.endAll(handle);
    return;
  }
  if (isOverdue(options.clock, folders, note)) return endDeaf(options, { handle, wrapper, note });
  kill(wrapper.pid, 'SIGTERM');
  void killIfDeaf(options, { handle, wrapper, note });
}

type Asked = { handle: RunHandle; wrapper: WrapperFile; note: StopNote };

/**
 * Whether a wrapper had all the time that the request gives it. What is left of that when a process first sees the request
 * is read from the wall clock, but never more than the whole; from then on it is the process's own time, which no jump and
 * no sleep of the machine shortens.
 */
function isOverdue(clock: Clock, { dir }: AttemptLayout, note: StopNote): boolean {
  const known = deafAt.get(clock) ?? new Map<string, { at: number; endBy: string }>();
  deafAt.set(clock, known);
  const before = known.get(dir);
  if (before?.endBy !== note.endBy) {
    const whole = note.graceSeconds * 1000 + LAST_WORD_MS;
    const left = Math.min(Math.max(0, Date.parse(note.endBy) - clock.now()), whole);
    const at = clock.monotonic() + left + DEAF_MS;
    known.set(dir, { at: Math.min(at, before?.at ?? at), endBy: note.endBy });
  }
  return clock.monotonic() > (known.get(dir)?.at ?? 0);
}

/** Waits for it in one place only. Never rejects: nobody waits for this; the next request or cleanup looks again. */
async function killIfDeaf(options: StopOptions, asked: Asked): Promise<void> {
  const { layout, clock } = options;
  const { handle, wrapper } = asked;
  const folders = layout.attempt(handle.runId, handle.attempt);
  if (waitedFor.has(folders.dir)) return;
  waitedFor.add(folders.dir);
  try {
    for (;;) {
      await clock.sleep(1_000);
      if (!isWrapperAlive(wrapper)) return;
      // A later request may have shortened its time.
      const note = (await readStopNote(folders)) ?? asked.note;
      if (isOverdue(clock, folders, note)) return await endDeaf(options, { ...asked, note });
    }
  } catch {
    // Looking failed.
  } finally {
    waitedFor.delete(folders.dir);
    deafAt.get(clock)?.delete(folders.dir);
  }
}

async function endDeaf(options: StopOptions, { handle, wrapper, note }: Asked): Promise<void> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  if (await hasResult(folders, handle)) return;
  await noteKilled(options.clock, folders, note);
  kill(wrapper.pid);
  await options.endAll(handle);
}

/**
 * Sees the run wrapper off, killing it where it has no result yet; one that nobody can see yet will start nothing.
 * Repeating it is harmless.
 */
export async function endWrapper(
  options: Pick<StopOptions, 'layout' | 'clock'>,
  handle: RunHandle,
): Promise<{ ended: boolean; wrapper: WrapperFile | undefined }> {
  const { clock } = options;
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  const ended = await hasResult(folders, handle);
  if (!ended) await giveUp(folders);
  const wrapper = await readWrapper(folders).catch(() => undefined);
  if (isWrapperAlive(wrapper)) {
    const limit = clock.monotonic() + (ended ? ENDING_MS : 0);
    while (isWrapperAlive(wrapper) && clock.monotonic() < limit) await clock.sleep(10);
    if (isWrapperAlive(wrapper)) kill(wrapper.pid);
  }
  return { ended, wrapper };
}

/**
 * Empty by then, or (`clock`) within a second, when the last killed process is gone. The wrapper removes them itself
 * unless it was killed.
 */
export async function removeGroups(wrapper: WrapperFile | undefined, clock?: Clock): Promise<void> {
  const groups = wrapper?.ranks.flatMap((rank) => rank.groups) ?? [];
  for (const group of groups) {
    const limit = clock ? clock.monotonic() + GROUP_MS : 0;
    while ((await isBusy(group)) && clock && clock.monotonic() < limit) await clock.sleep(5);
  }
}

async function isBusy(group: string): Promise<boolean> {
  return rmdir(group).then(
    () => false,
    (error: unknown) => errnoOf(error) === 'EBUSY',
  );
}

/** Whether the run wrapper has said its last word. What cannot be read is not it. */
async function hasResult(folders: AttemptLayout, handle: RunHandle): Promise<boolean> {
  return (await readResult(folders, handle))?.kind === 'read';
}

export function kill(pid: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
