import { mkdir, realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { errnoOf, GoldfishError } from '../../core/errors.ts';
import { type AttemptLayout, projectLayout } from '../../core/layout.ts';
import { checkSpec } from '../check-spec.ts';
import { searchPath } from '../host-options.ts';
import { type Interpreter, resolveInterpreter } from '../interpreter.ts';
import { copyInputs, requireInputs } from '../materialise-inputs.ts';
import type { CallOptions, RunHandle, RunSpec } from '../port.ts';
import { configDocument, goldfishEnvironment, type RankFolders } from '../stage-document.ts';
import { replaceFile, startAttempt, startError, WRAPPER } from '../start-wrapper.ts';
import { type RankSpec, rankEnvironment } from '../wrapper-spec.ts';
import { runtimeDataSchema } from './build-environment.ts';
import { linkNodeLibrary, nodeLibrary } from './node-library.ts';
import type { ProcessBackendOptions } from './options.ts';
import { INSTALL_SANDBOX, isBelow, type Sandbox, sandboxCommand } from './sandbox.ts';
import { stageEnvironment } from './stage-environment.ts';

export type LaunchOptions = ProcessBackendOptions & { findSandbox: () => Sandbox };

/** More would not be faster on one machine; the limit is there so that a slip of the pen is refused. */
export const MAX_RANKS = 64;
const MASTER_ADDRESS = '127.0.0.1';

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
  checkSpec(spec, { name: 'process', maxNodes: MAX_RANKS, gpus: 0 });
  const handle = handleOf(spec);
  const interpreter = await resolveInterpreter(options);
  const place = await realPlace(options, spec).catch((error: unknown) => {
    throw startError(error);
  });
  await startAttempt({
    clock: options.clock,
    spec,
    handle,
    folders: place.folders,
    python: interpreter.path,
    path: searchPath(options),
    prepare: () => prepare(options, { ...place, interpreter }),
    signal: call.signal,
  });
  return handle;
}

type Place = { spec: RunSpec; folders: AttemptLayout; nodeLibrary: string; hidden: string[] };

/** The same attempt with every link in its paths resolved: a sandbox hides and binds folders by their true place. */
async function realPlace(options: ProcessBackendOptions, spec: RunSpec): Promise<Place> {
  const { layout } = options;
  const root = await realpath(layout.root);
  const stateDir = await realpath(layout.stateDir);
  const real = projectLayout(root, stateDir);
  const folders = real.attempt(spec.runId, spec.attempt);
  await requireInputs(spec.inputs);
  const inputs = await Promise.all(
    spec.inputs.map(async (input) => ({ ...input, localPath: await realpath(input.localPath) })),
  );
  const codeDir = await realpath(spec.codeDir);
  const checkpointsDir = await realpath(spec.checkpointsDir);
  const hidden = outermost([root, stateDir, ...(await existing(options.hiddenFolders ?? []))]);
  return {
    spec: { ...spec, inputs, codeDir, checkpointsDir },
    folders,
    nodeLibrary: real.nodeLibrary,
    hidden,
  };
}

/** Without those that lie in another. */
function outermost(folders: readonly string[]): string[] {
  const distinct = [...new Set(folders)];
  return distinct.filter((path) => !distinct.some((other) => other !== path && isBelow(path, other)));
}

/** Real paths of the folders that are there. */
async function existing(folders: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    folders.map((path) =>
      realpath(path).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      }),
    ),
  );
  return found.flat();
}

