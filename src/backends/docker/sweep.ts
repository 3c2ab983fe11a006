import { isWrapperAlive, pathExists, readWrapper, wasTaken } from '../attempt-files.ts';
import { LABELS } from './container.ts';
import type { ContainerFacts } from './engine.ts';
import type { DockerDeps } from './options.ts';
import { removeContainer } from './remove-container.ts';

/**
 * Removes what ended attempts and trials of this project have left in the engine: containers that could not be removed
 * while the engine was away, or of a trial whose process was killed. One that somebody still looks after stays.
 */
export async function sweep(deps: DockerDeps): Promise<void> {
  const engine = await deps.engine();
  const label = [`${LABELS.project}=${deps.project}`];
  for (const container of await engine.listContainers({ all: true, filters: { label } })) {
    if (await isLeftOver(deps, container)) await removeContainer(engine, container.Id);
  }
}

async function isLeftOver({ layout }: DockerDeps, { Labels, State }: ContainerFacts): Promise<boolean> {
  const run = Labels[LABELS.run];
  // A trial lasts a second, and is removed by whoever made it.
  if (run === undefined) return State === 'exited' || State === 'dead';
  const folders = layout.attempt(run, Number(Labels[LABELS.attempt]));
  if (!(await pathExists(folders.dir))) return true;
  return (await wasTaken(folders)) && !isWrapperAlive(await readWrapper(folders));
}
