import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { checkBucket, checkGce } from './check-gce.ts';
import { checkShape } from './check-shape.ts';
import { type Config, toConfig, toProfiles } from './config.ts';
import { checkEnvironmentReferences } from './environment-reference.ts';
import { CONFIG_FILE } from './find-project.ts';
import { mergeOverrides } from './gce-overrides.ts';
import { CONNECTION_FORMS } from './gce-schema.ts';
import { type Environment, hostEnvironment } from './host.ts';
import { type Modern, modernise } from './legacy.ts';
import {
  type Locate,
  type Path,
  type Problem,
  type ProblemList,
  problemList,
  problemsError,
} from './problem.ts';
import { profileBook } from './profiles.ts';
import { type ConfigFile, configSchema, LATER_KEYS } from './schema.ts';
import { createSecrets, type Secrets } from './secrets.ts';
import { type Setting, settingsOf } from './settings.ts';
import { readYaml } from './yaml-file.ts';

export type LoadedConfig = {
  config: Config;
  /** Every key, in the order of the example file. */
  settings: Setting[];
  /** What a reader of the file should know though nothing is wrong with it. */
  notes: Problem[];
};

type Request = {
  /** The folder with goldfish.yaml. */
  root: string;
  /** Processors and environment of this machine, for tests. */
  cpus?: number;
  environment?: Environment;
};

/**
 * Reads goldfish.yaml.
 * Errors: PROJECT_NOT_FOUND where there is none; INVALID_CONFIG with every problem in `details.problems`.
 */
export async function loadConfig(request: Request): Promise<LoadedConfig> {
  const { loaded, problems } = await checkConfig(request);
  if (loaded === null) throw problemsError('INVALID_CONFIG', problems);
  return loaded;
}

/** As `loadConfig`, with the problems as a value: for `validate`. `loaded` is null exactly where there are any. */
export async function checkConfig(
  request: Request,
): Promise<{ loaded: LoadedConfig | null; problems: Problem[]; notes: Problem[] }> {
  const root = resolve(request.root);
  const text = await readConfigText(root);
  if (typeof text !== 'string') return { loaded: null, problems: [text], notes: [] };
  const yaml = readYaml(CONFIG_FILE, text);
  if (yaml.root === null) return { loaded: null, problems: yaml.problems, notes: [] };
  const problems = problemList();
  const modern = modernise(yaml.root, { locate: yaml.locate, problems });
  const file = checkFile(modern, root, problems);
  const secrets = createSecrets({ root, environment: request.environment ?? hostEnvironment() });
  const notes = [...modern.notes, ...dotenvNotes(secrets)];
  const found = [...yaml.problems, ...problems.found()];
  if (file === undefined || found.length > 0) return { loaded: null, problems: found, notes };
  const config = toConfig(file, root, { cpus: request.cpus ?? availableParallelism(), secrets });
  return { loaded: { config, settings: settingsOf(file, config, modern), notes }, problems: [], notes };
}

function dotenvNotes(secrets: Secrets): Problem[] {
  const refusal = secrets.refusal();
  return refusal === null ? [] : [{ file: '.env', line: 0, column: 0, ...refusal }];
}

const HINT = 'goldfish.example.yaml in the package shows every key with its default.';
const MAX_BYTES = 4 * 1024 * 1024;

async function readConfigText(root: string): Promise<string | Problem> {
  const path = join(root, CONFIG_FILE);
  const unreadable = (message: string, hint: string): Problem => ({
    file: CONFIG_FILE,
    line: 0,
    column: 0,
    message,
    hint,
  });
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return unreadable('It is not a file.', 'Put a text file in its place.');
    if (stats.size > MAX_BYTES)
      return unreadable('It is too large to be a config.', 'Keep data in other files.');
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) return unreadable('It is not UTF-8 text.', 'Save it as UTF-8.');
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') throw projectNotFound(error);
    return unreadable('It cannot be read.', 'Make it readable for this user.');
  }
}

function projectNotFound(cause: unknown): GoldfishError {
  return new GoldfishError('PROJECT_NOT_FOUND', {
    message: 'There is no goldfish.yaml in this folder.',
    hint: 'Make a project with initialize_project, or name the folder of one.',
    fix: { tool: 'initialize_project', arguments: { name: 'my-project' } },
    cause,
  });
}

function checkFile(modern: Modern, root: string, problems: ProblemList): ConfigFile | undefined {
  // A file without any key is one without a name.
  const value = modern.value ?? {};
  const { locate } = modern;
  const file = checkShape(configSchema, { value, at: [], locate, problems, hint: HINT, later: LATER_KEYS });
  checkEnvironmentReferences(value, [], {
    locate,
    problems,
    allowed: (path) => isConnection(path.join('.')),
  });
  checkBucket(value, { locate, problems });
  if (file === undefined) return undefined;
  const stateDir = resolve(root, file.state_dir);
  const why = refusedStateDir(root, stateDir);
  if (why !== undefined) {
    const hint = 'Name a folder of its own, such as .goldfish.';
    problems.add(locate(['state_dir']), { message: `"state_dir" ${why}.`, hint });
  }
  for (const [index, path] of file.data_roots.entries()) {
    if (!isInside(stateDir, resolve(root, path))) continue;
    const message = `"data_roots[${index}]" must not lie in the private state.`;
    problems.add(locate(['data_roots', index]), { message, hint: 'Name the folder where the data is.' });
  }
  checkProfileNames(file, { locate, problems });
  checkGce(file, { locate, written: modern.written, problems });
  return file;
}

/** Settings of connections may come from the environment; no others. */
function isConnection(key: string): boolean {
  return key === 'docker.host' || Object.hasOwn(CONNECTION_FORMS, key);
}

/** A profile that is named and not defined would only be noticed by the stages that use it. */
function checkProfileNames(
  file: ConfigFile,
  { locate, problems }: { locate: Locate; problems: ProblemList },
) {
  const gce = file.gce && { profiles: mergeOverrides(file.gce.profile_overrides) };
  const book = profileBook({ profiles: toProfiles(file.profiles), gce });
  const check = (name: string, path: Path, part: 'key' | 'value'): void => {
    const refusal = book.refuse(name);
    if (refusal === undefined) return;
    const { message, hint, allowed } = refusal;
    problems.add(locate(path, part), { message, hint, allowed });
  };
  check(file.defaults.profile, ['defaults', 'profile'], 'value');
  for (const name of Object.keys(file.docker.images)) check(name, ['docker', 'images', name], 'key');
}

/** The state is swept and cleaned by the supervisor, so it must lie apart from what people edit. */
function refusedStateDir(root: string, stateDir: string): string | undefined {
  if (isInside(stateDir, root)) return 'must not be the project itself or a folder above it';
  return isInside(join(root, 'workspaces'), stateDir) ? 'must not lie among the slots' : undefined;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`));
}
