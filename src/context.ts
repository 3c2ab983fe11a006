import { mkdir } from 'node:fs/promises';
import { countGpus } from './backends/docker/gpus.ts';
import type { RunBackend } from './backends/port.ts';
import type { Backups } from './backup/backups.ts';
import type { BackupDeps } from './backup/create-backup.ts';
import type { Config } from './config/config.ts';
import { hostEnvironment, runtimeDir } from './config/host.ts';
import { loadConfig } from './config/load-config.ts';
import type { Problem } from './config/problem.ts';
import { createSecrets } from './config/secrets.ts';
import type { Setting } from './config/settings.ts';
import { assetPath } from './core/assets.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { GoldfishError } from './core/errors.ts';
import { type Ids, systemIds } from './core/ids.ts';
import { type Layout, projectLayout } from './core/layout.ts';
import type { Logger } from './core/logger.ts';
import { redact } from './core/redact.ts';
import { nearest } from './core/suggest.ts';
import { GOLDFISH_VERSION } from './core/version.ts';
import { createSources, type Sources } from './data/sources.ts';
import { createLogger } from './os/file-logger.ts';
import { stderrLogger } from './os/stderr-logger.ts';
import type { BackendLimits, Backends, RunsDeps } from './runs/deps.ts';
import type { createEnsureSupervisor } from './runs/ensure-supervisor.ts';
import { createRuns, type Runs } from './runs/runs.ts';
import { secretsOfSupervisor } from './runs/supervisor-secrets.ts';
import { createLocalStorage } from './storage/local/local-storage.ts';
import type { ObjectStorage } from './storage/port.ts';
import { type Db, openDatabase, openDatabaseForReading } from './store/database.ts';
import { ensureProject } from './store/project.ts';
import { createWorkspaces, type Workspaces } from './workspaces/workspaces.ts';

/** Everything tools, commands and the supervisor work with. Built once per process and project, handed on explicitly. */
export type ServerContext = {
  /** Absolute path of the project. */
  root: string;
  config: Config;
  /** Every value with its origin. */
  settings: Setting[];
  /** What a reader of goldfish.yaml should know though nothing is wrong with it. */
  configNotes: Problem[];
  layout: Layout;
  clock: Clock;
  ids: Ids;
  log: Logger;
  /** Takes the values of known secrets out of a text. */
  hide(text: string): string;
  db: Db;
  storage: ObjectStorage;
  backends: Backends;
  workspaces: Workspaces;
  sources: Sources;
  runs: Runs;
  backups(): Promise<Backups>;
  goldfishVersion: string;
  /** Nothing is written through this context: no row, no file, no supervisor. */
  readOnly: boolean;
  /** Where wake-up sockets are. */
  runtimeDir: string;
  /** What the services of the runs room are made of, for the supervisor, which puts its fenced store in. */
  runsDeps: RunsDeps;
  /** Wakes the supervisor, or starts one where there is work and none. */
  ensureSupervisor(): Promise<void>;
  close(): Promise<void>;
};

export type ContextOptions = {
  root: string;
  /** Decides the log file, and that a supervisor does not start supervisors. */
  role?: 'server' | 'command' | 'supervisor';
  /** Default `never`; `as_configured` asks mcp.read_only. */
  readOnly?: ReadOnly;
  clock?: Clock;
  ids?: Ids;
  log?: Logger;
};

export type ReadOnly = 'always' | 'never' | 'as_configured';

/**
 * Opens a project: reads its config, makes its private state where it is missing, opens the store; read-only, it makes
 * nothing.
 * Errors: PROJECT_NOT_FOUND, INVALID_CONFIG, STORAGE_UNAVAILABLE, CONFLICT (a newer schema).
 */
