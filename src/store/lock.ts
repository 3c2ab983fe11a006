import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { storeError } from './database.ts';

type LockOptions = { clock: Clock; waitMs?: number; signal?: AbortSignal; what: string };

const POLL_MS = 15;
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while this process alone holds the lock; callers within the process take turns in order, other
 * processes wait. The lock is SQLite's own on an empty database file, held by the kernel: it cannot outlive its
 * holder, so there is no stale lock to recognise.
 * Errors: CONFLICT (retryable) when the lock was not free within `waitMs` (default 30 s),
 * STORAGE_UNAVAILABLE where the disk refuses.
 */
export function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const deadline = options.clock.monotonic() + (options.waitMs ?? 30_000);
  const before = queues.get(file) ?? Promise.resolve();
  const turn = takeTurn(before, { ...options, deadline }).then(async () => {
    const release = await acquire(file, { ...options, deadline });
    try {
      return await work();
    } finally {
      release();
    }
  });
  // One who gave up waiting must not let the next overtake those before him.
  const settled = Promise.allSettled([before, turn]).then(() => {
    if (queues.get(file) === settled) queues.delete(file);
  });
  queues.set(file, settled);
  return turn;
}

type Waiting = LockOptions & { deadline: number };

/** Resolves when `before` has, unless the deadline or the caller's abort comes first. */
async function takeTurn(before: Promise<unknown>, { clock, deadline, signal, what }: Waiting): Promise<void> {
  const arrived = new AbortController();
  const signals = signal ? [signal, arrived.signal] : [arrived.signal];
  const patience = clock.sleep(Math.max(0, deadline - clock.monotonic()), {
    signal: AbortSignal.any(signals),
  });
  try {
    await Promise.race([
      before,
      patience.then(() => {
        throw busy(what);
      }),
    ]);
  } finally {
    arrived.abort();
  }
}

async function acquire(file: string, options: Waiting): Promise<() => void> {
  const { clock, deadline, signal } = options;
  await mkdir(dirname(file), { recursive: true });
  let sqlite: Database.Database | undefined;
  try {
    sqlite = new Database(file, { timeout: 0 });
    while (!tryBegin(sqlite)) {
      if (signal?.aborted || clock.monotonic() > deadline) throw busy(options.what);
      await clock.sleep(POLL_MS, signal ? { signal } : {});
    }
    const held = sqlite;
    return () => void held.close();
  } catch (error) {
    sqlite?.close();
    throw storeError(error) ?? error;
  }
}

function busy(what: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `Another call is at work on ${what}.`,
    hint: 'Repeat the call in a few seconds.',
    retryable: true,
  });
}

function tryBegin(sqlite: Database.Database): boolean {
  try {
    sqlite.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return false;
    throw error;
  }
}
