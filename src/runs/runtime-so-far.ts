import type { RunAttempt } from '../core/rows.ts';
import { attemptsOfRun } from '../store/attempts.ts';
import type { Db } from '../store/database.ts';

/**
 * How long an attempt that has ended ran, in milliseconds; null where it did not start. What was measured beside the
 * program counts; else the time between start and end.
 */
export function ranMs({ startedAt, endedAt, result }: RunAttempt): number | null {
  if (startedAt === null || endedAt === null) return null;
  const measured = result?.['ranSeconds'];
  if (typeof measured === 'number') return measured * 1000;
  return Math.max(0, Date.parse(endedAt) - Date.parse(startedAt));
}

/** How long the attempts of a run that have ended ran together, in milliseconds. */
export function runtimeSoFar(db: Db, runId: string): number {
  return attemptsOfRun(db, runId).reduce((sum, attempt) => sum + (ranMs(attempt) ?? 0), 0);
}
