import { chown, lchown, lstat, mkdir, readdir, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { GoldfishError, isGoldfishError } from '../../core/errors.ts';
import { type AttemptLayout, projectLayout } from '../../core/layout.ts';
import { wasTaken } from '../attempt-files.ts';
import { checkSpec } from '../check-spec.ts';
import { containerName, type Init } from '../container.ts';
import { INSIDE, type StagePaths, stageContainer } from '../container-stage.ts';
import { searchPath } from '../host-options.ts';
import { resolveInterpreter } from '../interpreter.ts';
import { requireInputs } from '../materialise-inputs.ts';
import type { CallOptions, RunHandle, RunSpec } from '../port.ts';
import { configDocument, type RankFolders } from '../stage-document.ts';
import { replaceFile, startAttempt, startError, WRAPPER } from '../start-wrapper.ts';
import type { RankSpec } from '../wrapper-spec.ts';
import { runtimeDataSchema } from './build-runtime.ts';
import { containerUser, folderOwner } from './container-user.ts';
import type { Engine, EngineInfo } from './engine.ts';
import { wrapperAddress } from './engine.ts';
import { engineError, statusOf } from './engine-error.ts';
import { engineData } from './engine-of-run.ts';
import { countGpus } from './gpus.ts';
import { inputPlaceholders } from './input-places.ts';
import type { DockerDeps } from './options.ts';
import { removeContainer, removeIdleContainer } from './remove-container.ts';

/** More would not be faster on one machine; the limit is there so that a slip of the pen is refused. */
export const MAX_RANKS = 64;

type Runtime = z.infer<typeof runtimeDataSchema>;

function handleOf({ address }: DockerDeps, run: { runId: string; attempt: number }): RunHandle {
  const { runId, attempt } = run;
  return { backend: 'docker', runId, attempt, externalId: containerName(run, 0), data: engineData(address) };
}

/**
 * Prepares the attempt's folder, creates a container for each rank and starts the run wrapper, which starts them;
 * resolves when the wrapper has taken the job. An attempt that was ever taken is never started again.
 * Errors: NOT_SUPPORTED, INVALID_CONFIG, INPUT_UNAVAILABLE, BACKEND_UNAVAILABLE, STORAGE_UNAVAILABLE.
 */
export async function launchAttempt(
  deps: DockerDeps,
  spec: RunSpec,
  call: CallOptions = {},
): Promise<RunHandle> {
  checkSpec(spec, { name: 'docker', maxNodes: MAX_RANKS, gpus: countGpus() });
  const runtime = runtimeDataSchema.parse(spec.runtime.data);
  refuseWithoutPython(spec, runtime);
  const handle = handleOf(deps, spec);
  const interpreter = await resolveInterpreter(deps);
  const place = await realPlace(deps, spec).catch((error: unknown) => {
    throw startError(error);
  });
  try {
    await startAttempt({
      clock: deps.clock,
      spec,
      handle,
      folders: place.folders,
      python: interpreter.path,
      path: searchPath(deps),
      prepare: () => prepare(deps, { ...place, runtime }),
      signal: call.signal,
    });
  } catch (error) {
    if (!(await tookMeanwhile(error, place))) throw error;
  }
  return handle;
}

/** The run wrapper of a launch that was killed may take the attempt at any moment: then it is started, by that one. */
async function tookMeanwhile(error: unknown, { folders }: Place): Promise<boolean> {
  return isGoldfishError(error) && error.code === 'BACKEND_UNAVAILABLE' && (await wasTaken(folders));
}

/** What takes a first process of ours in the container. */
function refuseWithoutPython(spec: RunSpec, runtime: Runtime): void {
  if (runtime.python) return;
  const secrets = Object.keys(spec.secrets);
  if (secrets.length > 0) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `The ${spec.runtime.description} has no python3, without which a stage cannot be handed secrets (${secrets.join(', ')}).`,
      hint: 'Take an image with Python 3.8 or newer, or take the secret names out of the stage’s environment.',
      details: { secrets },
    });
  }
  if (spec.resources.nodes > 1) {
    throw new GoldfishError('NOT_SUPPORTED', {
      message: `The ${spec.runtime.description} has no python3, without which several ranks cannot start together.`,
      hint: 'Take an image with Python 3.8 or newer, or set compute.nodes to 1.',
    });
  }
}

type Place = { spec: RunSpec; folders: AttemptLayout };

/** The same attempt with every link in its paths resolved, as the engine will look for them. */
async function realPlace({ layout }: DockerDeps, spec: RunSpec): Promise<Place> {
  const real = projectLayout(await realpath(layout.root), await realpath(layout.stateDir));
  await requireInputs(spec.inputs);
  const inputs = await Promise.all(
    spec.inputs.map(async (input) => ({ ...input, localPath: await realpath(input.localPath) })),
  );
  const codeDir = await realpath(spec.codeDir);
  const checkpointsDir = await realpath(spec.checkpointsDir);
  return {
    spec: { ...spec, inputs, codeDir, checkpointsDir },
    folders: real.attempt(spec.runId, spec.attempt),
  };
}

