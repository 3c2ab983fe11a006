import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../os/files.ts';
import {
  isWrapperAlive,
  pathExists,
  readResult,
  readWrapper,
  STOP_REQUEST_FILE,
  type WrapperFile,
} from '../attempt-files.ts';
import type { RunHandle, StopRequest } from '../port.ts';
import { kill, killMarked } from './marked-processes.ts';
import { removeTree } from './materialise-inputs.ts';
import type { ProcessBackendOptions } from './options.ts';

type Options = Pick<ProcessBackendOptions, 'layout' | 'clock'>;

/** How long after the last moment of grace a run wrapper that does nothing is taken for deaf. */
const DEAF_MS = 5_000;
/** How long a run wrapper may take to end after its result. */
const ENDING_MS = 2_000;

/**
 * Leaves the request where the run wrapper finds it, then wakes the wrapper. A wrapper that has not started its
 * program yet will not start it. Where the wrapper is dead its program's remains are killed at once; where it does
 * not react (stopped, stuck) it is killed with everything below it after the grace period.
 */
export async function terminateAttempt(
  options: Options,
  handle: RunHandle,
  request: StopRequest,
): Promise<void> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  if (!(await pathExists(folders.dir)) || (await readResult(folders, handle))) return;
  await writeFileAtomic(join(folders.dir, STOP_REQUEST_FILE), JSON.stringify(request));
  const wrapper = await readWrapper(folders).catch(() => undefined);
  if (!isWrapperAlive(wrapper)) {
    await killMarked(options.clock, handle, { thorough: true });
    return;
  }
  kill(wrapper.pid, 'SIGTERM');
  void killIfDeaf(options, { handle, wrapper, graceSeconds: request.graceSeconds });
}

/** A program that watches `stop` has the grace period twice. Never rejects: nobody waits for it. */
async function killIfDeaf(
  options: Options,
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
    if (await readResult(folders, handle)) return;
    kill(wrapper.pid);
    await killMarked(clock, handle, { thorough: true });
  } catch {
    // Looking failed; the next terminate or cleanup looks again.
  }
}

/** Ends what is left and removes what only the program needed. Repeating it is harmless. */
export async function cleanUpAttempt(options: Options, handle: RunHandle): Promise<void> {
  const { clock } = options;
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  const wrapper = await readWrapper(folders).catch(() => undefined);
  const ended = (await readResult(folders, handle)) !== undefined;
  if (isWrapperAlive(wrapper)) {
    const ending = ended ? ENDING_MS : 0;
    const limit = clock.monotonic() + ending;
    while (isWrapperAlive(wrapper) && clock.monotonic() < limit) await clock.sleep(10);
    if (isWrapperAlive(wrapper)) kill(wrapper.pid);
  }
  await killMarked(clock, handle, { thorough: !ended });
  // Empty by now; the wrapper removes them itself unless it was killed.
  const groups = wrapper?.ranks.flatMap((rank) => rank.groups) ?? [];
  for (const group of groups) await rmdir(group).catch(() => undefined);
  const scratch = (wrapper?.ranks ?? []).map(({ rank }) => folders.rank(rank).temp);
  for (const path of [folders.inputs, `${folders.inputs}.unfinished`, folders.temp, ...scratch]) {
    await removeTree(path);
  }
}