/** Folders, inputs and documents of the attempt. Everything may be there already from a launch that was cut short. */
async function prepare(
  options: LaunchOptions,
  parts: Place & { interpreter: Interpreter },
): Promise<RankSpec[]> {
  const { spec, folders } = parts;
  const sandbox = options.findSandbox();
  if (sandbox.kind === 'unknown') {
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `Stages cannot be started now: ${sandbox.why}.`,
      hint: 'It is tried again; the machine may be overloaded.',
      retryable: true,
    });
  }
  if (options.sandbox === 'bubblewrap' && sandbox.kind === 'none') {
    throw new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `process.sandbox is bubblewrap, but ${sandbox.why}.`,
      hint: INSTALL_SANDBOX,
      retryable: true,
    });
  }
  await mkdir(folders.log, { recursive: true, mode: 0o700 });
  if (sandbox.kind === 'none') {
    await copyInputs(folders.inputs, spec.inputs);
    await linkNodeLibrary(parts.nodeLibrary, `${spec.runId}-${spec.attempt}`);
  }
  const sdkDir = await realpath(options.sdkDir);
  const masterPort = await freePort();
  const ranks: RankSpec[] = [];
  for (let rank = 0; rank < spec.resources.nodes; rank += 1) {
    const place = { rank, nodes: spec.resources.nodes, masterAddress: MASTER_ADDRESS, masterPort };
    const machine = { ...parts, options, sandbox, sdkDir, own: folders.rank(rank) };
    ranks.push(await prepareRank(machine, rankEnvironment(place)));
  }
  return ranks;
}

type Machine = Place & {
  interpreter: Interpreter;
  options: LaunchOptions;
  sandbox: Exclude<Sandbox, { kind: 'unknown' }>;
  sdkDir: string;
  own: RankFolders;
};

async function prepareRank(machine: Machine, variables: Record<string, string>): Promise<RankSpec> {
  const { spec, folders, own, sdkDir, options } = machine;
  const runtime = runtimeDataSchema.parse(spec.runtime.data);
  for (const folder of [own.outputs, own.control, own.temp]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  for (const { type, fileName } of spec.outputs) {
    if (type === 'directory') await mkdir(join(own.outputs, fileName), { recursive: true, mode: 0o700 });
  }
  const places = { ...own, inputs: folders.inputs, checkpoints: spec.checkpointsDir };
  await replaceFile(own.config, JSON.stringify(configDocument(spec, places)), 0o400);
  const [first = '', ...rest] = spec.command;
  const python = { ...runtime, temp: own.temp, sdkDir, path: searchPath(options) };
  const { memoryBytes, pidsLimit, cpus } = spec.resources;
  return {
    rank: Number(variables['GOLDFISH_RANK']),
    control: own.control,
    program: {
      kind: 'process',
      argv: [first === 'python' ? runtime.python : first, ...rest],
      cwd: spec.codeDir,
      environment: stageEnvironment(spec, python),
      goldfishEnvironment: { ...goldfishEnvironment(spec, places), ...variables },
      memoryBytes,
      pidsLimit,
      cpus,
      sandbox: await sandboxOf(machine, runtime),
    },
  };
}

async function sandboxOf(
  machine: Machine,
  runtime: z.infer<typeof runtimeDataSchema>,
): Promise<string[] | null> {
  const { spec, folders, own, sandbox, hidden } = machine;
  if (sandbox.kind === 'none') return null;
  return sandboxCommand({
    program: sandbox.program,
    hidden,
    readable: await readablePaths(machine, runtime),
    nodeLibrary: { from: await nodeLibrary(), to: machine.nodeLibrary },
    inputs: spec.inputs.map((input) => ({ from: input.localPath, to: join(folders.inputs, input.fileName) })),
    inputsDir: folders.inputs,
    writable: [own.outputs, own.control, own.temp, spec.checkpointsDir],
    asRoot: process.geteuid?.() === 0,
  });
}

async function readablePaths(
  { spec, own, interpreter, sdkDir }: Machine,
  runtime: z.infer<typeof runtimeDataSchema>,
): Promise<string[]> {
  const prefixes = [
    interpreter.prefix,
    interpreter.basePrefix,
    dirname(interpreter.path),
    runtime.environment,
    // The Node that runs Goldfish, for stages of Node: it may lie in a temporary folder, which is hidden.
    dirname(process.execPath),
  ];
  const real = await Promise.all(
    prefixes.filter((path) => path !== null).map((path) => realpath(path).catch(() => path)),
  );
  return [...new Set([...real, sdkDir, dirname(WRAPPER), spec.codeDir, own.config])];
}

/** For the ranks to meet at. Nothing holds it until rank 0 listens there; the kernel hands out another one each time. */
async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, MASTER_ADDRESS, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
