import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { type EndedRun, isRunHeld, releasableRuns } from '../store/garbage.ts';
import { type Candidate, entries, type GcDeps, isOlder, measure, takeAway } from './gc-candidate.ts';

type Keep = Config['storage']['keep'];

/**
 * Folders of ended runs that nothing holds: of a run that did not complete every attempt, of one that did the attempts
 * before its last, and of both the training state they saved. The log of a completed run stays.
 */
export async function runCandidates(deps: GcDeps, keep: Keep): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const there = new Set(await entries(deps.layout.runs));
  for (const run of releasableRuns(deps.db)) {
    if (!there.has(run.runId)) continue;
    for (const name of await entries(deps.layout.run(run.runId))) {
      const candidate = await candidateOf(deps, { run, name, keep });
      if (candidate) found.push(candidate);
    }
  }
  return found;
}

async function candidateOf(
  deps: GcDeps,
  of: { run: EndedRun; name: string; keep: Keep },
): Promise<Candidate | undefined> {
  const { run, name, keep } = of;
  const lastUsed = Date.parse(run.endedAt);
  const path = join(deps.layout.run(run.runId), name);
  const common = {
    lastUsed,
    bytes: 0,
    free: async () => {
      const freed = await takeAway(deps, { path, isFree: () => !isRunHeld(deps.db, run.runId) });
      if (freed) await removeEmpty(deps, run.runId);
      return freed;
    },
  };
  if (name === 'checkpoints') {
    const { bytes } = await measure(path);
    // The folder is made for every run; with nothing in it there is nothing to say.
    if ((await entries(path)).length === 0) return undefined;
    const due = isOlder(deps, lastUsed, keep.daysStageCheckpoints);
    return { ...common, kind: 'stage checkpoints', what: `stage checkpoints of ${run.runId}`, bytes, due };
  }
  const attempt = /^[1-9]\d*$/.test(name) ? Number(name) : undefined;
  if (attempt === undefined) return undefined;
  if (run.state === 'completed' && attempt === run.attempt) return undefined;
  const { bytes } = await measure(path);
  const due = isOlder(deps, lastUsed, keep.daysFailedRuns);
  return { ...common, kind: 'attempts', what: `attempt ${attempt} of ${run.runId}`, bytes, due };
}

/** Folders with nothing in them any more. */
async function removeEmpty(deps: GcDeps, runId: string): Promise<void> {
  const folder = deps.layout.run(runId);
  await rmdir(join(folder, 'checkpoints')).catch(() => undefined);
  await rmdir(folder).catch(() => undefined);
}
