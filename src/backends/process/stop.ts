import { readWrapper } from '../attempt-files.ts';
import { endMarked } from '../marked-processes.ts';
import { removeScratch } from '../materialise-inputs.ts';
import type { CleanupAnswer, RunHandle, StopRequest } from '../port.ts';
import { endWrapper, removeGroups, stopAttempt } from '../stop-attempt.ts';
import type { ProcessBackendOptions } from './options.ts';

type Options = Pick<ProcessBackendOptions, 'layout' | 'clock'>;

/** Asks the run wrapper; where it cannot do it, the attempt's processes are killed. */
export function terminateAttempt(options: Options, handle: RunHandle, request: StopRequest): Promise<void> {
  const endAll = async (): Promise<void> => {
    const folders = options.layout.attempt(handle.runId, handle.attempt);
    const wrapper = await readWrapper(folders).catch(() => undefined);
    await endMarked(options.clock, handle, { thorough: true, wrapper });
  };
  return stopAttempt({ ...options, endAll }, handle, request);
}

/**
 * Ends what is left and removes what only the program needed. Repeating it is harmless.
 * Errors: BACKEND_UNAVAILABLE while something lives that could still write.
 */
export async function cleanUpAttempt(options: Options, handle: RunHandle): Promise<CleanupAnswer> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  const { ended, wrapper } = await endWrapper(options, handle);
  await endMarked(options.clock, handle, { thorough: !ended, wrapper });
  await removeGroups(wrapper, options.clock);
  const scratch = (wrapper?.ranks ?? []).map(({ rank }) => folders.rank(rank).temp);
  await removeScratch([folders.inputs, `${folders.inputs}.unfinished`, folders.temp, ...scratch]);
  return 'released';
}
