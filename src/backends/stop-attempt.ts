import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { AttemptLayout, Layout } from '../core/layout.ts';
import { writeFileAtomic } from '../os/files.ts';
import {
  isWrapperAlive,
  pathExists,
  readResult,
  readWrapper,
  STOP_REQUEST_FILE,
  type WrapperFile,
} from './attempt-files.ts';
import type { RunHandle, StopRequest } from './port.ts';

export type StopOptions = {
  layout: Layout;
  clock: Clock;
  /** Ends at once, and without a run wrapper, whatever the attempt has running. */
  endAll: (handle: RunHandle) => Promise<unknown>;
};

/** How long after the last moment of grace a run wrapper that does nothing is taken for deaf. */
const DEAF_MS = 5_000;
/** How long a run wrapper may take to end after its result. */
const ENDING_MS = 2_000;

/**
 * Leaves the request where the run wrapper finds it, then wakes the wrapper. A wrapper that has not started its
 * program yet will not start it. Where the wrapper is dead, what it left running is ended at once; where it does
 * not react (stopped, stuck) it is killed with everything it runs after the grace period.
 */
export async function stopAttempt(
  options: StopOptions,
  handle: RunHandle,
  request: StopRequest,
): Promise<void> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  if (!(await pathExists(folders.dir)) || (await hasResult(folders, handle))) return;
  await writeFileAtomic(join(folders.dir, STOP_REQUEST_FILE), JSON.stringify(request));
  const wrapper = await readWrapper(folders).catch(() => undefined);
  if (!isWrapperAlive(wrapper)) {
    await options.endAll(handle);
    return;
  }
  kill(wrapper.pid, 'SIGTERM');
  void killIfDeaf(options, { handle, wrapper, graceSeconds: request.graceSeconds });
}

/** A program that watches `stop` has the grace period twice. Never rejects: nobody waits for it. */
async function killIfDeaf(
  options: StopOptions,
  asked: { handle: RunHandle; wrapper: WrapperFile; graceSeconds: number },
): Promise<void> {
  const { layout, clock } = options;
  const { handle, wrapper, graceSeconds } = asked;
  const limit = clock.monotonic() + graceSeconds * 2000 + DEAF_MS;
  try {
    while (clock.monotonic() < limit) {
      await clock.sleep(Math.min(1_000, DEAF_MS));
      if (!isWrapperAlive(wrapper)) return;
    }
    const folders = layout.attempt(handle.runId, handle.attempt);
    if (await hasResult(folders, handle)) return;
    kill(wrapper.pid);
    await options.endAll(handle);
  } catch {
    // Looking failed; the next terminate or cleanup looks again.
  }
}

/** Sees the run wrapper off, killing it where it has no result yet. Repeating it is harmless. */
export async function endWrapper(
  options: Pick<StopOptions, 'layout' | 'clock'>,
  handle: RunHandle,
): Promise<{ ended: boolean; wrapper: WrapperFile | undefined }> {
  const { clock } = options;
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  const wrapper = await readWrapper(folders).catch(() => undefined);
  const ended = await hasResult(folders, handle);
  if (isWrapperAlive(wrapper)) {
    const limit = clock.monotonic() + (ended ? ENDING_MS : 0);
    while (isWrapperAlive(wrapper) && clock.monotonic() < limit) await clock.sleep(10);
    if (isWrapperAlive(wrapper)) kill(wrapper.pid);
  }
  return { ended, wrapper };
}

/** Empty by then; the wrapper removes them itself unless it was killed. */
export async function removeGroups(wrapper: WrapperFile | undefined): Promise<void> {
  const groups = wrapper?.ranks.flatMap((rank) => rank.groups) ?? [];
  for (const group of groups) await rmdir(group).catch(() => undefined);
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
