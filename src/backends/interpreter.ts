import { z } from 'zod';
import { errnoOf, GoldfishError, messageOf } from '../core/errors.ts';
import { parseJson } from '../core/json.ts';
import { type HostOptions, searchPath } from './host-options.ts';
import { runCommand } from './run-command.ts';

const interpreterSchema = z.object({
  /** The program itself, behind pyenv's shims and the like, which cost 50 ms at each start. */
  path: z.string(),
  implementation: z.string(),
  /** `3.11.7`. */
  version: z.string(),
  prefix: z.string(),
  basePrefix: z.string(),
});
export type Interpreter = z.infer<typeof interpreterSchema>;

const QUESTION = [
  'import json, platform, sys',
  'print(json.dumps({"path": sys.executable, "implementation": platform.python_implementation(),',
  '  "version": platform.python_version(), "prefix": sys.prefix, "basePrefix": sys.base_prefix}))',
].join('\n');

/** Names the oldest version the run wrapper and the stage library are written for. */
const OLDEST = [3, 8] as const;

type Asked = Pick<HostOptions, 'python' | 'layout' | 'hostEnvironment'>;
const known = new Map<string, Promise<Interpreter>>();

/**
 * The interpreter behind `process.python`, asked once per process. It is asked from the project's root, because
 * version managers answer by the folder one stands in.
 * Errors: BACKEND_UNAVAILABLE where there is none, or it is older than 3.8.
 */
export function resolveInterpreter(options: Asked): Promise<Interpreter> {
  const key = [options.python, searchPath(options), options.layout.root].join('\0');
  const found = known.get(key);
  if (found !== undefined) return found;
  const asking = askInterpreter(options);
  known.set(key, asking);
  // A failure is not remembered: the user may install what is missing.
  asking.catch(() => known.delete(key));
  return asking;
}

async function askInterpreter(options: Asked): Promise<Interpreter> {
  const { python, layout } = options;
  const environment: Record<string, string> = { PATH: searchPath(options) };
  const home = options.hostEnvironment['HOME'];
  if (home !== undefined) environment['HOME'] = home;
  const result = await runCommand({
    command: [python, '-I', '-c', QUESTION],
    cwd: layout.root,
    environment,
  }).catch((error: unknown) => {
    const missing = errnoOf(error) === 'ENOENT';
    throw unavailable(missing ? `${python} was not found.` : `${python} cannot run: ${messageOf(error)}.`);
  });
  const line = result.output.trim().split('\n').at(-1) ?? '';
  const interpreter = interpreterSchema.safeParse(parseJson(line));
  if (result.code !== 0 || !interpreter.success) {
    throw unavailable(`${python} did not answer like a Python 3 interpreter.`);
  }
  if (isTooOld(interpreter.data.version)) {
    throw unavailable(`${python} is Python ${interpreter.data.version}; 3.8 or newer is needed.`);
  }
  return interpreter.data;
}

function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
}

function unavailable(message: string): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message,
    hint: 'Install Python 3.8 or newer, or name one with process.python in goldfish.yaml.',
    details: { field: 'process.python' },
    retryable: true,
  });
}
