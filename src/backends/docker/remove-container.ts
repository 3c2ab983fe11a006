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
