import { cpSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadConfig } from '../../src/config/load-config.ts';
import { createSecrets } from '../../src/config/secrets.ts';
import { NO_LIMITS } from '../../src/context-limits.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { systemIds } from '../../src/core/ids.ts';
import { projectLayout } from '../../src/core/layout.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { StageRun, WorkspaceVersion } from '../../src/core/rows.ts';
import { signalFileName } from '../../src/core/signals.ts';
import { createSources } from '../../src/data/sources.ts';
import type { FileReader } from '../../src/pipeline/file-reader.ts';
import type { Backends, RunsDeps } from '../../src/runs/deps.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import type { SubmittedCall } from '../../src/runs/submission.ts';
import { submitRun } from '../../src/runs/submit.ts';
import { NOTHING_TO_TEND } from '../../src/runs/tending.ts';
import { createLocalStorage } from '../../src/storage/local/local-storage.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { getStageRun, runsOfPipelineRun } from '../../src/store/stage-runs.ts';
import { insertWorkspace } from '../../src/store/workspaces.ts';
import { createLoop } from '../../src/supervisor/loop.ts';
import { removeTree } from '../../src/workspaces/moves.ts';
import type { SlotPreview } from '../../src/workspaces/slot-preview.ts';
import { createWorkspaces } from '../../src/workspaces/workspaces.ts';
import { createFakeBackend, type FakeBackend } from './fake-backend.ts';
import { createTestClock } from './test-clock.ts';

/**
 * The services of the runs room on a real store, real versions and real storage, with a backend that executes
 * nothing. Workspace `exp` is mounted in `w1`.
 */
export type RunsProject = {
  root: string;
  deps: RunsDeps;
  db: Db;
  fake: FakeBackend;
  /** What stage configs may name as a value from the environment; empty, whatever this machine has. */
  environment: Record<string, string>;
  /** Messages of the log, newest last. */
  logged: string[];
  /** A file of the slot. */
  write(path: string, content: string): void;
  submit(request?: Partial<RunRequest>): Promise<SubmittedCall>;
  run(id: string): StageRun;
  runOf(pipelineRunId: string, stage: string): StageRun;
  /** One look of the supervisor, and the end of everything it started. */
  tick(): Promise<void>;
  loop: Loop;
  /** Another supervisor's hands on the same store, as after a crash of the first. */
  newLoop(signal?: AbortSignal): Loop;
  /** A supervisor dies right after its backend has started the run, before it could note that. */
  startAndDie(runId: string): Promise<void>;
  /** Writes what the program would have written, as JSON, and lets it end well. */
  complete(runId: string, outputs?: Record<string, unknown>): Promise<void>;
  dispose(): Promise<void>;
};

type Loop = ReturnType<typeof createLoop>;
type Options = { config?: string; clock?: Clock; files?: Record<string, string> };

/**
 * Made once per file and copied for every test, for git takes its time. What it said of the slot and of its version
 * is not asked again until the test writes to the slot, or says `live`.
 */
export type PreparedProject = {
  /** A pipeline run of all stages, stored and pending in every copy. */
  first: string;
  open(options?: { clock?: Clock; live?: boolean }): Promise<RunsProject>;
  dispose(): Promise<void>;
};

export async function prepareRunsProject(options: Options = {}): Promise<PreparedProject> {
  const original = await createRunsProject({ clock: createTestClock().clock, ...options });
  const { pipelineRun, version } = await original.submit();
  const said = await whatGitSays(original, version);
  return preparedFrom(original, { first: pipelineRun.id, said });
}

/** The same without git, for tests that are about neither slots nor versions: v1 is given, and nobody writes. */
export async function prepareGivenVersion(options: Options = {}): Promise<PreparedProject> {
  const root = newRoot(options);
  const files = new Map(Object.entries(options.files ?? {}));
  const at = '2026-01-01T00:00:00.000Z';
  const version: WorkspaceVersion = {
    workspace: 'exp',
    version: 1,
    gitSha: 'given',
    treeSha: 'given',
    createdBy: 'fork',
    message: 'Given',
    createdAt: at,
    prunedAt: null,
  };
  const preview = { workspace: 'exp', version: 1, wouldCreate: false, codeHash: 'sha256:code' };
  const said: Said = { version, preview, files, code: join(root, 'template') };
  const opened = await openRunsProject(root, createTestClock().clock);
  insertWorkspace(
    opened.db,
    { name: 'exp', goal: 'Given', fromWorkspace: null, fromVersion: null, createdAt: at },
    version,
  );
  const original = believing(opened, said, notWritten);
  const { pipelineRun } = await original.submit();
  return preparedFrom(original, { first: pipelineRun.id, said });
}