type Attempt = Place & { runtime: Runtime };

/** Folders, documents and containers of the attempt. All may be there already from a launch that was cut short. */
async function prepare(deps: DockerDeps, attempt: Attempt): Promise<RankSpec[]> {
  const { spec, folders } = attempt;
  const owner = folderOwner(deps.user);
  await mkdir(folders.log, { recursive: true, mode: 0o700 });
  await inputPlaceholders(folders.inputs, spec.inputs);
  if (owner) await giveTree(spec.checkpointsDir, owner);
  const owned = Array.from({ length: spec.resources.nodes }, (_, rank) => folders.rank(rank));
  for (const own of owned) await prepareFolders(spec, own, owner);
  const places = await realPlaces(deps);
  try {
    const engine = await deps.engine();
    const info = await engine.info();
    const ranks: RankSpec[] = [];
    for (const [rank, own] of owned.entries()) {
      ranks.push(await createRank({ ...attempt, deps, places, engine, info, rank, own }));
    }
    return ranks;
  } catch (error) {
    throw engineError(error, 'make the container');
  }
}

type OurPlaces = { runtime: string; pythonLibrary: string; nodeLibrary: string };

/** What of ours every container reads. */
async function realPlaces(deps: DockerDeps): Promise<OurPlaces> {
  return {
    runtime: await realpath(dirname(WRAPPER)),
    pythonLibrary: await realpath(deps.sdkDir),
    nodeLibrary: await realpath(deps.nodeLibraryDir),
  };
}

type Owner = { uid: number; gid: number } | undefined;

async function prepareFolders(spec: RunSpec, own: RankFolders, owner: Owner): Promise<void> {
  const directories = spec.outputs.flatMap(({ type, fileName }) => {
    return type === 'directory' ? [join(own.outputs, fileName)] : [];
  });
  for (const folder of [own.outputs, own.control, own.temp, ...directories]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (owner) await chown(folder, owner.uid, owner.gid);
  }
  await replaceFile(own.config, JSON.stringify(configDocument(spec, INSIDE)), 0o400);
  if (owner) await chown(own.config, owner.uid, owner.gid);
}

/** Training state of an earlier attempt may have been saved by another user. Links are given, never followed. */
async function giveTree(path: string, owner: { uid: number; gid: number }): Promise<void> {
  await lchown(path, owner.uid, owner.gid);
  if (!(await lstat(path)).isDirectory()) return;
  for (const name of await readdir(path)) await giveTree(join(path, name), owner);
}

type Rank = Attempt & {
  deps: DockerDeps;
  places: OurPlaces;
  engine: Engine;
  info: EngineInfo;
  rank: number;
  own: RankFolders;
};

async function createRank(place: Rank): Promise<RankSpec> {
  const { deps, engine, spec, runtime, info, rank, own } = place;
  const name = containerName(spec, rank);
  const init = initOf(runtime, info);
  const options = stageContainer({
    spec,
    rank,
    paths: pathsOf(place),
    image: runtime.image,
    pythonPath: runtime.pythonPath,
    init,
    user: containerUser(deps.user),
    machineCpus: info.NCPU,
    project: deps.project,
  });
  // One of that name was never started: no wrapper has taken the attempt.
  await removeNeverStarted(place, name);
  await engine.createContainer(options);
  // kill point: launch/container-created
  return {
    rank,
    control: own.control,
    program: {
      kind: 'container',
      engine: wrapperAddress(deps.address),
      container: name,
      init: init === 'python',
    },
  };
}

/** Without force, for the run wrapper of a launch that was killed may start it just now: its run must go on. */
async function removeNeverStarted({ engine, folders }: Rank, name: string): Promise<void> {
  try {
    await removeIdleContainer(engine, name);
  } catch (error) {
    if (statusOf(error) !== 409 || (await wasTaken(folders))) throw error;
    // Somebody else has started it: a wrapper takes the attempt before it starts anything.
    await removeContainer(engine, name);
  }
}

function initOf(runtime: Runtime, info: EngineInfo): Init {
  if (runtime.python) return 'python';
  return info.InitCommit?.ID === 'N/A' ? 'none' : 'engine';
}

function pathsOf({ places, spec, folders, own }: Rank): StagePaths {
  return {
    ...places,
    code: spec.codeDir,
    config: own.config,
    inputs: folders.inputs,
    input: new Map(spec.inputs.map(({ fileName, localPath }) => [fileName, localPath])),
    outputs: own.outputs,
    control: own.control,
    checkpoints: spec.checkpointsDir,
    temp: own.temp,
  };
}
