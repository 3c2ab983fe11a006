import { z } from 'zod';
import { problemsError } from '../../config/problem.ts';
import { GoldfishError, isGoldfishError } from '../../core/errors.ts';
import type { FileReader } from '../../pipeline/file-reader.ts';
import { codeFiles } from '../code-files.ts';
import { LABELS } from '../container.ts';
import type { ContextEntry, ImageBuilder, ImageRecipe } from '../image-builder.ts';
import { pipProblem } from '../pip-problem.ts';
import type { BuildRequest, CallOptions, Runtime } from '../port.ts';
import { REQUIREMENTS_FILE, requireSoundReferences } from '../requirements.ts';
import { codeContext } from './build-context.ts';
import { followBuild } from './build-output.ts';
import { noPipProblem } from './build-problem.ts';
import { imageId } from './docker-image-builder.ts';
import { engineError, engineSays, pullError, statusOf } from './engine-error.ts';
import { basesOf, chooseImage, DOCKERFILE, type ImageChoice, imageKey } from './image-choice.ts';
import { imageFacts } from './image-facts.ts';
import type { DockerDeps } from './options.ts';

export const runtimeDataSchema = z.object({
  /** `sha256:<hex>`: names may be given to other images, this cannot. */
  image: z.string(),
  python: z.boolean(),
  pythonPath: z.string(),
});

export type KeyRequest = { files: FileReader; codeHash: string; image: string | null };
type BuildCall = CallOptions & { onLine: (text: string) => void };
type Ids = ReadonlyMap<string, string | null>;

const PROXY = /^(https?|all|no)_proxy$/i;
const VERSION_DIR = '/opt/goldfish/version';
const NO_PIP =
  /No module named pip|executable file not found|python3.{0,3}: No such file|returned a non-zero code: 127/;

/**
 * The image a version's stages run in: as it is, or made once from the version's Dockerfile or requirements.txt. What
 * it stands on is fetched where it is missing.
 * Errors: INVALID_CONFIG with file and line; CONFLICT where an image changed since the plan; BACKEND_UNAVAILABLE.
 */
export async function buildRuntime(
  deps: DockerDeps & { builder: ImageBuilder },
  request: BuildRequest,
  call: BuildCall,
): Promise<Runtime> {
  const named = { image: request.image, baseImage: deps.baseImage };
  const choice = await chooseImage(codeFiles(request.codeDir), named);
  if (choice.kind === 'requirements') requireSoundReferences(choice.requirements);
  const before = await idsOf(deps, choice);
  requirePlanned(choice, request, before);
  const ids = await fetchMissing(deps, { choice, before, call });
  const key = imageKey(choice, { ids, codeHash: request.codeHash });
  const image = await makeImage(deps, { choice, ids, key, request, call });
  const facts = await imageFacts(deps, image);
  return { key: request.key, description: describe(choice, image), data: { image, ...facts } };
}

/** What `StagePlan.environmentKey` is on this backend, found without building or fetching anything. */
export async function environmentKey(
  deps: Pick<DockerDeps, 'engine' | 'baseImage'>,
  request: KeyRequest,
): Promise<string> {
  const named = { image: request.image, baseImage: deps.baseImage };
  const choice = await chooseImage(request.files, named);
  return imageKey(choice, { ids: await idsOf(deps, choice), codeHash: request.codeHash });
}

async function idsOf(deps: Pick<DockerDeps, 'engine'>, choice: ImageChoice): Promise<Ids> {
  const names = [...new Set(basesOf(choice))];
  const ids = await Promise.all(names.map((name) => imageId(deps.engine, name)));
  return new Map(names.map((name, index) => [name, ids[index] ?? null]));
}

/** A cache key would lie if the image were another one now. One that was not here when it was planned counts by name. */
function requirePlanned(choice: ImageChoice, request: BuildRequest, ids: Ids): void {
  const { codeHash, key } = request;
  const possible = [ids, new Map()].map((known) => imageKey(choice, { ids: known, codeHash }));
  if (possible.includes(key)) return;
  throw new GoldfishError('CONFLICT', {
    message: `An image is not the one the run was planned with: ${basesOf(choice).join(', ')}.`,
    hint: 'Call run again: it is planned with what the name points to now.',
    details: { images: basesOf(choice) },
  });
}

async function fetchMissing(
  deps: DockerDeps,
  work: { choice: ImageChoice; before: Ids; call: BuildCall },
): Promise<Ids> {
  const { choice, before, call } = work;
  const missing = [...before].filter(([, id]) => id === null).map(([name]) => name);
  if (missing.length === 0) return before;
  for (const name of missing) {
    call.onLine(`The image ${name} is not here; it is being fetched.`);
    await pull(deps, name, call).catch((error: unknown) => {
      throw atItsLine(choice, name, error);
    });
  }
  return idsOf(deps, choice);
}

