import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { programPath } from '../core/assets.ts';
import type { Clock } from '../core/clock.ts';
import type { Layout } from '../core/layout.ts';
import type { Logger } from '../core/logger.ts';
import { poke, wakeSocketPath } from '../os/wake-socket.ts';
import type { Db } from '../store/database.ts';
import { readLease } from '../store/lease.ts';
import { countOpenStageRuns } from '../store/stage-runs.ts';
import { isLeaseHeld } from './supervisor-lease.ts';

type EnsureDeps = { db: Db; clock: Clock; layout: Layout; log: Logger; root: string; runtimeDir: string };

/**
 * Sees to it that somebody advances the project's work: wakes the supervisor that holds the lease, or starts one
 * where there is work and none does. Starting two is harmless: the lease decides. The new process has a session of
 * its own and none of our pipes, so it outlives whoever started it.
 */
export async function ensureSupervisor(context: EnsureDeps): Promise<'idle' | 'woken' | 'started'> {
  if (countOpenStageRuns(context.db) === 0) return 'idle';
  if (isLeaseHeld(readLease(context.db), context.clock)) {
    await poke(wakeSocketPath(context.runtimeDir, context.layout.stateDir));
    return 'woken';
  }
  await startSupervisor(context);
  return 'started';
}

async function startSupervisor(context: EnsureDeps): Promise<void> {
  const file = context.layout.supervisorLog;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const errors = await open(file, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [programPath('supervisor/main'), '--project', context.root], {
      cwd: context.root,
      detached: true,
      stdio: ['ignore', 'ignore', errors.fd],
    });
    child.once('error', (error) => context.log.error({ err: error }, 'the supervisor could not be started'));
    child.unref();
  } finally {
    await errors.close();
  }
}
