import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';

type LockOptions = { clock: Clock; waitMs?: number; signal?: AbortSignal; what: string };

const POLL_MS = 15;
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while this process alone holds the lock; callers within the process take turns in order, other
 * processes wait. The lock is SQLite's own on an empty database file, held by the kernel: it cannot outlive its
 * holder, so there is no stale lock to recognise.
 * Errors: CONFLICT (retryable) when the lock was not free within `waitMs` (default 30 s).
 */
export function withLock<T>(file: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const before = queues.get(file) ?? Promise.resolve();
  const turn = before.then(async () => {
    const release = await acquire(file, options);
    try {
      return await work();
    } finally {
      release();
    }
  });
  const settled = turn
    .catch(() => undefined)
    .then(() => {
      if (queues.get(file) === settled) queues.delete(file);
    });
  queues.set(file, settled);
  return turn;
}

async function acquire(file: string, options: LockOptions): Promise<() => void> {
  const { clock, signal, waitMs = 30_000 } = options;
  await mkdir(dirname(file), { recursive: true });
  const sqlite = new Database(file, { timeout: 0 });
  const deadline = clock.monotonic() + waitMs;
  while (!tryBegin(sqlite)) {
    if (signal?.aborted || clock.monotonic() > deadline) {
      sqlite.close();
      throw new GoldfishError('CONFLICT', {
        message: `Another call is at work on ${options.what}.`,
        hint: 'Repeat the call in a few seconds.',
        retryable: true,
      });
    }
    await clock.sleep(POLL_MS, signal ? { signal } : {});
  }
  return () => {
    sqlite.close();
  };
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
