import { spawn } from 'node:child_process';
import { mkdir, open, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { assetPath } from '../../core/assets.ts';
import { errnoOf, GoldfishError, isGoldfishError } from '../../core/errors.ts';
import { type AttemptLayout, projectLayout } from '../../core/layout.ts';
import { clip } from '../../core/names.ts';
import { withLock } from '../../store/lock.ts';
import type { CallOptions, RunHandle, RunSpec } from '../port.ts';
import { readResult, WRAPPER_ERRORS_FILE, wasTaken } from './attempt-files.ts';
import { runtimeDataSchema } from './build-environment.ts';
import { type Interpreter, resolveInterpreter } from './interpreter.ts';
import { copyInputs, requireInputs } from './materialise-inputs.ts';
import { type ProcessBackendOptions, searchPath } from './options.ts';
import { INSTALL_SANDBOX, isBelow, type Sandbox, sandboxCommand } from './sandbox.ts';
import {
  checkEnvironment,
  configDocument,
  goldfishEnvironment,
  stageEnvironment,
} from './stage-environment.ts';

export type LaunchOptions = ProcessBackendOptions & { findSandbox: () => Sandbox };

const WRAPPER = assetPath('runtime/run_wrapper.py');
const answerSchema = z.object({ took: z.boolean(), why: z.string().optional() });
type Answer = z.infer<typeof answerSchema>;

function handleOf(run: { runId: string; attempt: number }): RunHandle {
  const { runId, attempt } = run;
  return { backend: 'process', runId, attempt, externalId: `goldfish-${runId}-${attempt}`, data: {} };
}

/**
 * Prepares the attempt's folder and starts its run wrapper; resolves when the wrapper has taken the job. An attempt
 * that was ever taken is never started again: the same handle comes back, and its status tells what became of it.
 * Errors: NOT_SUPPORTED, INVALID_CONFIG, INPUT_UNAVAILABLE, BACKEND_UNAVAILABLE, STORAGE_UNAVAILABLE.
 */
export async function launchAttempt(
  options: LaunchOptions,
  spec: RunSpec,
  call: CallOptions = {},
): Promise<RunHandle> {
  checkSpec(spec);
  const handle = handleOf(spec);
  const interpreter = await resolveInterpreter(options);
  const waiting = { clock: options.clock, what: 'this run', ...(call.signal ? { signal: call.signal } : {}) };
  try {
    const place = await realPlace(options, spec);
    await withLock(join(place.folders.dir, 'launch.lock'), waiting, async () => {
      if ((await wasTaken(place.folders)) || (await readResult(place.folders, handle))) return;
      await prepare(options, { ...place, interpreter });
      call.signal?.throwIfAborted();
      await startWrapper({
        python: interpreter.path,
        path: searchPath(options),
        folders: place.folders,
        secrets: spec.secrets,
      });
    });
    return handle;
  } catch (error) {
    throw launchError(error);
  }
}

type Place = { spec: RunSpec; folders: AttemptLayout; hidden: string[] };

/** The same attempt with every link in its paths resolved: a sandbox hides and binds folders by their true place. */
async function realPlace(options: ProcessBackendOptions, spec: RunSpec): Promise<Place> {
  const { layout } = options;
  const root = await realpath(layout.root);
  const stateDir = await realpath(layout.stateDir);
  const folders = projectLayout(root, stateDir).attempt(spec.runId, spec.attempt);
  await requireInputs(spec.inputs);
  const inputs = await Promise.all(
    spec.inputs.map(async (input) => ({ ...input, localPath: await realpath(input.localPath) })),
  );
  const codeDir = await realpath(spec.codeDir);
  const checkpointsDir = await realpath(spec.checkpointsDir);
  const hidden = isBelow(stateDir, root) ? [root] : [root, stateDir];
  return { spec: { ...spec, inputs, codeDir, checkpointsDir }, folders, hidden };
}

/** Folders, inputs and documents of the attempt. Everything may be there already from a launch that was cut short. */
async function prepare(options: LaunchOptions, parts: Place & { interpreter: Interpreter }): Promise<void> {
  const { spec, folders, interpreter, hidden } = parts;
  const runtime = runtimeDataSchema.parse(spec.runtime.data);
  const sandbox = options.findSandbox();
  if (options.sandbox === 'bubblewrap' && sandbox.kind === 'none') {
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `process.sandbox is bubblewrap, but ${sandbox.why}.`,
      hint: INSTALL_SANDBOX,
      retryable: true,
    });
  }
  for (const folder of [folders.outputs, folders.control, folders.temp, folders.log]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  for (const { type, fileName } of spec.outputs) {
    if (type === 'directory') await mkdir(join(folders.outputs, fileName), { recursive: true, mode: 0o700 });
  }
  if (sandbox.kind === 'none') await copyInputs(folders.inputs, spec.inputs);
  await replaceFile(folders.config, JSON.stringify(configDocument(spec, folders)), 0o400);
  const [first = '', ...rest] = spec.command;
  const sdkDir = await realpath(options.sdkDir);
  const machine = { ...runtime, folders, sdkDir, path: searchPath(options) };
  const document = {
    schema: 1,
    runId: spec.runId,
    attempt: spec.attempt,
    argv: [first === 'python' ? runtime.python : first, ...rest],
    cwd: spec.codeDir,
    environment: stageEnvironment(spec, machine),
    goldfishEnvironment: goldfishEnvironment(spec, folders),
    memoryBytes: spec.resources.memoryBytes,
    timeoutSeconds: spec.timeoutSeconds,
    stopGraceSeconds: spec.stopGraceSeconds,
    wakeSocket: spec.wakeSocket,
    sandbox:
      sandbox.kind === 'none'
        ? null
        : sandboxCommand({
            program: sandbox.program,
            hidden,
            readable: await readablePaths({ spec, folders, interpreter, runtime, sdkDir }),
            inputs: spec.inputs.map((input) => ({
              from: input.localPath,
              to: join(folders.inputs, input.fileName),
            })),
            inputsDir: folders.inputs,
            writable: [folders.outputs, folders.control, folders.temp, spec.checkpointsDir],
            asRoot: process.geteuid?.() === 0,
          }),
  };
  await replaceFile(folders.spec, JSON.stringify(document), 0o600);
}

