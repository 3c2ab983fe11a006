import { mkdir } from 'node:fs/promises';
import type { Backups } from './backup/backups.ts';
import type { BackupDeps } from './backup/create-backup.ts';
import type { Config } from './config/config.ts';
import { hostEnvironment, runtimeDir } from './config/host.ts';
import { loadConfig } from './config/load-config.ts';
import type { Problem } from './config/problem.ts';
import { createSecrets } from './config/secrets.ts';
import type { Setting } from './config/settings.ts';
import { createBackends } from './context-backends.ts';
import { assetPath } from './core/assets.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { type Ids, systemIds } from './core/ids.ts';
import { type Layout, projectLayout } from './core/layout.ts';
import type { Logger } from './core/logger.ts';
import { redact } from './core/redact.ts';
import { GOLDFISH_VERSION } from './core/version.ts';
import { createSources, type Sources } from './data/sources.ts';
import { createLogger } from './os/file-logger.ts';
import { requireOwnDisk } from './os/network-disk.ts';
import { stderrLogger } from './os/stderr-logger.ts';
import type { Backends, RunsDeps } from './runs/deps.ts';
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
  /** How machines are rented, for those who want to know whether they can be; null where none are configured. */
  rented(): ReturnType<typeof import('./context-rented.ts').openRentedWays>;
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
 * Errors: PROJECT_NOT_FOUND, INVALID_CONFIG, STORAGE_UNAVAILABLE (also where its disk is shared), CONFLICT (a newer schema).
 */
export async function openContext(options: ContextOptions): Promise<ServerContext> {
  const { root, role = 'command', clock = systemClock, ids = systemIds } = options;
  const { config, settings, notes: configNotes } = await loadConfig({ root });
  const layout = projectLayout(root, config.stateDir);
  requireOwnDisk(layout.stateDir);
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
  const backends = createBackends({ config, layout, clock, ids, log, hide, db });
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
  if (role === 'server' && !readOnly) recoverSlots({ background, workspaces, log });
  const { hasWards, tending } = backends;
  const base = { root, db, clock, layout, log, hide, runtimeDir: runtimeDir(), hasWards, tending };
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
    rented: async () => (await import('./context-rented.ts')).openRentedWays({ config, clock }),
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

/** What a death interrupted is finished beside the first calls, which do not depend on it. */
function recoverSlots(of: {
  background: ReturnType<typeof backgroundWork>;
  workspaces: Workspaces;
  log: Logger;
}): void {
  of.background
    .run(of.workspaces.recover())
    .catch((error: unknown) => of.log.error({ err: error }, 'recovery of the slots failed'));
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
