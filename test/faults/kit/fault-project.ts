import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { assetPath, programPath } from '../../../src/core/assets.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { isGoldfishError } from '../../../src/core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../src/core/json.ts';
import { type Layout, projectLayout } from '../../../src/core/layout.ts';
import { isProcessAlive } from '../../../src/os/process-identity.ts';
import { type Db, openDatabaseForReading } from '../../../src/store/database.ts';
import { readLease } from '../../../src/store/lease.ts';
import { removeTree } from '../../../src/workspaces/moves.ts';
import { until } from '../../integration/until.ts';
import { endLeftovers, type Place, processesOf } from './leftovers.ts';

export type Backend = 'process' | 'docker';
export type Environment = Readonly<Record<string, string>>;

/** A server of the project over its pipes. What it answers, or that it died under the call. */
export type Server = {
  pid: number;
  call(tool: string, args: JsonObject): Promise<JsonObject>;
  /** Its client goes; it ends by itself. */
  close(): Promise<void>;
};

export type FaultProject = {
  root: string;
  layout: Layout;
  /** For reading; a row is there as soon as somebody committed it. */
  db: Db;
  /** A folder beside the project, of which Goldfish knows nothing. */
  outside: string;
  /** Where the stages tell what they do. */
  ledger: string;
  write(path: string, content: string): void;
  server(environment?: Environment): Promise<Server>;
  /** `goldfish` with these words, or the supervisor alone. */
  start(words: readonly string[] | 'supervisor', environment?: Environment): ChildProcess;
  /** The living process that holds the lease. */
  leaseHolder(): number | undefined;
  place(): Place;
  /** Ends servers, supervisors and commands, and waits for their ends. */
  endPrograms(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Ends whatever is left, too. */
  dispose(): Promise<void>;
};

/** The tool said no. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly retryable: boolean;

  constructor(tool: string, error: unknown) {
    super(`${tool}: ${JSON.stringify(error)}`);
    this.retryable = isJsonObject(error) && error['retryable'] === true;
  }
}

/** As clients do with what is refused for now: a busy engine, a lock that is held. */
export async function patiently<T>(call: () => Promise<T>, seconds = 60): Promise<T> {
  const deadline = systemClock.monotonic() + seconds * 1000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const passes = (error instanceof Refused || isGoldfishError(error)) && error.retryable;
      if (!passes || systemClock.monotonic() > deadline) throw error;
      await systemClock.sleep(250);
    }
  }
}

type Base = { base: string; environment: Environment };

/** An empty project; `environment` is added to that of every program. */
export function createFaultProject(config: string, environment: Environment = {}): FaultProject {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'goldfish-faults-')));
  for (const name of ['project', 'outside', 'tmp', 'run']) mkdirSync(join(base, name), { mode: 0o700 });
  writeFileSync(join(base, 'project', 'goldfish.yaml'), `project_name: faults\n${config}`);
  return openFaultProject({ base, environment });
}

/** Another one in the state of this one, whose programs have all ended. */
export function copyFaultProject(of: FaultProject, environment: Environment = {}): FaultProject {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'goldfish-faults-')));
  const from = dirname(of.root);
  // Checkouts know their inodes; a copy of one would be made anew beside itself.
  const left = [of.layout.checkouts, of.layout.runs, of.layout.logs];
  cpSync(from, base, { recursive: true, verbatimSymlinks: true, filter: (path) => !left.includes(path) });
  return openFaultProject({ base, environment });
}

function openFaultProject({ base, environment }: Base): FaultProject {
  const root = join(base, 'project');
  const outside = join(base, 'outside');
  const layout = projectLayout(root);
  let opened: Db | undefined;
  const db = (): Db => {
    // Before there is a file everything reads as empty; that one is not to be kept.
    if (!existsSync(layout.database)) return openDatabaseForReading(layout.database);
    opened ??= openDatabaseForReading(layout.database);
    return opened;
  };
  const environmentOf = (more: Environment = {}): Record<string, string> => ({
    ...ownEnvironment(),
    TMPDIR: join(base, 'tmp'),
    XDG_RUNTIME_DIR: join(base, 'run'),
    ...environment,
    ...more,
  });
  const start: FaultProject['start'] = (words, more) => {
    const program =
      words === 'supervisor'
        ? [programPath('supervisor/main'), '--project', root]
        : [assetPath('bin/goldfish.js'), ...words];
    const options = { cwd: root, env: environmentOf(more), stdio: 'ignore' as const };
    return spawn(process.execPath, program, options);
  };
  const leaseHolder: FaultProject['leaseHolder'] = () => {
    const { pid, pidStart, bootId } = readLease(db());
    if (pid === null) return undefined;
    return isProcessAlive({ pid, start: pidStart ?? '', bootId: bootId ?? '' }) ? pid : undefined;
  };
  const runIds = (): string[] =>
    db()
      .prepare<{ id: string }>('SELECT id FROM stage_runs')
      .all()
      .map(({ id }) => id);
  const place = (): Place => ({
    root,
    stateDir: layout.stateDir,
    runIds: runIds(),
    tempDir: join(base, 'tmp'),
    runtimeDir: join(base, 'run'),
  });
  /** Found by their words, so also a supervisor that was started a moment ago and has not taken the lease. */
  const programs = (): number[] =>
    processesOf(place())
      .filter(({ words }) => words.includes('supervisor/main.') || words.includes('bin/goldfish.js'))
      .map(({ pid }) => pid);
  const project: FaultProject = {
    root,
    layout,
    get db() {
      return db();
    },
    outside,
    ledger: join(outside, 'ledger'),
    write: (path, content) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    },
    server: (more) => startServer(root, environmentOf(more)),
    start,
    leaseHolder,
    place,
    endPrograms: async (signal) => {
      // Once each: the second TERM of a supervisor would be its death.
      const told = new Set<number>();
      await until(
        () => {
          const left = programs();
          for (const pid of left) if (!told.has(pid)) send(pid, signal);
          for (const pid of left) told.add(pid);
          return left.length === 0;
        },
        'the end of all servers and supervisors',
        30,
      );
    },
    dispose: async () => {
      await project.endPrograms('SIGKILL').catch(() => undefined);
      await endLeftovers(project.place()).catch(() => undefined);
      opened?.close();
      await removeTree(base).catch(() => rmSync(base, { recursive: true, force: true, maxRetries: 5 }));
    },
  };
  return project;
}

/** Without what would lead to another project, engine or report. */
function ownEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'USER', 'DOCKER_HOST', 'XDG_CACHE_HOME'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

async function startServer(root: string, env: Record<string, string>): Promise<Server> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [assetPath('bin/goldfish.js'), 'serve'],
    cwd: root,
    env,
    stderr: 'ignore',
  });
  const client = new Client({ name: 'faults', version: '1' });
  await client.connect(transport);
  const { pid } = transport;
  if (pid === null) throw new Error('the server has no process');
  return {
    pid,
    call: async (tool, args) => {
      const { isError, structuredContent } = await client.callTool({ name: tool, arguments: args });
      const answer = isJsonObject(structuredContent) ? structuredContent : {};
      if (isError === true) throw new Refused(tool, answer['error']);
      return answer;
    },
    close: () => client.close(),
  };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
