import type { Engine } from './engine.ts';
import { isMissing, statusOf } from './engine-error.ts';

/** With whatever runs in it. One that is not there, or is being removed already, is no error. */
export async function removeContainer(engine: Engine, name: string): Promise<void> {
  try {
    await engine.getContainer(name).remove({ force: true, v: true });
  } catch (error) {
    if (!isMissing(error) && statusOf(error) !== 409) throw error;
  }
}

/** Unless something runs in it: then the engine refuses with 409. One that is not there is no error. */
export async function removeIdleContainer(engine: Engine, name: string): Promise<void> {
  try {
    await engine.getContainer(name).remove({ force: false, v: true });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
