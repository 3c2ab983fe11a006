import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { errnoOf, GoldfishError } from '../../core/errors.ts';
import { writeFileAtomic } from '../../os/files.ts';
import { withLock } from '../../store/lock.ts';
import { codeFiles } from '../code-files.ts';
import { diskFull } from '../disk-full.ts';
import { searchPath } from '../host-options.ts';
import { type Interpreter, resolveInterpreter } from '../interpreter.ts';
import { pipProblem } from '../pip-problem.ts';
import type { BuildRequest, CallOptions, Runtime } from '../port.ts';
import {
  REQUIREMENTS_FILE,
  type Requirements,
  readRequirements,
  requireSoundReferences,
} from '../requirements.ts';
import { runCommand } from '../run-command.ts';
import { interpreterKey } from './interpreter-key.ts';
import type { ProcessBackendOptions } from './options.ts';

const LOCK_WAIT_MS = 30 * 60_000;
/** Of the machine's environment pip gets what leads it to packages, and nothing else: it runs foreign code. */
const PASSED_ON =
  /^(HOME|PIP_\w+|XDG_CONFIG_(HOME|DIRS)|(https?|all|no)_proxy|(HTTPS?|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CC|CXX|CFLAGS|CXXFLAGS|LDFLAGS)$/;

const readySchema = z.object({ folder: z.string(), packages: z.array(z.string()) });
type Ready = z.infer<typeof readySchema>;

export const runtimeDataSchema = z.object({
  /** The program behind a first word `python`. */
  python: z.string(),
  /** The virtual environment, or null where the interpreter is used as it is. */
  environment: z.string().nullable(),
});

type BuildOptions = CallOptions & { onLine: (text: string) => void };

/**
 * The interpreter as it is, or a virtual environment with what requirements.txt asks for. An environment is made
 * once per key in a folder of its own (they cannot be moved) and counts from the moment `ready.json` names it, so a
 * build that is killed leaves nothing that anybody would use.
 * Errors: INVALID_CONFIG with file and line; CONFLICT where the interpreter changed; BACKEND_UNAVAILABLE; STORAGE_UNAVAILABLE.
 */
export async function buildEnvironment(
  options: ProcessBackendOptions,
  request: BuildRequest,
  call: BuildOptions,
): Promise<Runtime> {
  const interpreter = await resolveInterpreter(options);
  const reader = codeFiles(request.codeDir);
  const key = await interpreterKey(options, reader);
  if (key !== request.key) throw changedInterpreter();
  const name = `${interpreter.implementation} ${interpreter.version}`;
  const requirements = await readRequirements(reader);
  if (requirements.files.size === 0) {
    return { key, description: name, data: { python: interpreter.path, environment: null } };
  }
  requireSoundReferences(requirements);
  const home = join(options.layout.environments, key.replace('sha256:', ''));
  const ready =
    (await readReady(home)) ??
    (await withLock(
      `${home}.lock`,
      { clock: options.clock, waitMs: LOCK_WAIT_MS, what: 'the virtual environment', ...pick(call) },
      async () =>
        (await readReady(home)) ?? make({ options, interpreter, requirements, request, home, call }),
    ));
  const environment = join(home, ready.folder);
  return {
    key,
    description: `${name} with ${ready.packages.length} packages from ${REQUIREMENTS_FILE}`,
    data: { python: join(environment, 'bin', 'python'), environment, packages: ready.packages },
  };
}

type Making = {
  options: ProcessBackendOptions;
  interpreter: Interpreter;
  requirements: Requirements;
  request: BuildRequest;
  home: string;
  call: BuildOptions;
};

async function make(making: Making): Promise<Ready> {
  const { home, interpreter, requirements, request } = making;
  const folder = randomBytes(4).toString('hex');
  const environment = join(home, folder);
  const source = `${environment}.source`;
  await removeUnfinished(home);
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    // pip builds a local package in its own folder: it gets a copy, the checkout stays as it is.
    for (const file of requirements.files.keys()) {
      await mkdir(dirname(join(source, file)), { recursive: true });
      await cp(join(request.codeDir, file), join(source, file), { verbatimSymlinks: true });
    }
    await mustRun(making, [interpreter.path, '-I', '-m', 'venv', '--without-pip', environment], home);
    const packages = await install(making, environment, source);
    const ready: Ready = { folder, packages };
    await writeFileAtomic(join(home, 'ready.json'), JSON.stringify(ready));
    return ready;
  } catch (error) {
    await rm(environment, { recursive: true, force: true });
    throw diskFull(error, 'the virtual environment could not be made') ?? error;
  } finally {
    await rm(source, { recursive: true, force: true });
  }
}

