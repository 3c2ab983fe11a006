import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { StageRun } from '../core/rows.ts';
import type { PlannedCheckpoint, StagePlan } from '../core/stage-plan.ts';
import { nearest } from '../core/suggest.ts';
import { copyStageCheckpoints, listStageCheckpoints } from '../data/stage-checkpoints.ts';
import { attemptsOfRun } from '../store/attempts.ts';
import type { RunsDeps } from './deps.ts';

/** Stands for all of a run's checkpoints, so that the newest is what is loaded. */
const LATEST = 'latest';
const SHOWN = 12;

type StartFrom = NonNullable<StagePlan['startFrom']>;

/**
 * The stage checkpoints a retry starts with: those it names, else those that the run it repeats started with.
 * `typed` is `latest` for all, the name of a checkpoint for the newest that has it, or the id of one.
 * Errors: INVALID_ARGUMENT with the nearest name; INPUT_UNAVAILABLE where there are none.
 */
export async function chooseStart(
  deps: Pick<RunsDeps, 'layout'>,
  run: StageRun,
  typed: string | undefined,
): Promise<StartFrom | undefined> {
  if (typed === undefined) return sameStart(deps, run);
  const all = await savedBy(deps, run.id);
  if (all.length === 0) {
    throw new GoldfishError('INPUT_UNAVAILABLE', {
      message: `${run.id} has no stage checkpoint.`,
      hint: 'Retry it without from_checkpoint: it then starts from the beginning.',
      fix: {
        tool: 'retry',
        arguments: { run_id: run.id, reason: `Try ${run.stage} again from the beginning` },
      },
      details: { field: 'from_checkpoint', run_id: run.id },
    });
  }
  const chosen = matching(all, typed);
  if (chosen === undefined) throw unknownCheckpoint(run, { all, typed });
  return { runId: run.id, checkpoints: chosen };
}

function matching(all: PlannedCheckpoint[], typed: string): PlannedCheckpoint[] | undefined {
  if (typed === LATEST) return all;
  const one = all.find(({ id }) => id === typed) ?? all.findLast(({ name }) => name === typed);
  return one && [one];
}

function unknownCheckpoint(
  run: StageRun,
  { all, typed }: { all: readonly PlannedCheckpoint[]; typed: string },
): GoldfishError {
  const names = [...new Set(all.map(({ name }) => name))];
  const near = nearest(typed, [LATEST, ...names, ...all.map(({ id }) => id)]) ?? LATEST;
  const newest = all.slice(-SHOWN).map(({ id }) => id);
  const before = all.length > newest.length ? `${all.length} of them, the newest ` : '';
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `${run.id} has no stage checkpoint "${clip(typed)}".`,
    hint: `Did you mean "${near}"? It has ${before}${newest.join(', ')}; "${LATEST}" is all of them.`,
    fix: {
      tool: 'retry',
      arguments: { run_id: run.id, from_checkpoint: near, reason: `Try ${run.stage} again from ${near}` },
    },
    details: { field: 'from_checkpoint', allowed: [LATEST, ...names] },
  });
}

/** A repetition of a run that itself went on from another one goes on from there, too. */
async function sameStart(deps: Pick<RunsDeps, 'layout'>, run: StageRun): Promise<StartFrom | undefined> {
  const { startFrom } = run.plan;
  if (!startFrom) return undefined;
  const there = new Set((await savedBy(deps, startFrom.runId)).map(({ hash }) => hash));
  const gone = startFrom.checkpoints.find(({ hash }) => !there.has(hash));
  if (gone === undefined) return startFrom;
  throw new GoldfishError('INPUT_UNAVAILABLE', {
    message: `${run.id} started with checkpoint ${gone.id} of ${startFrom.runId}, which is no longer there.`,
    hint: `Name one with from_checkpoint: "${LATEST}" goes on from what ${run.id} has itself.`,
    fix: {
      tool: 'retry',
      arguments: { run_id: run.id, from_checkpoint: LATEST, reason: `Go on from what ${run.id} has` },
    },
    details: { field: 'from_checkpoint', run_id: startFrom.runId, checkpoint: gone.id },
  });
}

function savedBy({ layout }: Pick<RunsDeps, 'layout'>, runId: string): Promise<PlannedCheckpoint[]> {
  return listStageCheckpoints(layout.attempt(runId, 1).checkpoints);
}

/**
 * Gives a run, before its first attempt, the stage checkpoints its plan names. Later attempts have what is there by
 * then: the stage may have removed some.
 * Errors: INPUT_UNAVAILABLE.
 */
export async function bringCheckpoints(
  deps: Pick<RunsDeps, 'db' | 'layout'>,
  run: StageRun,
  signal: AbortSignal,
): Promise<void> {
  const { startFrom } = run.plan;
  // An attempt has a row once all this was done.
  if (!startFrom || attemptsOfRun(deps.db, run.id).length > 0) return;
  const { layout } = deps;
  await copyStageCheckpoints({
    runId: startFrom.runId,
    from: layout.attempt(startFrom.runId, 1).checkpoints,
    into: layout.attempt(run.id, run.attempt).checkpoints,
    checkpoints: startFrom.checkpoints,
    signal,
  });
}