/** Atomic for a wrapper that reads at the same moment. Not durable: after a power cut it is written again. */
async function replaceFile(file: string, content: string, mode: number): Promise<void> {
  const temporary = `${file}.unfinished`;
  await rm(temporary, { force: true });
  await writeFile(temporary, content, { mode, flag: 'wx' });
  await rename(temporary, file);
}

async function readablePaths(parts: {
  spec: RunSpec;
  folders: AttemptLayout;
  interpreter: Interpreter;
  runtime: z.infer<typeof runtimeDataSchema>;
  sdkDir: string;
}): Promise<string[]> {
  const { spec, folders, interpreter, runtime, sdkDir } = parts;
  const prefixes = [
    interpreter.prefix,
    interpreter.basePrefix,
    dirname(interpreter.path),
    runtime.environment,
  ];
  const real = await Promise.all(
    prefixes.filter((path) => path !== null).map((path) => realpath(path).catch(() => path)),
  );
  return [...new Set([...real, sdkDir, dirname(WRAPPER), spec.codeDir, folders.config])];
}

/** The wrapper gets the secrets through a pipe, answers one line, and from then on depends on nobody. */
async function startWrapper(start: {
  python: string;
  path: string;
  folders: AttemptLayout;
  secrets: Record<string, string>;
}): Promise<void> {
  const errors = join(start.folders.dir, WRAPPER_ERRORS_FILE);
  const errorFile = await open(errors, 'a', 0o600);
  try {
    const child = spawn(start.python, ['-I', '-S', '-B', WRAPPER, start.folders.dir], {
      // A session of its own, and no folder held: it outlives us.
      detached: true,
      cwd: '/',
      env: { PATH: start.path, LANG: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', errorFile.fd],
    });
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const { stdin, stdout } = child;
    if (!stdin || !stdout) throw new Error('a pipe to the run wrapper is missing');
    // A wrapper that ended before it read everything says why in its answer.
    stdin.on('error', () => undefined);
    stdin.end(JSON.stringify({ secrets: start.secrets }));
    child.unref();
    const answer = parseAnswer(await Promise.race([text(stdout), failed]));
    if (answer?.took || answer?.why === 'already taken') return;
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `The program that runs stages did not start: ${clip(answer?.why ?? (await lastLine(errors)), 200)}.`,
      hint: 'Look at the disk’s free space and at the interpreter named by process.python, then retry.',
      retryable: true,
    });
  } finally {
    await errorFile.close();
  }
}

function parseAnswer(line: string): Answer | undefined {
  try {
    return answerSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

async function lastLine(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
  return lines.at(-1) || 'it ended without a word';
}

function launchError(error: unknown): unknown {
  if (isGoldfishError(error) || (error instanceof Error && error.name === 'AbortError')) return error;
  const errno = errnoOf(error) ?? 'unknown';
  const full = ['ENOSPC', 'EDQUOT'].includes(errno);
  return new GoldfishError(full ? 'STORAGE_UNAVAILABLE' : 'BACKEND_UNAVAILABLE', {
    message: full
      ? 'The disk is full: the run could not be prepared.'
      : `The run could not be prepared (${errno}).`,
    hint: full ? 'Free some space, then retry.' : 'Look at the supervisor’s log, then retry.',
    retryable: true,
    cause: error,
  });
}

function checkSpec(spec: RunSpec): void {
  checkEnvironment(spec);
  if (spec.command.length === 0 || spec.command.some((word) => word.includes('\0') || !word.isWellFormed())) {
    throw new GoldfishError('INVALID_CONFIG', {
      message: 'The command of the stage is empty or holds a null byte or broken text.',
      hint: 'Correct `command` in the pipeline.',
    });
  }
  if (spec.resources.nodes !== 1) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `The process backend runs one rank, not ${spec.resources.nodes}.`,
      hint: 'Set compute.nodes to 1, or choose another backend.',
    });
  }
}
