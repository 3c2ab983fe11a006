import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { GoldfishError } from '../../core/errors.ts';
import type { Layout } from '../../core/layout.ts';
import { withLock } from '../../store/lock.ts';
import type { ContextEntry, ImageBuilder, ImageRecipe } from '../image-builder.ts';
import type { CallOptions } from '../port.ts';
import { packContext } from './build-context.ts';
import { type BuildFailure, followBuild } from './build-output.ts';
import { buildProblem } from './build-problem.ts';
import type { Engine } from './engine.ts';
import { engineError, engineSays, isMissing, statusOf } from './engine-error.ts';
import { pushImage } from './push-image.ts';

/** A build that takes longer is somebody else's whose end is waited for in vain. */
const LOCK_WAIT_MS = 60 * 60_000;

type BuilderOptions = {
  engine: (kind?: 'patient') => Promise<Engine>;
  layout: Pick<Layout, 'images'>;
  clock: Clock;
};
type BuildCall = CallOptions & { onLine: (text: string) => void };

/** Builds with the engine's own builder, on this machine, and lets the engine push. */
export function createImageBuilder(options: BuilderOptions): ImageBuilder {
  return {
    build: async (recipe, call) => {
      const there = await imageId(options.engine, recipe.name);
      if (there !== null) return { id: there, found: true };
      const waiting = { clock: options.clock, waitMs: LOCK_WAIT_MS, what: 'the image' };
      const turn = { ...waiting, ...(call.signal ? { signal: call.signal } : {}) };
      return withLock(join(options.layout.images, `${recipe.name}.lock`), turn, async () => {
        const made = await imageId(options.engine, recipe.name);
        if (made !== null) return { id: made, found: true };
        await buildImage(options, recipe, call);
        const id = await imageId(options.engine, recipe.name);
        if (id === null) throw vanished();
        return { id, found: false };
      });
    },
    push: (image, call) => pushImage(options.engine, image, call),
  };
}

/** What the name points to now; null where there is no such image. */
export async function imageId(engine: () => Promise<Engine>, name: string): Promise<string | null> {
  try {
    return (await (await engine()).getImage(name).inspect()).Id;
  } catch (error) {
    if (isMissing(error)) return null;
    throw engineError(error, 'look for an image');
  }
}

async function buildImage(options: BuilderOptions, recipe: ImageRecipe, call: BuildCall): Promise<void> {
  const failure = await attempt(options, recipe, call);
  call.signal?.throwIfAborted();
  if (!failure) return;
  throw recipe.explain?.(failure) ?? buildProblem(failure, { file: recipe.file, text: recipeText(recipe) });
}

async function attempt(
  { engine }: BuilderOptions,
  recipe: ImageRecipe,
  call: BuildCall,
): Promise<BuildFailure | undefined> {
  const { name, file, context, settings, labels } = recipe;
  try {
    const stream = await (await engine('patient')).buildImage(packContext(context), {
      t: name,
      dockerfile: file,
      forcerm: true,
      labels,
      buildargs: settings,
      ...(call.signal ? { abortSignal: call.signal } : {}),
    });
    return await followBuild(stream, call.onLine);
  } catch (error) {
    call.signal?.throwIfAborted();
    // A recipe that cannot be read at all is refused before the first step.
    if (statusOf(error) === 400) return { message: engineSays(error), step: null, output: '' };
    throw engineError(error, 'build an image');
  }
}

function recipeText({ context, file }: ImageRecipe): string {
  const entry = context.find((candidate: ContextEntry) => candidate.path === file);
  return entry?.kind === 'text' ? entry.text : '';
}

function vanished(): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The image was built, but the engine does not have it.',
    hint: 'Somebody may be removing images; retry.',
    retryable: true,
  });
}
