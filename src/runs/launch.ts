import { mkdir } from 'node:fs/promises';
import { diskFull } from '../backends/disk-full.ts';
import { appendLog } from '../backends/log-segments.ts';
import type { Resources, RunBackend, RunSpec, Runtime, SpecInput } from '../backends/port.ts';
import type { Cause } from '../core/causes.ts';
import { isoTime } from '../core/clock.ts';
import { isGoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { RunInput, StageRun, StoredOutput } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import { signalFileName } from '../core/signals.ts';
import type { ComputeSettings } from '../core/stage-plan.ts';
import { localContent } from '../data/local-content.ts';
import { recordAttempt } from '../store/attempts.ts';
import { isLeaseLost } from '../store/lease.ts';
import { applyRunEvent } from '../store/run-events.ts';
import { inputsOfRun, outputByHash, outputsOfRun } from '../store/signals.ts';
import { recordedSource } from '../store/sources.ts';
import { getStageRun } from '../store/stage-runs.ts';
import { missingSecrets } from './admit.ts';
import type { RunsDeps } from './deps.ts';
import { endWithCause } from './end.ts';
import { endOfStep, nameInput } from './failed-step.ts';
import { findStarted, noteStarted } from './find-started.ts';
import { runtimeSoFar } from './runtime-so-far.ts';
import { bringCheckpoints } from './start-from.ts';

/** How often a claimed run looks for the values of its names. */
const SECRETS_PAUSE_MS = 1_000;

type LaunchOptions = {
  wakeSocket: string | null;
  signal: AbortSignal;
  /** Whether a step that failed for now (an engine that starts anew, a full disk) is to be tried again later. */
  isPatient: () => boolean;
  /** Told while a name has no value: that is no time in which the run should have begun. */
  onWait?: () => void;
};

/**
 * Brings a claimed run from `preparing` to a launched attempt: code, inputs, what it runs in, the backend.
 * Every step may be repeated, so a supervisor that finds a run in one of these states starts here again; what the
 * backend took already is found, and needs nothing of all that. A fault of the run ends it with its cause.
 * Errors: what may pass, while `isPatient`; the caller comes again.
 */
export async function launchRun(deps: RunsDeps, runId: string, options: LaunchOptions): Promise<void> {
  const run = getStageRun(deps.db, runId);
  if (!run || isTerminal(run.state)) return;
  // kill point: launch/begun
  if (await findStarted(deps, run, options.signal)) return;
  if (missingSecrets(deps, run) !== null) return waitForSecrets(deps, options);
  const timeoutSeconds = run.plan.compute.timeoutSeconds - runtimeSoFar(deps.db, run.id) / 1000;
  if (timeoutSeconds <= 0) return refuseSpent(deps, run);
  const step = stepper(deps, run, options);

  // kill point: launch/looked-up
  const backend = await step('launch_failed', () => deps.backends.get(run.backend));
  if (!backend) return;
  const prepared = await step('input_unavailable', () => prepare(deps, run, options.signal));
  if (!prepared || !moveOn(deps, run, 'build')) return;
  // kill point: build/announced
  const runtime = await step('build_failed', () =>
    build({ deps, run, backend, codeDir: prepared.codeDir, signal: options.signal }),
  );
  if (!runtime) return;
  // kill point: build/done
  // Read as late as can be: building may have taken half an hour.
  const secrets = readSecrets(deps, run);
  if (!secrets) return waitForSecrets(deps, options);
  const { wakeSocket } = options;
  const spec = toSpec(deps, { run, prepared, runtime, secrets, timeoutSeconds, wakeSocket });
  if (!announceLaunch(deps, run)) return;
  // kill point: launch/announced
  const handle = await step('launch_failed', () => backend.launch(spec, { signal: options.signal }));
  // kill point: launch/acted
  // Outside the step: a store that is busy now is no failed launch.
  if (handle) noteStarted(deps, handle);
  // kill point: launch/noted
}

/** The maximum runtime is that of all attempts together. */
async function refuseSpent(deps: RunsDeps, run: StageRun): Promise<void> {
  const message = `Not started again: its attempts ran the ${run.plan.compute.timeoutSeconds} s it may run.`;
  await endWithCause(deps, run, { cause: 'timeout', source: 'supervisor', message });
}

/** A claimed run whose names lost their values, or whose new supervisor has not got them: it is tried again. */
async function waitForSecrets(deps: RunsDeps, { signal, onWait }: LaunchOptions): Promise<void> {
  onWait?.();
  await deps.clock.sleep(SECRETS_PAUSE_MS, { signal });
}

/** Values by the stage's own names, as they are now; undefined while one is absent. */
function readSecrets(deps: Pick<RunsDeps, 'secrets'>, run: StageRun): Record<string, string> | undefined {
  const secrets: Record<string, string> = {};
  for (const [name, reference] of Object.entries(run.plan.secrets)) {
    const value = deps.secrets.value(reference);
    if (value === undefined) return undefined;
    secrets[name] = value;
  }
  return secrets;
}

/** The name an attempt is found by, whoever crashed in between. */
function externalIdOf(run: Pick<StageRun, 'id' | 'attempt'>): string {
  return `goldfish-${run.id}-${run.attempt}`;
}

function attemptOf(run: StageRun): { runId: string; attempt: number } {
  return { runId: run.id, attempt: run.attempt };
}

/** Wraps a step: its failure ends the run for the given cause; an abort (the supervisor ends) leaves it as it is. */
function stepper(deps: RunsDeps, run: StageRun, { signal, isPatient }: LaunchOptions) {
  return async <T>(cause: Cause, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const error = diskFull(thrown, 'the run could not be prepared') ?? thrown;
      if (isLeaseLost(error) || (isGoldfishError(error) && error.retryable && isPatient())) throw error;
      deps.log.warn({ run: run.id, cause, err: error }, 'a step before the start failed');
      await endWithCause(deps, run, { ...endOfStep(cause, error), source: 'supervisor' });
      return undefined;
    }
  };
}

