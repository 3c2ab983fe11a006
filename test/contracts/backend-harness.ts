import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { codeFiles } from '../../src/backends/code-files.ts';
import type { HostOptions } from '../../src/backends/host-options.ts';
import { readLog } from '../../src/backends/log-segments.ts';
import type {
  BackendStatus,
  BuildRequest,
  RunBackend,
  RunHandle,
  RunResult,
  RunSpec,
} from '../../src/backends/port.ts';
import { assetPath } from '../../src/core/assets.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { type Layout, projectLayout } from '../../src/core/layout.ts';
import type { FileReader } from '../../src/pipeline/file-reader.ts';

/** What a backend's own test file gives: how to make one over a project, and what only it can tell. */
export type BackendUnderTest = {
  /** Asked twice for the same options it makes two that know nothing of each other. */
  make(options: HostOptions): {
    backend: RunBackend;
    environmentKey(files: FileReader, codeHash: string): Promise<string>;
  };
  /** Kills what executes the attempt, as a crash would: no result document is left. */
  loseExecutor(harness: BackendHarness, handle: RunHandle): Promise<void>;
  /** Whatever of the attempt still runs or is held, by the mark its processes carry in their environment. */
  remains(handle: RunHandle): Promise<string[]>;
  /** Everything that what executes the attempt keeps of it outside its folder, while it runs. */
  recorded(handle: RunHandle): Promise<string>;
  /** Removes what a backend with a defect leaves: the machine of whoever runs the tests stays as it was. */
  discard?(handle: RunHandle): Promise<void>;
};

