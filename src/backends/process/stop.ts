import { killMarked } from '../marked-processes.ts';
import { removeTree } from '../materialise-inputs.ts';
import type { RunHandle, StopRequest } from '../port.ts';
import { endWrapper, removeGroups, stopAttempt } from '../stop-attempt.ts';
import type { ProcessBackendOptions } from './options.ts';

type Options = Pick<ProcessBackendOptions, 'layout' | 'clock'>;

/** Asks the run wrapper; where it cannot do it, the attempt's processes are killed. */
export function terminateAttempt(options: Options, handle: RunHandle, request: StopRequest): Promise<void> {
  const endAll = (): Promise<unknown> => killMarked(options.clock, handle, { thorough: true });
  return stopAttempt({ ...options, endAll }, handle, request);
}

/** Ends what is left and removes what only the program needed. Repeating it is harmless. */
export async function cleanUpAttempt(options: Options, handle: RunHandle): Promise<void> {
  const folders = options.layout.attempt(handle.runId, handle.attempt);
  const { ended, wrapper } = await endWrapper(options, handle);
  await killMarked(options.clock, handle, { thorough: !ended });
  await removeGroups(wrapper);
  const scratch = (wrapper?.ranks ?? []).map(({ rank }) => folders.rank(rank).temp);
  for (const path of [folders.inputs, `${folders.inputs}.unfinished`, folders.temp, ...scratch]) {
    await removeTree(path);
  }
}