export async function openContext(options: ContextOptions): Promise<ServerContext> {
  const { root, role = 'command', clock = systemClock, ids = systemIds } = options;
  const { config, settings, notes: configNotes } = await loadConfig({ root });
  const layout = projectLayout(root, config.stateDir);
  const readOnly = isReadOnly(options.readOnly, config);
  if (!readOnly) await mkdir(layout.stateDir, { recursive: true, mode: 0o700 });
  const own = createSecrets({ root, environment: hostEnvironment() });
  const hide = (text: string): string => redact(text, own.known());
  const logFile = role === 'supervisor' ? layout.supervisorLog : layout.serverLog;
  const log = options.log ?? (readOnly ? stderrLogger : await createLogger(logFile, hide));
  const db = readOnly
    ? openDatabaseForReading(layout.database)
    : openDatabase(layout.database, { create: true });
  if (!readOnly) ensureProject(db, { name: config.projectName, now: clock.now() });

  const storage = createLocalStorage({ dir: config.storage.local.path });
  const backends = createBackends({ config, layout, clock, log });
  const workspaces = createWorkspaces({
    db,
    clock,
    ids,
    layout,
    slots: config.slots,
    maxFileBytes: config.versions.maxFileBytes,
    templateDir: assetPath('templates/minimal'),
    ...searchPath(),
  });
  const goldfishVersion = GOLDFISH_VERSION;
  const background = backgroundWork();
  const sources = createSources({ db, clock, ids, layout, config, storage, workspaces });
  const { projectName } = config;
  const backups = lazyBackups({ db, clock, ids, layout, storage, projectName, goldfishVersion });
  const runsDeps: RunsDeps = {
    db,
    clock,
    ids,
    layout,
    log,
    config,
    settings,
    secrets: role === 'supervisor' ? own : secretsOfSupervisor({ root, db, clock, own }),
    storage,
    backends,
    workspaces,
    sources,
    goldfishVersion,
  };
  if (role === 'server' && !readOnly) {
    // What a death interrupted is finished beside the first calls, which do not depend on it.
    background
      .run(workspaces.recover())
      .catch((error: unknown) => log.error({ err: error }, 'recovery of the slots failed'));
  }
  const base = { root, db, clock, layout, log, hide, runtimeDir: runtimeDir() };
  const ensureSupervisor = role === 'supervisor' || readOnly ? async () => undefined : lazyEnsure(base);
  return {
    ...base,
    config,
    settings,
    configNotes,
    ids,
    storage,
    backends,
    workspaces,
    sources,
    runs: createRuns(runsDeps, ensureSupervisor),
    backups: backups.get,
    goldfishVersion,
    readOnly,
    runsDeps,
    ensureSupervisor: () => background.run(ensureSupervisor()),
    close: async () => {
      await sources.close();
      await backups.close();
      await background.settled();
      db.close();
    },
  };
}

/** Imported with the first work there is. */
function lazyEnsure(base: Parameters<typeof createEnsureSupervisor>[0]): () => Promise<void> {
  let ensure: (() => Promise<unknown>) | undefined;
  return async () => {
    const module = await import('./runs/ensure-supervisor.ts');
    ensure ??= module.createEnsureSupervisor(base);
    await ensure();
  };
}

/** Imported when somebody first asks for one. */
function lazyBackups(deps: BackupDeps) {
  let made: Promise<Backups> | undefined;
  return {
    get: (): Promise<Backups> => {
      made ??= import('./backup/backups.ts').then(({ createBackups }) => createBackups(deps));
      return made;
    },
    close: async (): Promise<void> => {
      await (await made)?.close();
    },
  };
}

function isReadOnly(asked: ReadOnly | undefined, config: Config): boolean {
  return asked === 'as_configured' ? config.mcp.readOnly : asked === 'always';
}

/** Work that nobody waits for, until the database is closed under it. */
function backgroundWork() {
  const going = new Set<Promise<unknown>>();
  return {
    run: <T>(work: Promise<T>): Promise<T> => {
      const done = (): void => {
        going.delete(work);
      };
      going.add(work);
      work.then(done, done);
      return work;
    },
    settled: async (): Promise<void> => {
      await Promise.allSettled(going);
    },
  };
}

function searchPath(): { searchPath?: string } {
  const path = hostEnvironment()['PATH'];
  return path ? { searchPath: path } : {};
}

/** An adapter with what the port has not: its plan-time key. */
type Adapter = {
  backend: RunBackend;
  environmentKey: Backends['environmentKey'];
};

type BackendParts = { config: Config; layout: Layout; clock: Clock; log: Logger };

