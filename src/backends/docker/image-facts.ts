import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../os/files.ts';
import { containerOptions, LABELS } from './container.ts';
import { containerUser } from './container-user.ts';
import { engineError, statusOf } from './engine-error.ts';
import type { DockerDeps } from './options.ts';
import { removeContainer } from './remove-container.ts';

const factsSchema = z.object({
  /** A python3 of 3.8 or newer: what hands secrets over and tells exit codes from signals. */
  python: z.boolean(),
  /** The image's own PYTHONPATH: ours goes before it. */
  pythonPath: z.string(),
});
export type ImageFacts = z.infer<typeof factsSchema>;

const QUESTION = 'import sys; sys.exit(0 if sys.version_info >= (3, 8) else 1)';
const TRIAL_BYTES = 256 * 1024 * 1024;

/** What must be known of an image before a stage runs in it; tried out once for each image and kept in a file. */
export async function imageFacts(deps: DockerDeps, image: string): Promise<ImageFacts> {
  const file = join(deps.layout.images, `${image.replace('sha256:', '')}.json`);
  const known = await readFacts(file);
  if (known) return known;
  try {
    const { Config } = await (await deps.engine()).getImage(image).inspect();
    const set = Config?.Env?.find((entry) => entry.startsWith('PYTHONPATH='));
    const facts = {
      python: await tryPython(deps, image),
      pythonPath: set?.slice('PYTHONPATH='.length) ?? '',
    };
    await writeFileAtomic(file, JSON.stringify(facts));
    return facts;
  } catch (error) {
    throw engineError(error, 'try the image');
  }
}

async function readFacts(file: string): Promise<ImageFacts | undefined> {
  try {
    return factsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    // Missing or damaged: it is found out again.
    return undefined;
  }
}

/** As shut in as a stage is, and with nothing let in. */
async function tryPython(deps: DockerDeps, image: string): Promise<boolean> {
  const engine = await deps.engine();
  const name = `goldfish-trial-${randomBytes(6).toString('hex')}`;
  await engine.createContainer(
    containerOptions({
      name,
      image,
      command: ['python3', '-I', '-S', '-B', '-c', QUESTION],
      environment: {},
      labels: { [LABELS.project]: deps.project },
      user: containerUser(deps.user),
      mounts: [],
      resources: { memoryBytes: TRIAL_BYTES, cpus: null, gpus: 0, pidsLimit: null },
      machineCpus: 1,
      network: 'none',
      init: 'none',
    }),
  );
  const container = engine.getContainer(name);
  try {
    await container.start();
    return (await container.wait()).StatusCode === 0;
  } catch (error) {
    // There is no such program in the image.
    if (statusOf(error) === 400) return false;
    throw error;
  } finally {
    await removeContainer(engine, name);
  }
}
