import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { isJsonObject, type Json } from '../core/json.ts';
import { checkShape } from './check-shape.ts';
import { type Config, toConfig } from './config.ts';
import { refuseEnvironmentReferences } from './environment-reference.ts';
import { CONFIG_FILE } from './find-project.ts';
import { type Problem, problemList, problemsError } from './problem.ts';
import { type ConfigFile, configKeys, configSchema, LATER_KEYS } from './schema.ts';
import { readYaml, type YamlFile } from './yaml-file.ts';
import { descend } from './yaml-node.ts';

/** A resolved value and where it comes from: `built-in` or `goldfish.yaml:12`. */
export type Setting = { key: string; value: Json; origin: string };

export type LoadedConfig = {
  config: Config;
  /** Every key, in the order of the example file. */
  settings: Setting[];
};

type Request = {
  /** The folder with goldfish.yaml. */
  root: string;
  /** Processors of this machine, for tests. */
  cpus?: number;
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
): Promise<{ loaded: LoadedConfig | null; problems: Problem[] }> {
  const root = resolve(request.root);
  const text = await readConfigText(root);
  if (typeof text !== 'string') return { loaded: null, problems: [text] };
  const yaml = readYaml(CONFIG_FILE, text);
  const problems = problemList();
  const file = yaml.root === null ? undefined : checkFile(yaml, root, problems);
  const found = [...yaml.problems, ...problems.found()];
  if (file === undefined || found.length > 0) return { loaded: null, problems: found };
  const config = toConfig(file, root, { cpus: request.cpus ?? availableParallelism() });
  return { loaded: { config, settings: settingsOf(file, config, yaml) }, problems: [] };
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

function checkFile(
  yaml: YamlFile,
  root: string,
  problems: ReturnType<typeof problemList>,
): ConfigFile | undefined {
  const value = yaml.root?.value ?? {};
  const { locate } = yaml;
  const file = checkShape(configSchema, { value, at: [], locate, problems, hint: HINT, later: LATER_KEYS });
  refuseEnvironmentReferences(value, [], { locate, problems });
  if (file === undefined) return undefined;
  const stateDir = resolve(root, file.state_dir);
  const why = refusedStateDir(root, stateDir);
  if (why !== undefined) {
    const hint = 'Name a folder of its own, such as .goldfish.';
    problems.add(locate(['state_dir']), { message: `"state_dir" ${why}.`, hint });
  }
  return file;
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

/** Values as written, but with what null stands for where the machine decides. */
function settingsOf(file: ConfigFile, config: Config, yaml: YamlFile): Setting[] {
  const decided: Record<string, Json> = { 'process.max_parallel': config.process.maxParallel };
  return configKeys().map((key) => {
    const path = key.split('.');
    const written = yaml.root === null ? false : descend(yaml.root, path).found;
    const origin = written ? `${CONFIG_FILE}:${yaml.locate(path, 'key').line}` : 'built-in';
    return { key, value: decided[key] ?? valueAtKey(file, path), origin };
  });
}

function valueAtKey(file: ConfigFile, path: readonly string[]): Json {
  let value: Json = JSON.parse(JSON.stringify(file));
  for (const part of path) value = (isJsonObject(value) ? value[part] : undefined) ?? null;
  return value;
}