/** Adapters are imported when first asked for, so that a start pays only for what it uses. */
function createBackends(parts: BackendParts): Backends {
  const { config } = parts;
  const adapters = makersOf(parts);
  const names = Object.keys(adapters);
  const made = new Map<string, Promise<Adapter>>();
  const adapter = (name: string): Promise<Adapter> => {
    const make = Object.hasOwn(adapters, name) ? adapters[name] : undefined;
    if (make === undefined) throw unknownBackend(name, names);
    const known = made.get(name) ?? make();
    made.set(name, known);
    // One that could not be made (files that are just being replaced) is made anew the next time.
    known.catch(() => made.delete(name));
    return known;
  };
  const get = async (name: string): Promise<RunBackend> => (await adapter(name)).backend;
  return {
    names,
    get,
    choose: async (requested) => {
      if (requested === 'auto') return chooseBest(get);
      const probe = await (await get(requested)).probe();
      if (!probe.available) throw unavailable(requested, probe);
      return { name: requested, why: probe.why };
    },
    capacity: (name) => (name === 'docker' ? config.docker.maxParallel : config.process.maxParallel),
    limits: (name, profile) => (name === 'docker' ? dockerLimits(config.docker, profile) : NO_LIMITS),
    environmentKey: async (name, request) => (await adapter(name)).environmentKey(name, request),
  };
}

function makersOf(parts: BackendParts): Record<string, () => Promise<Adapter>> {
  const { config, layout, clock, log } = parts;
  const environment = hostEnvironment();
  const host = {
    layout,
    clock,
    python: config.process.python,
    sdkDir: assetPath('sdk/python'),
    hostEnvironment: environment,
  };
  return {
    docker: async () => {
      const { createDockerAdapter } = await import('./backends/docker/docker-backend.ts');
      const { hostProblem, baseImage, user } = config.docker;
      const address = config.docker.host ?? environment['DOCKER_HOST'] ?? null;
      const nodeLibraryDir = assetPath('sdk/node');
      const options = { ...host, host: address, hostProblem, baseImage, user, nodeLibraryDir, log };
      const { backend, environmentKey } = createDockerAdapter(options);
      return { backend, environmentKey: (_name, request) => environmentKey(request) };
    },
    process: async () => {
      const adapter = await import('./backends/process/process-backend.ts');
      const options = {
        ...host,
        sandbox: config.process.sandbox,
        hiddenFolders: [config.storage.local.path],
      };
      return {
        backend: adapter.createProcessBackend(options),
        environmentKey: (_name, { files }) => adapter.environmentKey(options, files),
      };
    },
  };
}

/** Containers where they can be had at once, else processes; and why. */
async function chooseBest(
  get: (name: string) => Promise<RunBackend>,
): Promise<{ name: string; why: string }> {
  const docker = await (await get('docker')).probe();
  if (docker.available && docker.ready !== false) return { name: 'docker', why: `auto: ${docker.why}` };
  const process = await (await get('process')).probe();
  if (!process.available) throw unavailable('process', process);
  return { name: 'process', why: `auto: ${process.why}; not docker: ${docker.why}` };
}

function unknownBackend(name: string, names: readonly string[]): GoldfishError {
  const near = nearest(name, names);
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `There is no backend "${name}" here.`,
    hint: near ? `Did you mean "${near}"?` : `Configured are: ${names.join(', ')}.`,
    details: { allowed: [...names] },
  });
}

/** A stage on `process` is limited by what it asks for, and by the machine. */
const NO_LIMITS: BackendLimits = {
  memoryBytes: null,
  cpus: null,
  pidsLimit: null,
  network: true,
  gpus: 0,
  images: false,
  image: null,
  keys: {},
};

function dockerLimits(docker: Config['docker'], profile: string): BackendLimits {
  const image = Object.hasOwn(docker.images, profile) ? (docker.images[profile] ?? null) : null;
  return {
    memoryBytes: docker.memoryBytes,
    cpus: docker.cpus,
    pidsLimit: docker.pidsLimit,
    network: docker.network !== 'none',
    gpus: docker.gpus === 'auto' ? countGpus() : docker.gpus,
    images: true,
    image,
    keys: {
      memory: 'docker.memory',
      cpus: 'docker.cpus',
      pids_limit: 'docker.pids_limit',
      network: 'docker.network',
      image: image === null ? 'docker.base_image' : `docker.images.${profile}`,
    },
  };
}

function unavailable(name: string, probe: { why: string; hint?: string; passing?: boolean }): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    message: `The backend "${name}" cannot run work: ${probe.why}`,
    ...(probe.hint === undefined ? {} : { hint: probe.hint }),
    details: { backend: name },
    retryable: probe.passing === true,
  });
}
