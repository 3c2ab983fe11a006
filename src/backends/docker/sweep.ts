import { z } from 'zod';
import { isProcessAlive } from '../../os/process-identity.ts';
import { isWrapperAlive, pathExists, readWrapper, wasTaken } from '../attempt-files.ts';
import { LABELS } from '../container.ts';
import type { ContainerFacts } from './engine.ts';
import type { DockerDeps } from './options.ts';
import { removeContainer } from './remove-container.ts';

/** A container that is to be started is started within moments. */
const YOUNG_MS = 10 * 60_000;
/** What was too young the last time is to be found while this process lives. */
const EVERY_MS = 15 * 60_000;

export type SweepDeps = Pick<DockerDeps, 'engine' | 'project' | 'layout' | 'clock' | 'log'>;

/**
 * Removes what ended attempts and trials of this project have left in the engine: containers that could not be removed
 * while the engine was away, or of a launch or trial whose process was killed. One that somebody may still look after
 * stays. Errors: those of the engine, where it cannot be asked at all.
 */
export async function sweep(deps: SweepDeps): Promise<void> {
  const engine = await deps.engine();
  const label = [`${LABELS.project}=${deps.project}`];
  for (const container of await engine.listContainers({ all: true, filters: { label } })) {
    try {
      if (await isLeftOver(deps, container)) await removeContainer(engine, container.Id);
    } catch (error) {
      deps.log?.warn({ container: container.Id, err: error }, 'a container that is left over stays for now');
    }
  }
}

async function isLeftOver({ layout, clock }: SweepDeps, container: ContainerFacts): Promise<boolean> {
  const old = clock.now() - container.Created * 1000 > YOUNG_MS;
  const run = container.Labels[LABELS.run];
  // A trial is removed by whoever made it, and still asked for how it ended.
  if (run === undefined) return !isMakerAlive(container.Labels[LABELS.maker]) || old;
  const folders = layout.attempt(run, Number(container.Labels[LABELS.attempt]));
  if (!(await pathExists(folders.dir))) return true;
  const wrapper = (await wasTaken(folders)) ? await readWrapper(folders) : undefined;
  // Not taken yet, or taken by a wrapper that has not said yet who it is: perhaps it is about to be started.
  return wrapper === undefined ? old : !isWrapperAlive(wrapper);
}

const makerSchema = z.strictObject({ pid: z.number(), start: z.string(), bootId: z.string() });

/** True where nobody said who it is: then only its age tells. */
function isMakerAlive(label: string | undefined): boolean {
  try {
    return isProcessAlive(makerSchema.parse(JSON.parse(label ?? '')));
  } catch {
    return true;
  }
}

/** Sweeps when first called and again after some time; resolves when that is done. Never rejects. */
export function sweepNowAndThen(deps: SweepDeps): () => Promise<void> {
  let last: { at: number; done: Promise<void> } | undefined;
  return async () => {
    const now = deps.clock.monotonic();
    if (last === undefined || now - last.at > EVERY_MS) {
      const done = sweep(deps).catch(() => {
        last = undefined;
      });
      last = { at: now, done };
    }
    await last.done;
  };
}