/** Moves forward, or finds it done by an earlier try. False when the run has ended or is to be canceled. */
function moveOn(deps: RunsDeps, run: StageRun, event: 'build' | 'launch'): boolean {
  return deps.db.write(() => {
    const now = getStageRun(deps.db, run.id);
    if (!now || isTerminal(now.state) || now.cancelCause !== null || now.attempt !== run.attempt)
      return false;
    applyRunEvent(deps.db, { runId: run.id, event, source: 'supervisor', at: isoTime(deps.clock.now()) });
    return true;
  });
}

/** State and attempt row are committed before the backend is asked. */
function announceLaunch(deps: RunsDeps, run: StageRun): boolean {
  return deps.db.write(() => {
    if (!moveOn(deps, run, 'launch')) return false;
    recordAttempt(deps.db, { ...attemptOf(run), externalId: externalIdOf(run) });
    return true;
  });
}

type Prepared = { codeDir: string; inputs: SpecInput[] };

async function prepare(deps: RunsDeps, run: StageRun, signal: AbortSignal): Promise<Prepared> {
  const version = await deps.workspaces.version(`${run.workspace}@${formatVersion(run.version)}`);
  const codeDir = await deps.workspaces.checkout(version);
  // kill point: prepare/checked-out
  const inputs: SpecInput[] = [];
  for (const input of inputsOfRun(deps.db, run.id)) {
    const content = contentOf(deps, input);
    if (!content) throw new Error(`input "${input.name}" has no known content`);
    const localPath = await localContent(deps, { hash: content.hash, kind: content.kind }, signal).catch(
      (error: unknown) => {
        throw nameInput(deps, { run, input, error });
      },
    );
    const fileName = signalFileName(input.name, input.type);
    inputs.push({
      name: input.name,
      type: input.type,
      hash: content.hash,
      kind: content.kind,
      fileName,
      localPath,
    });
  }
  const folders = deps.layout.attempt(run.id, run.attempt);
  // kill point: prepare/inputs-found
  await mkdir(folders.dir, { recursive: true, mode: 0o700 });
  await mkdir(folders.checkpoints, { recursive: true, mode: 0o700 });
  await bringCheckpoints(deps, run, signal);
  // kill point: prepare/folders-made
  return { codeDir, inputs };
}

