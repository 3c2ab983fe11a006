import { messageOf } from '../../core/errors.ts';
import type { FileReader } from '../../pipeline/file-reader.ts';
import { attemptStatus } from '../attempt-status.ts';
import { resolveInterpreter } from '../interpreter.ts';
import type { BackendCapabilities, BackendProbe, RunBackend } from '../port.ts';
import { buildEnvironment } from './build-environment.ts';
import { interpreterKey } from './interpreter-key.ts';
import { launchAttempt, MAX_RANKS } from './launch.ts';
import type { ProcessBackendOptions } from './options.ts';
import { describeSandbox, findSandbox, INSTALL_SANDBOX, type Sandbox } from './sandbox.ts';
import { cleanUpAttempt, terminateAttempt } from './stop.ts';

const TRY_AGAIN_MS = 30_000;

/**
 * Runs stages as supervised processes of this machine: the embedded default. One run wrapper per attempt outlives
 * server and supervisor, keeps the deadline and leaves the result document; this side prepares, looks and asks.
 */
export function createProcessBackend(options: ProcessBackendOptions): RunBackend {
  let found: Sandbox | undefined;
  let triedAt = 0;
  // Decided once per process, unless it could not be tried; trying may take long, so not at every look.
  const sandbox = (): Sandbox => {
    const now = options.clock.monotonic();
    if (found && (found.kind !== 'unknown' || now - triedAt < TRY_AGAIN_MS)) return found;
    found = findSandbox(options);
    triedAt = now;
    return found;
  };
  return {
    name: 'process',
    get capabilities() {
      return capabilities(sandbox());
    },
    probe: () => probe(options, sandbox()),
    build: (request, call) => buildEnvironment(options, request, call),
    launch: (spec, call) => launchAttempt({ ...options, findSandbox: sandbox }, spec, call),
    getStatus: (handles) => Promise.all(handles.map((handle) => attemptStatus(options.layout, handle))),
    terminate: (handle, request) => terminateAttempt(options, handle, request),
    cleanup: (handle) => cleanUpAttempt(options, handle),
  };
}

/** What `StagePlan.environmentKey` is on this backend, found without building anything. */
export function environmentKey(
  options: Pick<ProcessBackendOptions, 'python' | 'layout' | 'hostEnvironment'>,
  files: FileReader,
): Promise<string> {
  return interpreterKey(options, files);
}

function capabilities(sandbox: Sandbox): BackendCapabilities {
  return {
    gpu: false,
    spot: false,
    isolation: sandbox.kind === 'bubblewrap' ? 'namespaces' : 'none',
    maxNodes: MAX_RANKS,
    longestSeconds: null,
    liveLogs: 'local',
    hasLaunchDelay: false,
    ackTimeoutSeconds: 1,
  };
}

async function probe(options: ProcessBackendOptions, sandbox: Sandbox): Promise<BackendProbe> {
  if (process.platform !== 'linux') {
    return {
      available: false,
      why: 'the process backend needs Linux',
      hint: 'Run Goldfish on Linux, or in a Linux container or virtual machine.',
    };
  }
  if (sandbox.kind === 'unknown') {
    return { available: false, why: sandbox.why, hint: 'It is tried again; the machine may be overloaded.' };
  }
  if (options.sandbox === 'bubblewrap' && sandbox.kind === 'none') {
    return {
      available: false,
      why: `process.sandbox is bubblewrap, but ${sandbox.why}`,
      hint: INSTALL_SANDBOX,
    };
  }
  try {
    await resolveInterpreter(options);
  } catch (error) {
    return {
      available: false,
      why: messageOf(error),
      hint: 'Install Python 3.8 or newer, or set process.python.',
    };
  }
  const why = describeSandbox(sandbox);
  return sandbox.kind === 'none' && sandbox.missing
    ? { available: true, why, hint: INSTALL_SANDBOX }
    : { available: true, why };
}