export type BackendHarness = {
  backend: RunBackend;
  /** Another one over the same project, as after a restart. */
  another(): RunBackend;
  layout: Layout;
  codeDir: string;
  /** A folder outside the project. */
  outside: string;
  /** What `build` is asked for the code as it stands. */
  buildRequest(change?: Partial<BuildRequest>): Promise<BuildRequest>;
  spec(change?: Partial<RunSpec>): Promise<RunSpec>;
  /** Launches. */
  start(change: Partial<RunSpec>): Promise<{ handle: RunHandle; spec: RunSpec }>;
  /** Launches and waits for the end. */
  run(change: Partial<RunSpec>): Promise<{ handle: RunHandle; result: RunResult; spec: RunSpec }>;
  ended(handle: RunHandle): Promise<{ status: BackendStatus; result: RunResult }>;
  /** Waits until the program has made a file `go` in its control folder. */
  ready(handle: RunHandle): Promise<void>;
  /** Writes a file of the version. */
  write(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
  log(handle: RunHandle): Promise<string[]>;
  remains(handle: RunHandle): Promise<string[]>;
  recorded(handle: RunHandle): Promise<string>;
  loseExecutor(handle: RunHandle): Promise<void>;
  close(): Promise<void>;
};

/** A project folder with a backend over it, without store and supervisor. */
export async function openHarness(under: BackendUnderTest): Promise<BackendHarness> {
  // With a space and non-ASCII letters: nothing here may go through a shell.
  const outside = await realpath(await mkdtemp(join(tmpdir(), 'goldfish backend ü-')));
  const layout = projectLayout(join(outside, 'project'));
  const codeDir = layout.checkout('0123abcd');
  await mkdir(codeDir, { recursive: true });
  const options: HostOptions = {
    layout,
    clock: systemClock,
    python: 'python3',
    sdkDir: assetPath('sdk/python'),
    hostEnvironment: process.env,
  };
  const made = under.make(options);
  const { backend } = made;
  const launched: RunHandle[] = [];

  const buildRequest: BackendHarness['buildRequest'] = async (change = {}) => {
    const codeHash = change.codeHash ?? 'sha256:code';
    const key = await made.environmentKey(codeFiles(codeDir), codeHash);
    return { key, codeDir, codeHash, image: null, ...change };
  };
  const spec: BackendHarness['spec'] = async (wanted = {}) => {
    // Never the same twice: what is left of a run is looked for on the whole machine by its id.
    const runId = wanted.runId ?? systemIds.run();
    const attempt = wanted.attempt ?? 1;
    const folders = layout.attempt(runId, attempt);
    await mkdir(folders.dir, { recursive: true, mode: 0o700 });
    await mkdir(folders.checkpoints, { recursive: true, mode: 0o700 });
    launched.push({ backend: backend.name, runId, attempt, externalId: '', data: {} });
    const runtime =
      wanted.runtime ?? (await backend.build(await buildRequest(), { onLine: () => undefined }));
    return {
      runId,
      attempt,
      workspace: 'ws',
      version: 'v1',
      stage: 'train',
      profile: 'default',
      command: ['true'],
      codeDir,
      attemptDir: folders.dir,
      checkpointsDir: folders.checkpoints,
      config: {},
      environment: {},
      secrets: {},
      inputs: [],
      outputs: [],
      resources: { nodes: 1, memoryBytes: null, cpus: null, gpus: 0, pidsLimit: null, network: false },
      timeoutSeconds: 60,
      stopGraceSeconds: 5,
      wakeSocket: null,
      ...wanted,
      runtime,
    };
  };
  const start: BackendHarness['start'] = async (wanted) => {
    const asked = await spec(wanted);
    return { handle: await backend.launch(asked), spec: asked };
  };
  const harness: BackendHarness = {
    backend,
    another: () => under.make(options).backend,
    layout,
    codeDir,
    outside,
    buildRequest,
    spec,
    start,
    run: async (wanted) => {
      const started = await start(wanted);
      return { ...started, result: await endOf(backend, started.handle) };
    },
    ended: async (handle) => {
      const result = await endOf(backend, handle);
      return { status: await statusOf(backend, handle), result };
    },
    ready: async (handle) => {
      const { control } = layout.attempt(handle.runId, handle.attempt);
      await until(() => readIfThere(join(control, 'go')), 'the program ran');
    },
    write: async (path, content) => {
      await mkdir(dirname(join(codeDir, path)), { recursive: true });
      await writeFile(join(codeDir, path), content);
    },
    remove: (path) => rm(join(codeDir, path), { recursive: true }),
    log: async (handle) => {
      const page = await readLog({ dir: layout.attempt(handle.runId, handle.attempt).log, limitLines: 1e6 });
      return page.lines.map((line) => line.text);
    },
    remains: (handle) => under.remains(handle),
    recorded: (handle) => under.recorded(handle),
    loseExecutor: (handle) => under.loseExecutor(harness, handle),
    close: async () => {
      for (const handle of launched) {
        await backend.cleanup(handle);
        await under.discard?.(handle);
      }
      await rm(outside, { recursive: true, force: true });
    },
  };
  return harness;
}

/** Less than a test may take, so that the failure says what was waited for. */
const LIMIT_MS = 50_000;

/** Polls until a condition holds; fails with what was last seen. */
export async function until<T>(look: () => Promise<T | undefined | false>, what: string): Promise<T> {
  const limit = performance.now() + LIMIT_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > limit) throw new Error(`did not happen in time: ${what}`);
    await systemClock.sleep(10);
  }
}

export async function statusOf(backend: RunBackend, handle: RunHandle): Promise<BackendStatus> {
  const [status] = await backend.getStatus([handle]);
  if (!status) throw new Error('there is no answer for the handle');
  return status;
}

export async function endOf(backend: RunBackend, handle: RunHandle): Promise<RunResult> {
  const reading = await until(async () => (await statusOf(backend, handle)).result ?? undefined, 'a result');
  if (reading.kind !== 'read') throw new Error(`${reading.kind}: ${reading.detail}`);
  return reading.result;
}

export async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}

/** Processes that carry the text in their arguments or environment. Zombies have neither. */
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

/** The run wrapper of an attempt, by what it wrote of itself. */
export async function killWrapper(harness: BackendHarness, handle: RunHandle): Promise<void> {
  const { wrapper } = harness.layout.attempt(handle.runId, handle.attempt);
  const { pid } = JSON.parse(await readFile(wrapper, 'utf8')) as { pid: number };
  process.kill(pid, 'SIGKILL');
}
