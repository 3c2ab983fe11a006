import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeFiles } from '../../src/backends/code-files.ts';
import { readLog } from '../../src/backends/log-segments.ts';
import type { BackendStatus, RunBackend, RunHandle, RunResult, RunSpec } from '../../src/backends/port.ts';
import type { ProcessBackendOptions } from '../../src/backends/process/options.ts';
import { createProcessBackend, environmentKey } from '../../src/backends/process/process-backend.ts';
import { assetPath } from '../../src/core/assets.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { type Layout, projectLayout } from '../../src/core/layout.ts';

export type Harness = {
  backend: RunBackend;
  layout: Layout;
  options: ProcessBackendOptions;
  codeDir: string;
  /** A folder outside the project. */
  outside: string;
  spec(change?: Partial<RunSpec>): Promise<RunSpec>;
  /** Launches and waits for the end. */
  run(change: Partial<RunSpec>): Promise<{ handle: RunHandle; result: RunResult; spec: RunSpec }>;
  write(path: string, content: string): Promise<void>;
  log(handle: RunHandle): Promise<string[]>;
  close(): Promise<void>;
};

/** A project folder with a process backend over it, without store and supervisor. */
export async function openHarness(
  sandbox: ProcessBackendOptions['sandbox'],
  change: Partial<ProcessBackendOptions> = {},
): Promise<Harness> {
  // With a space and non-ASCII letters: nothing here may go through a shell.
  const outside = await realpath(await mkdtemp(join(tmpdir(), 'goldfish process ü-')));
  const root = join(outside, 'project');
  const layout = projectLayout(root);
  const codeDir = layout.checkout('0123abcd');
  await mkdir(codeDir, { recursive: true });
  const options: ProcessBackendOptions = {
    layout,
    clock: systemClock,
    sandbox,
    python: 'python3',
    sdkDir: assetPath('sdk/python'),
    hostEnvironment: process.env,
    ...change,
  };
  const backend = createProcessBackend(options);
  const launched: RunHandle[] = [];

  const spec = async (wanted: Partial<RunSpec> = {}): Promise<RunSpec> => {
    // Never the same twice: a run's processes are found on the whole machine by its id.
    const runId = wanted.runId ?? systemIds.run();
    const attempt = wanted.attempt ?? 1;
    const folders = layout.attempt(runId, attempt);
    await mkdir(folders.dir, { recursive: true, mode: 0o700 });
    await mkdir(folders.checkpoints, { recursive: true, mode: 0o700 });
    launched.push({ backend: 'process', runId, attempt, externalId: '', data: {} });
    const key = await environmentKey(options, codeFiles(codeDir));
    const runtime =
      wanted.runtime ??
      (await backend.build({ key, codeDir, codeHash: '', image: null }, { onLine: () => undefined }));
    return {
      runId,
      attempt,
      workspace: 'ws',
      version: 'v1',
      stage: 'train',
      command: ['true'],
      codeDir,
      attemptDir: folders.dir,
      checkpointsDir: folders.checkpoints,
      config: {},
      environment: {},
      secrets: {},
      inputs: [],
      outputs: [],
      resources: { nodes: 1, memoryBytes: null, cpus: null, gpus: 0, pidsLimit: null, network: true },
      timeoutSeconds: 60,
      stopGraceSeconds: 5,
      wakeSocket: null,
      ...wanted,
      runtime,
    };
  };

  return {
    backend,
    layout,
    options,
    codeDir,
    outside,
    spec,
    run: async (wanted) => {
      const made = await spec(wanted);
      const handle = await backend.launch(made);
      return { handle, spec: made, result: await endOf(backend, handle) };
    },
    write: async (path, content) => {
      await mkdir(join(codeDir, path, '..'), { recursive: true });
      await writeFile(join(codeDir, path), content);
    },
    log: async (handle) => {
      const page = await readLog({ dir: layout.attempt(handle.runId, handle.attempt).log, limitLines: 1e6 });
      return page.lines.map((line) => line.text);
    },
    close: async () => {
      for (const handle of launched) await backend.cleanup(handle);
      await rm(outside, { recursive: true, force: true });
    },
  };
}

/** Generous: a disk that everybody uses writes 200 MB slowly. */
const LIMIT_SECONDS = 50;

/** Polls until a condition holds; fails with what was last seen. */
export async function until<T>(look: () => Promise<T | undefined | false>, what: string): Promise<T> {
  const limit = performance.now() + LIMIT_SECONDS * 1000;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > limit) throw new Error(`did not happen within ${LIMIT_SECONDS} s: ${what}`);
    await systemClock.sleep(10);
  }
}

export function statusOf(backend: RunBackend, handle: RunHandle): Promise<BackendStatus> {
  return backend.getStatus([handle]).then(([status]) => status!);
}

export async function endOf(backend: RunBackend, handle: RunHandle): Promise<RunResult> {
  const reading = await until(async () => (await statusOf(backend, handle)).result ?? undefined, 'a result');
  if (reading.kind !== 'read') throw new Error(`${reading.kind}: ${reading.detail}`);
  return reading.result;
}

export async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}

/** Whether any process carries the text in its arguments or environment. Zombies have neither. */
export async function findProcesses(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const seen = await Promise.all(
      ['cmdline', 'environ'].map((file) => readFile(`/proc/${name}/${file}`, 'latin1').catch(() => '')),
    );
    if (seen.some((content) => content.includes(text))) found.push(Number(name));
  }
  return found;
}
