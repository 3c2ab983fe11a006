import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isoTime } from '../core/clock.ts';
import type { AttemptLayout } from '../core/layout.ts';
import type { StageRun } from '../core/rows.ts';
import { getAttempt, noteAttemptEnd } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';

/**
 * Writes down when an attempt without a result ended, as far as anybody can tell: the last sign of it, or later, where it
 * was seen to run for so long (`ranMs`). Hours in which nobody looked are not its runtime; a program may have given its files
 * any time, so none later than now counts.
 */
export async function noteLostEnd(
  deps: Pick<RunsDeps, 'db' | 'clock' | 'layout'>,
  run: StageRun,
  ranMs = 0,
): Promise<void> {
  const key = { runId: run.id, attempt: run.attempt };
  const startedAt = getAttempt(deps.db, key)?.startedAt ?? null;
  if (startedAt === null) return;
  const start = Date.parse(startedAt);
  const sign = (await lastSign(deps.layout.attempt(run.id, run.attempt))) ?? start;
  const at = isoTime(Math.max(start + ranMs, Math.min(sign, deps.clock.now())));
  deps.db.write(() => noteAttemptEnd(deps.db, key, at));
}

/**
 * When an attempt that left no result was last seen to do something: the newest time of its log, of what it told in its
 * control folder and of what its run wrapper said of itself. Milliseconds since the epoch; undefined where nothing
 * tells. Nobody may have looked for hours, in which it did not run.
 */
async function lastSign(folders: AttemptLayout): Promise<number | undefined> {
  const files = [folders.wrapper, ...(await filesIn(folders.log)), ...(await filesIn(folders.control))];
  const times = await Promise.all(files.map(modifiedAt));
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}

async function filesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).map((name) => join(folder, name));
}

async function modifiedAt(file: string): Promise<number | undefined> {
  const stat = await lstat(file).catch(() => undefined);
  return stat?.isFile() === true ? stat.mtimeMs : undefined;
}
