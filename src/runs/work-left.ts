import type { Clock } from '../core/clock.ts';
import { isoTime } from '../core/clock.ts';
import { unreleasedSince } from '../store/attempts.ts';
import type { Db } from '../store/database.ts';
import { countOpenStageRuns } from '../store/stage-runs.ts';

/** What an ended run holds is tried to be released for so long; gc and the next work take what is left then. */
const RELEASE_MS = 60 * 60 * 1000;

/**
 * Whether a supervisor has something to do: runs that are open, ended ones that still hold something, or what a backend
 * holds between runs (`hasWards`).
 */
export function isWorkLeft(db: Db, clock: Clock, hasWards: () => boolean = () => false): boolean {
  return (
    countOpenStageRuns(db) > 0 || unreleasedSince(db, isoTime(clock.now() - RELEASE_MS)) > 0 || hasWards()
  );
}