function notWritten(): never {
  throw new Error('there is no slot to write to: prepareRunsProject makes one');
}

function preparedFrom(
  original: RunsProject,
  { first, said }: { first: string; said: Said },
): PreparedProject {
  original.db.close();
  const { checkouts, versionStore } = original.deps.layout;
  return {
    first,
    open: async ({ clock, live } = {}) => {
      const root = mkdtempSync(join(tmpdir(), 'goldfish-runs-'));
      const left = [checkouts, ...(live ? [] : [versionStore])];
      cpSync(original.root, root, { recursive: true, filter: (path) => !left.includes(path) });
      const project = await openRunsProject(root, clock ?? systemClock);
      if (live) return project;
      return believing(project, said, () => {
        if (!existsSync(versionStore)) notWritten();
        cpSync(versionStore, project.deps.layout.versionStore, { recursive: true });
      });
    },
    dispose: () => removeTree(original.root),
  };
}

type Said = {
  version: WorkspaceVersion;
  preview: Omit<SlotPreview, 'files'>;
  files: Map<string, string>;
  /** The folder of the checkout. */
  code: string;
};

async function whatGitSays(project: RunsProject, version: WorkspaceVersion): Promise<Said> {
  const { workspaces } = project.deps;
  const preview = await workspaces.preview('exp');
  const files = new Map<string, string>();
  for (const path of await preview.files.list()) files.set(path, (await preview.files.read(path)) ?? '');
  return { version, preview, files, code: await workspaces.checkout(version) };
}

function believing(project: RunsProject, said: Said, beforeWriting: () => void): RunsProject {
  const { version, preview, files, code } = said;
  const { workspaces } = project.deps;
  const known: FileReader = {
    list: async () => [...files.keys()],
    read: async (path) => files.get(path) ?? null,
  };
  const isKnown = ({ treeSha }: { treeSha: string }): boolean => treeSha === version.treeSha;
  let written = false;
  project.deps.workspaces = {
    ...workspaces,
    preview: async (of) => (written || of !== 'exp' ? workspaces.preview(of) : { ...preview, files: known }),
    snapshot: async (request) => (written ? workspaces.snapshot(request) : { version, created: false }),
    files: (of) => ({ ...workspaces.files(of), ...(isKnown(of) ? known : {}) }),
    codeHash: async (of) => (isKnown(of) ? preview.codeHash : workspaces.codeHash(of)),
    checkout: async (of) => (isKnown(of) ? code : workspaces.checkout(of)),
  };
  const { write } = project;
  return {
    ...project,
    write: (path, content) => {
      if (!written) beforeWriting();
      written = true;
      write(path, content);
    },
  };
}

export async function createRunsProject(options: Options = {}): Promise<RunsProject> {
  const root = newRoot(options);
  const project = await openRunsProject(root, options.clock ?? systemClock);
  await project.deps.workspaces.create({ name: 'exp', goal: 'See that the promise holds' });
  await project.deps.workspaces.mount({ workspace: 'exp', slot: 'w1' });
  return project;
}

function newRoot(options: Options): string {
  const root = mkdtempSync(join(tmpdir(), 'goldfish-runs-'));
  writeFileSync(join(root, 'goldfish.yaml'), `project_name: test\n${options.config ?? ''}`);
  for (const [path, text] of Object.entries(options.files ?? {})) writeAt(join(root, 'template', path), text);
  return root;
}