async function pull(deps: DockerDeps, name: string, call: BuildCall): Promise<void> {
  // Without a tag the engine would fetch all there are.
  const reference = /[@:][^/]*$/.test(name) ? name : `${name}:latest`;
  let says: string | undefined;
  try {
    const options = call.signal ? { abortSignal: call.signal } : {};
    const stream = await (await deps.engine('patient')).pull(reference, options);
    says = (await followBuild(stream, call.onLine))?.message;
  } catch (error) {
    call.signal?.throwIfAborted();
    if (statusOf(error) === undefined) throw engineError(error, 'fetch an image');
    says = engineSays(error);
  }
  call.signal?.throwIfAborted();
  if (says !== undefined) throw pullError(name, says);
}

/** An image that does not exist is a mistake in the file that names it, where the version has one. */
function atItsLine(choice: ImageChoice, name: string, error: unknown): unknown {
  if (choice.kind !== 'dockerfile' || !isGoldfishError(error) || error.code !== 'INVALID_CONFIG')
    return error;
  const line = choice.bases.find(({ image }) => image === name)?.line ?? 1;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return problemsError('INVALID_CONFIG', [
    { file: DOCKERFILE, line, column: 1, message: error.message, ...hint },
  ]);
}

type Making = { choice: ImageChoice; ids: Ids; key: string; request: BuildRequest; call: BuildCall };

async function makeImage(deps: DockerDeps & { builder: ImageBuilder }, making: Making): Promise<string> {
  const { choice, ids, key, request, call } = making;
  if (choice.kind === 'as-it-is') {
    const id = ids.get(choice.base);
    if (id) return id;
    throw pullError(choice.base, 'not found');
  }
  const settings = Object.entries(deps.hostEnvironment).flatMap(([name, value]) =>
    PROXY.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  const { id } = await deps.builder.build(
    {
      name: `goldfish-${key.replace('sha256:', '')}`,
      settings: Object.fromEntries(settings),
      labels: { [LABELS.project]: deps.project, [LABELS.key]: key },
      ...(choice.kind === 'dockerfile'
        ? await dockerfileRecipe(choice.text, request.codeDir)
        : requirementsRecipe(choice, ids, request.codeDir)),
    },
    call,
  );
  return id;
}

type Recipe = Pick<ImageRecipe, 'file' | 'context' | 'explain'>;

async function dockerfileRecipe(text: string, codeDir: string): Promise<Recipe> {
  const others = (await codeContext(codeDir)).filter(({ path }) => path !== DOCKERFILE);
  return { file: DOCKERFILE, context: [{ path: DOCKERFILE, kind: 'text', text }, ...others] };
}

/** The files stay in the image: a requirement may be installed from its own folder, to be edited there. */
function requirementsRecipe(
  choice: Extract<ImageChoice, { kind: 'requirements' }>,
  ids: Ids,
  codeDir: string,
): Recipe {
  const { base, requirements } = choice;
  const files = [...requirements.files.keys()];
  const settings = ['PIP_BREAK_SYSTEM_PACKAGES=1', 'PIP_ROOT_USER_ACTION=ignore'];
  const quiet = ['--no-cache-dir', '--disable-pip-version-check', '--no-input'];
  const install = ['env', ...settings, 'python3', '-m', 'pip', 'install', ...quiet, '-r', REQUIREMENTS_FILE];
  const text = [
    `FROM ${ids.get(base) ?? base}`,
    'USER root',
    `COPY version ${VERSION_DIR}`,
    `WORKDIR ${VERSION_DIR}`,
    `RUN ${JSON.stringify(install)}`,
    '',
  ].join('\n');
  const copies = files.map((path): ContextEntry => {
    const source = `${codeDir}/${path}`;
    return { path: `version/${path}`, kind: 'file', source, executable: false };
  });
  return {
    file: 'install',
    context: [{ path: 'install', kind: 'text', text }, ...copies],
    explain: ({ message, output }) =>
      NO_PIP.test(`${output}\n${message}`)
        ? noPipProblem(REQUIREMENTS_FILE, base)
        : pipProblem(output, requirements.files),
  };
}

function describe(choice: ImageChoice, image: string): string {
  const id = image.replace('sha256:', '').slice(0, 12);
  if (choice.kind === 'as-it-is') return `image ${choice.base} (${id})`;
  if (choice.kind === 'requirements') return `image ${choice.base} with ${REQUIREMENTS_FILE} (${id})`;
  return `image of ${DOCKERFILE} (${id})`;
}
