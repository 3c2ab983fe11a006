import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { hostEnvironment } from '../config/host.ts';
import { programPath } from '../core/assets.ts';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import type { Logger } from '../core/logger.ts';
import { GOLDFISH_VERSION } from '../core/version.ts';
import { poke, wakeSocketPath } from '../os/wake-socket.ts';
import type { Db } from '../store/database.ts';
import { readLease } from '../store/lease.ts';
import { mayTakeOver } from './take-over.ts';
import { NOTHING_TO_TEND, type Tending } from './tending.ts';
import { isWorkLeft } from './work-left.ts';

/** The first pause before a process starts another supervisor where the last one it started took no lease. */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 60_000;

type EnsureDeps = {
  db: Db;
  clock: Clock;
  layout: Layout;
  log: Logger;
  root: string;
  runtimeDir: string;
  /** Whether a backend holds something between runs that is to be looked after. */
  hasWards?: () => boolean;
  /** Who can look after that. */
  tending?: Tending;
};

/** What was started; false once its process has ended. */
export type Started = { isAlive(): boolean };

type Outcome = 'idle' | 'woken' | 'started' | 'starting';

/**
 * Sees to it that somebody advances the project's work: wakes the supervisor that holds the lease, or starts one
 * where there is work and none does. Starting two is harmless: the lease decides. The new process has a session of
 * its own and none of our pipes, so it outlives whoever started it.
 *
 * A supervisor of an older program is replaced, and one that lacks in its environment what rented machines take from it, where
 * we have that: the one that is started takes its lease.
 *
 * Callers ask again and again while they watch. A supervisor takes a moment to start, on a busy machine many: as long as
 * it lives none is started beside it, for at most a minute. One that cannot start must not be started every half second:
 * the pause doubles each time until the lease is seen held, or to have been taken.
 * Errors: PROJECT_NOT_FOUND where the project's folder was removed meanwhile.
 */
export function createEnsureSupervisor(
  context: EnsureDeps,
  start: (context: EnsureDeps) => Promise<Started> = startSupervisor,
): () => Promise<Outcome> {
  let pause = FIRST_PAUSE_MS;
  let lastStart = Number.NEGATIVE_INFINITY;
  /** The lease's token when we last started one: a later one was taken since, by whom may be dead by now. */
  let lastToken = 0;
  let last: Started | undefined;
  const { clock, tending = NOTHING_TO_TEND } = context;
  const self = { clock, version: GOLDFISH_VERSION, tending };
  return async () => {
    if (!existsSync(context.layout.database)) throw projectGone();
    if (!isWorkLeft(context.db, context.clock, context.hasWards)) return 'idle';
    const lease = readLease(context.db);
    if (!mayTakeOver(lease, self)) {
      pause = FIRST_PAUSE_MS;
      lastStart = Number.NEGATIVE_INFINITY;
      await poke(wakeSocketPath(context.runtimeDir, context.layout.stateDir));
      return 'woken';
    }
    const now = context.clock.monotonic();
    const wasTaken = lease.token > lastToken;
    if (wasTaken) pause = FIRST_PAUSE_MS;
    const isLoading = !wasTaken && last?.isAlive() === true;
    if (now - lastStart < (isLoading ? LONGEST_PAUSE_MS : pause)) return 'starting';
    if (!wasTaken && lastStart !== Number.NEGATIVE_INFINITY) pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    lastStart = now;
    lastToken = lease.token;
    last = undefined;
    last = await start(context);
    return 'started';
  };
}

function projectGone(): GoldfishError {
  return new GoldfishError('PROJECT_NOT_FOUND', {
    message: 'The project’s private state was removed while it was in use.',
    hint: 'Restore the folder, or start again in another project.',
  });
}

/** It loads what we have loaded: where that is kept compiled, it starts in half the time. */
function compiledCode(): { NODE_COMPILE_CACHE?: string } {
  const folder = getCompileCacheDir();
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) };
}

async function startSupervisor(context: EnsureDeps): Promise<Started> {
  const file = context.layout.supervisorLog;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const errors = await open(file, 'a', 0o600);
  try {
    // kill point: supervisor/starting
    const child = spawn(process.execPath, [programPath('supervisor/main'), '--project', context.root], {
      cwd: context.root,
      detached: true,
      stdio: ['ignore', 'ignore', errors.fd],
      env: { ...hostEnvironment(), ...compiledCode() },
    });
    child.once('error', (error) => context.log.error({ err: error }, 'the supervisor could not be started'));
    child.unref();
    // kill point: supervisor/started
    const hasId = child.pid !== undefined;
    return { isAlive: () => hasId && child.exitCode === null && child.signalCode === null };
  } finally {
    await errors.close();
  }
}