/** Installs with the interpreter's own pip, pointed at the environment; answers the exact versions installed. */
async function install(making: Making, environment: string, source: string): Promise<string[]> {
  const { interpreter, requirements, call } = making;
  const empty = [...requirements.files.values()].every((text) => /^(\s*(#.*)?\n?)*$/.test(text));
  if (empty) return [];
  const target = join(environment, 'bin', 'python');
  const pip = await findPip(making, interpreter, environment);
  const quiet = ['--disable-pip-version-check', '--no-input'];
  const result = await run(making, {
    command: [...pip, 'install', ...quiet, '--no-warn-script-location', '-r', REQUIREMENTS_FILE],
    cwd: source,
    onLine: call.onLine,
  });
  if (result.code !== 0) throw pipProblem(result.output, requirements.files);
  const list = await run(making, { command: [target, '-I', '-c', LIST_PACKAGES], cwd: source });
  return list.output.split('\n').filter((line) => line !== '');
}

const LIST_PACKAGES = [
  'import importlib.metadata as m',
  'for p in sorted({"%s==%s" % (d.metadata["Name"], d.version) for d in m.distributions()}): print(p)',
].join('\n');

/**
 * pip ≥ 22.3 of the interpreter serves any environment at once; else the environment is given a pip of its own,
 * which takes seconds and needs `ensurepip` (Debian: python3-venv).
 */
async function findPip(
  making: Making,
  interpreter: Interpreter,
  environment: string,
): Promise<[string, ...string[]]> {
  const target = join(environment, 'bin', 'python');
  const shared: [string, ...string[]] = [interpreter.path, '-I', '-m', 'pip', '--python', target];
  const answer = await run(making, { command: [...shared, '--version'], cwd: environment });
  if (answer.code === 0) return shared;
  const ensured = await run(making, { command: [target, '-I', '-m', 'ensurepip'], cwd: environment });
  if (ensured.code === 0) return [target, '-I', '-m', 'pip'];
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The workspace has a ${REQUIREMENTS_FILE}, but the interpreter has no pip to install it with.`,
    hint: 'On Debian: apt-get install python3-venv python3-pip.',
    retryable: true,
  });
}

async function mustRun(making: Making, command: [string, ...string[]], cwd: string): Promise<void> {
  const result = await run(making, { command, cwd, onLine: making.call.onLine });
  if (result.code === 0) return;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'The interpreter could not make a virtual environment.',
    hint: 'On Debian: apt-get install python3-venv. The build log has all it said.',
    retryable: true,
  });
}

function run(
  making: Making,
  request: { command: [string, ...string[]]; cwd: string; onLine?: (text: string) => void },
): Promise<{ code: number | null; output: string }> {
  const { options, call } = making;
  const passed = Object.entries(options.hostEnvironment).flatMap(([name, value]) =>
    PASSED_ON.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  const environment = { ...Object.fromEntries(passed), PATH: searchPath(options), LANG: 'C.UTF-8' };
  return runCommand({ ...request, environment, signal: call.signal });
}

async function readReady(home: string): Promise<Ready | undefined> {
  try {
    return readySchema.parse(JSON.parse(await readFile(join(home, 'ready.json'), 'utf8')));
  } catch (error) {
    // Damaged is as good as not there: it is made again.
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError || error instanceof z.ZodError)
      return undefined;
    throw error;
  }
}

/** What builds left that were killed. Their pip may still be writing there, so the next build has another folder. */
async function removeUnfinished(home: string): Promise<void> {
  const entries = await readdir(home).catch(() => []);
  for (const entry of entries)
    await rm(join(home, entry), { recursive: true, force: true }).catch(() => undefined);
}

function changedInterpreter(): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: 'The Python interpreter here is not the one the run was planned with.',
    hint: 'Call run again. If it repeats, name one interpreter by its full path with process.python in goldfish.yaml.',
    details: { field: 'process.python' },
  });
}

function pick(call: CallOptions): { signal?: AbortSignal } {
  return call.signal ? { signal: call.signal } : {};
}
