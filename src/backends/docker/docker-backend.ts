import { hashJson } from '../../core/json.ts';
import { attemptStatus } from '../attempt-status.ts';
import type { ImageBuilder } from '../image-builder.ts';
import type { BackendProbe, RunBackend } from '../port.ts';
import { buildRuntime, environmentKey, type KeyRequest } from './build-runtime.ts';
import { createImageBuilder } from './docker-image-builder.ts';
import { createEngine, engineAddress } from './engine.ts';
import { engineError } from './engine-error.ts';
import { countGpus } from './gpus.ts';
import { launchAttempt, MAX_RANKS } from './launch.ts';
import type { DockerBackendOptions, DockerDeps } from './options.ts';
import { probeEngine } from './probe.ts';
import { cleanUpAttempt, terminateAttempt } from './stop.ts';
import { sweepNowAndThen } from './sweep.ts';

export type DockerAdapter = {
  backend: RunBackend;
  builder: ImageBuilder;
  /** What `StagePlan.environmentKey` is on this backend, found without building or fetching anything. */
  environmentKey(request: KeyRequest): Promise<string>;
};

/** How long an answer of the engine about itself is believed. */
const PROBE_MS = 3_000;

/**
 * Runs stages in containers of this machine's engine. It finds or builds the image and creates the container; the
 * same run wrapper as beside a process starts it, reads its output, keeps the deadline and leaves the result document.
 */
export function createDockerAdapter(options: DockerBackendOptions): DockerAdapter {
  const deps = dockerDeps(options);
  const builder = createImageBuilder(deps);
  return {
    backend: createBackend(deps, builder),
    builder,
    environmentKey: (request) => environmentKey(deps, request),
  };
}

function createBackend(deps: DockerDeps, builder: ImageBuilder): RunBackend {
  const swept = sweepNowAndThen(deps);
  let seen: { at: number; probe: Promise<BackendProbe> } | undefined;
  const probe = (): Promise<BackendProbe> => {
    const now = deps.clock.monotonic();
    if (seen === undefined || now - seen.at > PROBE_MS) {
      seen = { at: now, probe: probeEngine(deps).catch(failedProbe) };
    }
    return seen.probe;
  };
  return {
    name: 'docker',
    capabilities: {
      gpu: countGpus() > 0,
      spot: false,
      isolation: 'container',
      maxNodes: MAX_RANKS,
      longestSeconds: null,
      liveLogs: 'local',
      hasLaunchDelay: false,
      ackTimeoutSeconds: 1,
    },
    probe,
    build: (request, call) => buildRuntime({ ...deps, builder }, request, call),
    launch: async (spec, call) => {
      const handle = await launchAttempt(deps, spec, call);
      // When the engine is seen to work: what a dead engine or a killed process has left.
      await swept();
      return handle;
    },
    getStatus: (handles) => Promise.all(handles.map((handle) => attemptStatus(deps.layout, handle))),
    terminate: (handle, request) => terminateAttempt(deps, handle, request),
    cleanup: (handle) => cleanUpAttempt(deps, handle),
  };
}

/** The engine is not connected to before it is needed. */
function dockerDeps(options: DockerBackendOptions): DockerDeps {
  const address = engineAddress(options);
  const project = hashJson({ stateDir: options.layout.stateDir }).replace('sha256:', '').slice(0, 16);
  return { ...options, address, engine: createEngine(address), project };
}

function failedProbe(error: unknown): BackendProbe {
  const told = engineError(error, 'say what it can do');
  const why = told instanceof Error ? told.message : 'the container engine cannot be asked';
  return { available: false, why };
}
