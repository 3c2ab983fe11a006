import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GoldfishError, messageOf } from '../../core/errors.ts';
import { writeFileAtomic } from '../../os/files.ts';
import { currentProcess } from '../../os/process-identity.ts';
import { containerOptions, LABELS } from '../container.ts';
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

/** Ends of the trial that will be the same the next time: Python's own answers, and a shell's that finds none. */
const LASTING: ReadonlySet<number> = new Set([0, 1, 127]);
/** By KILL or TERM, which is somebody else's doing: the trial says nothing of the image. */
const KILLED: ReadonlySet<number> = new Set([137, 143]);
const NO_PYTHON = /exec: "python3":.*(not found|no such file)/;

/** What must be known of an image before a stage runs in it; tried out once for each image and kept in a file. */
export async function imageFacts(deps: DockerDeps, image: string): Promise<ImageFacts> {
  const file = join(deps.layout.images, `${image.replace('sha256:', '')}.json`);
  const known = await readFacts(file);
  if (known) return known;
  try {
    const { Config } = await (await deps.engine()).getImage(image).inspect();
    const set = Config?.Env?.find((entry) => entry.startsWith('PYTHONPATH='));
    const { python, lasting } = await tryPython(deps, image);
    const facts = { python, pythonPath: set?.slice('PYTHONPATH='.length) ?? '' };
    if (lasting) await writeFileAtomic(file, JSON.stringify(facts));
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

/** `lasting`: whether it is a fact of the image, and not of this one trial. */
type Trial = { python: boolean; lasting: boolean };

/** As shut in as a stage is, and with nothing let in. */
async function tryPython(deps: DockerDeps, image: string): Promise<Trial> {
  const engine = await deps.engine();
  const name = `goldfish-trial-${randomBytes(6).toString('hex')}`;
  await engine.createContainer(
    containerOptions({
      name,
      image,
      command: ['python3', '-I', '-S', '-B', '-c', QUESTION],
      environment: {},
      labels: { [LABELS.project]: deps.project, [LABELS.maker]: JSON.stringify(currentProcess()) },
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
    const { StatusCode: end } = await container.wait();
    if (KILLED.has(end)) throw killedTrial();
    return { python: end === 0, lasting: LASTING.has(end) };
  } catch (error) {
    // It could not be started: there is no such program in the image, or something else is wrong.
    if (statusOf(error) === 400) return { python: false, lasting: NO_PYTHON.test(messageOf(error)) };
    throw error;
  } finally {
    await removeContainer(engine, name);
  }
}

function killedTrial(): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'Whether the image has Python 3.8 or newer could not be found out: the trial was killed.',
    hint: 'The machine may be short of memory; retry.',
    retryable: true,
  });
}
