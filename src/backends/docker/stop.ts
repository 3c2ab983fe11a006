import { isGoldfishError } from '../../core/errors.ts';
import { LABELS } from '../container.ts';
import { endMarked } from '../marked-processes.ts';
import { removeScratch } from '../materialise-inputs.ts';
import type { CleanupAnswer, RunHandle, StopRequest } from '../port.ts';
import { endWrapper, stopAttempt } from '../stop-attempt.ts';
import { engineError, statusOf } from './engine-error.ts';
import { requireEngineOf } from './engine-of-run.ts';
import type { DockerDeps } from './options.ts';
import { removeContainer } from './remove-container.ts';

/** States of a container in which something runs. */
const LIVING: ReadonlySet<string> = new Set(['running', 'paused', 'restarting']);

/** Asks the run wrapper; where it cannot do it, the attempt's containers are removed with all that runs in them. */
export function terminateAttempt(deps: DockerDeps, handle: RunHandle, request: StopRequest): Promise<void> {
  return stopAttempt({ ...deps, endAll: () => removeContainers(deps, handle) }, handle, request);
}

/** Ends what is left and removes what only the program needed. Repeating it is harmless. */
export async function cleanUpAttempt(deps: DockerDeps, handle: RunHandle): Promise<CleanupAnswer> {
  const folders = deps.layout.attempt(handle.runId, handle.attempt);
  const { wrapper } = await endWrapper(deps, handle);
  const answer = await removeContainers(deps, handle);
  const scratch = (wrapper?.ranks ?? []).map(({ rank }) => folders.rank(rank).temp);
  await removeScratch([folders.inputs, folders.temp, ...scratch], (error) => {
    deps.log?.warn({ run: handle.runId, err: error }, 'scratch of a run could not be removed');
  });
  return answer;
}

/**
 * Every container of the attempt, found by its labels, so also one that a crash left before anybody wrote of it. One
 * that is dead and cannot be removed now (its files are busy) is left for later: only what lives is waited for.
 * Where the engine is dead its containers may live on until it is started again: then their processes are killed. That
 * a container is gone only the engine can say.
 */
async function removeContainers(deps: DockerDeps, handle: RunHandle): Promise<CleanupAnswer> {
  const label = [
    `${LABELS.project}=${deps.project}`,
    `${LABELS.run}=${handle.runId}`,
    `${LABELS.attempt}=${handle.attempt}`,
  ];
  try {
    await requireEngineOf(deps, handle);
    const engine = await deps.engine();
    const found = await engine.listContainers({ all: true, filters: { label } });
    const tried = await Promise.allSettled(found.map(({ Id }) => removeContainer(engine, Id)));
    const failed = tried.find((removal) => removal.status === 'rejected');
    if (failed === undefined) return 'released';
    const left = await engine.listContainers({ all: true, filters: { label } });
    if (left.some(({ State }) => LIVING.has(State))) throw failed.reason;
    if (left.length === 0) return 'released';
    const fields = { run: handle.runId, err: failed.reason };
    deps.log?.warn(fields, 'a container in which nothing runs could not be removed yet');
    return 'unconfirmed';
  } catch (error) {
    if (statusOf(error) !== undefined) throw engineError(error, 'remove the run’s containers');
    await endMarked(deps.clock, handle, { thorough: true });
    // Its container is where we may not look: it is not to be forgotten.
    if (isGoldfishError(error)) throw error;
    return 'unconfirmed';
  }
}