type Content = Pick<StoredOutput, 'hash' | 'kind'>;

/** What the producer stored. A hash alone does not tell: an empty file and an empty folder have the same. */
function contentOf(deps: RunsDeps, input: RunInput): Content | undefined {
  if (input.hash === null) return undefined;
  if (input.fromSource !== null && input.fromSourceVersion !== null) {
    // Deleting a source hides it from new plans; what was planned with it still gets it.
    return recordedSource(deps.db, { name: input.fromSource, version: input.fromSourceVersion });
  }
  const made = input.fromRunId === null ? [] : outputsOfRun(deps.db, input.fromRunId);
  const output = made.find((candidate) => candidate.name === input.fromSignal);
  return output?.hash === input.hash ? output : outputByHash(deps.db, input.hash);
}

async function build(work: {
  deps: RunsDeps;
  run: StageRun;
  backend: RunBackend;
  codeDir: string;
  signal: AbortSignal;
}): Promise<Runtime> {
  const { deps, run, backend, codeDir, signal } = work;
  const { log: dir } = deps.layout.attempt(run.id, run.attempt);
  const lines: string[] = [];
  let written = Promise.resolve();
  const flush = async (): Promise<void> => {
    const entry = { dir, stream: 'build', texts: lines.splice(0), now: deps.clock.now() } as const;
    await appendLog(entry).catch((error: unknown) => {
      deps.log.warn({ run: run.id, err: error }, 'lines of the build log could not be written');
    });
  };
  // A build takes minutes: its log can be read while it goes on. One write at a time, in order.
  const onLine = (text: string): void => {
    lines.push(text);
    if (lines.length === 1) written = written.then(flush);
  };
  try {
    return await backend.build(
      { key: run.plan.environmentKey, codeDir, codeHash: run.plan.codeHash, image: run.plan.image },
      { onLine, signal },
    );
  } finally {
    await written;
  }
}

function toSpec(
  deps: RunsDeps,
  parts: {
    run: StageRun;
    prepared: Prepared;
    runtime: Runtime;
    secrets: Record<string, string>;
    timeoutSeconds: number;
    wakeSocket: string | null;
  },
): RunSpec {
  const { run, prepared, runtime, secrets, wakeSocket } = parts;
  const { plan } = run;
  const { capacityWaitSeconds } = plan.compute;
  const folders = deps.layout.attempt(run.id, run.attempt);
  return {
    runId: run.id,
    attempt: run.attempt,
    workspace: run.workspace,
    version: formatVersion(run.version),
    stage: run.stage,
    profile: plan.compute.profile,
    command: plan.command,
    codeDir: prepared.codeDir,
    attemptDir: folders.dir,
    checkpointsDir: folders.checkpoints,
    config: plan.config,
    environment: plan.environment,
    secrets,
    inputs: prepared.inputs,
    outputs: plan.outputs.map((output) => ({
      ...output,
      fileName: signalFileName(output.name, output.type),
    })),
    resources: resourcesOf(plan.compute),
    runtime,
    timeoutSeconds: parts.timeoutSeconds,
    stopGraceSeconds: plan.compute.stopGraceSeconds,
    ...(capacityWaitSeconds === undefined ? {} : { capacityWaitSeconds }),
    wakeSocket,
  };
}

function resourcesOf(compute: ComputeSettings): Resources {
  const { nodes, memoryBytes, cpus, gpus, pidsLimit, network } = compute;
  return { nodes, memoryBytes, cpus, gpus, pidsLimit, network };
}
