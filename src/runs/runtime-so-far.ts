import { attemptsOfRun } from '../store/attempts.ts';
import type { Db } from '../store/database.ts';

/** Milliseconds between two times, never less than nothing; null where one is not known. */
export function between(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Math.max(0, Date.parse(to) - Date.parse(from));
}

/** How long the attempts of a run that have ended ran together, in milliseconds. */
export function runtimeSoFar(db: Db, runId: string): number {
  return attemptsOfRun(db, runId).reduce(
    (sum, attempt) => sum + (between(attempt.startedAt, attempt.endedAt) ?? 0),
    0,
  );
}