async function openRunsProject(root: string, clock: Clock): Promise<RunsProject> {
  const environment: Record<string, string> = {};
  const { config, settings } = await loadConfig({ root, environment });
  const layout = projectLayout(root);
  mkdirSync(layout.stateDir, { recursive: true });
  const db = openDatabase(layout.database, { create: true });
  db.prepare('PRAGMA synchronous = OFF').run();
  const workspaces = createWorkspaces({
    db,
    // Git takes the time it takes: the patience of a lock must not be a test's.
    clock: systemClock,
    ids: systemIds,
    layout,
    slots: config.slots,
    maxFileBytes: 1_000_000,
    templateDir: join(root, 'template'),
  });
  const fake = createFakeBackend();
  const logged: string[] = [];
  const storage = createLocalStorage({ dir: layout.objects });
  const backends: Backends = {
    names: ['process'],
    get: async () => fake.backend,
    choose: async () => ({ name: 'process', why: 'a fake of the tests' }),
    capacity: () => config.process.maxParallel,
    environmentKey: async () => 'sha256:environment',
    limits: () => NO_LIMITS,
    tend: async () => undefined,
    close: async () => undefined,
    hasWards: () => false,
    tending: NOTHING_TO_TEND,
    over: () => backends,
  };
  const deps: RunsDeps = {
    db,
    clock,
    ids: systemIds,
    layout,
    log: recordingLog(logged),
    config,
    settings,
    secrets: createSecrets({ root, environment }),
    storage,
    backends,
    workspaces,
    sources: createSources({ db, clock, ids: systemIds, layout, config, storage, workspaces }),
    goldfishVersion: '0.0.0',
  };
  const stop = new AbortController();
  const newLoop = (signal = stop.signal): Loop =>
    createLoop(deps, { wakeSocket: null, signal, wake: () => undefined });
  const loop = newLoop();
  const startAndDie = async (runId: string): Promise<void> => {
    const dying = new AbortController();
    fake.afterStart = (started) => {
      // Another stage may start first.
      if (started !== runId) return;
      dying.abort();
      throw new Error('killed');
    };
    const first = newLoop(dying.signal);
    await first.tick();
    await first.settled();
    fake.afterStart = undefined;
  };
  const run = (id: string): StageRun => {
    const found = getStageRun(db, id);
    if (!found) throw new Error(`no run ${id}`);
    return found;
  };
  const tick = async (): Promise<void> => {
    await loop.tick();
    await loop.settled();
  };
  return {
    root,
    deps,
    db,
    fake,
    environment,
    logged,
    write: (path, content) => writeAt(join(root, 'workspaces', 'w1', path), content),
    submit: (request = {}) =>
      submitRun(deps, { workspace: 'exp', reason: 'A test of the runs room', useCache: true, ...request }),
    run,
    runOf: (pipelineRunId, stage) => {
      const found = runsOfPipelineRun(db, pipelineRunId).find((candidate) => candidate.stage === stage);
      if (!found) throw new Error(`no run of ${stage}`);
      return found;
    },
    tick,
    loop,
    newLoop,
    startAndDie,
    complete: async (runId, outputs = {}) => {
      const { plan, attempt } = run(runId);
      const folder = layout.attempt(runId, attempt).outputs;
      for (const { name, type } of plan.outputs) {
        writeAt(join(folder, signalFileName(name, type)), JSON.stringify(outputs[name] ?? { name }));
      }
      fake.end(runId);
      await tick();
    },
    dispose: async () => {
      stop.abort();
      await loop.settled();
      db.close();
      await removeTree(root);
    },
  };
}

function recordingLog(messages: string[]): Logger {
  const add = (fields: Record<string, unknown>, message: string): void => {
    messages.push(`${message} ${fields['err'] instanceof Error ? fields['err'].message : ''}`.trim());
  };
  return { debug: add, info: add, warn: add, error: add };
}

function writeAt(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/** `one → two`, and `lone` beside them. */
export const THREE_STAGES: Record<string, string> = {
  'pipeline.yaml': `name: three
stages:
  - name: one
    outputs: { a: json }
  - name: two
    inputs: { a: { from_stage: one, signal: a } }
    outputs: { b: json }
  - name: lone
    outputs: { c: json }
`,
  'configs/one.yaml': 'k: 1\n',
  'configs/two.yaml': 'depth: 3\ncompute: { timeout_seconds: 60 }\n',
  'modules/one.py': 'pass\n',
  'modules/two.py': 'pass\n',
  'modules/lone.py': 'pass\n',
};
