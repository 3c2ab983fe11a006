import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { PipelineRun, StageRun } from '../core/rows.ts';
import type { Db } from '../store/database.ts';
import { getPipelineRun, pipelineRunIdsLike } from '../store/pipeline-runs.ts';
import { getStageRun, stageRunIdsLike } from '../store/stage-runs.ts';

/** Candidates shown where a prefix fits several ids. */
const CANDIDATES = 5;

export type FoundRun = { kind: 'run'; run: StageRun } | { kind: 'pipeline_run'; run: PipelineRun };

/**
 * A run or pipeline run by id, or by a prefix of at least 6 hex; with or without `stage-` or `prun-`.
 * Errors: RUN_NOT_FOUND, AMBIGUOUS_ID.
 */
export function findRun(db: Db, text: string): FoundRun {
  const match = /^(stage-|prun-)?([a-f0-9]{6,12})$/.exec(text);
  if (!match) throw notFound(text);
  const [, kind, hex] = match;
  const stages = kind === 'prun-' ? [] : stageRunIdsLike(db, `stage-${hex}`, CANDIDATES);
  const pipelines = kind === 'stage-' ? [] : pipelineRunIdsLike(db, `prun-${hex}`, CANDIDATES);
  const candidates = [...stages, ...pipelines];
  if (candidates.length > 1) {
    throw new GoldfishError('AMBIGUOUS_ID', {
      message: `"${text}" fits several ids.`,
      hint: 'Use more characters of the id.',
      details: { candidates },
    });
  }
  const run = stages[0] === undefined ? undefined : getStageRun(db, stages[0]);
  if (run) return { kind: 'run', run };
  const pipelineRun = pipelines[0] === undefined ? undefined : getPipelineRun(db, pipelines[0]);
  if (pipelineRun) return { kind: 'pipeline_run', run: pipelineRun };
  throw notFound(text);
}

/** A run of one stage. Errors: as `findRun`; a pipeline run's id is refused with its runs' place named. */
export function findStageRun(db: Db, text: string): StageRun {
  const found = findRun(db, text);
  if (found.kind === 'run') return found.run;
  throw new GoldfishError('RUN_NOT_FOUND', {
    message: `${found.run.id} is a pipeline run; this needs the run of one stage.`,
    hint: 'list_runs with pipeline_run_id shows its runs.',
    fix: { tool: 'list_runs', arguments: { pipeline_run_id: found.run.id } },
  });
}

function notFound(text: string): GoldfishError {
  return new GoldfishError('RUN_NOT_FOUND', {
    message: `No run has the id "${clip(text)}".`,
    hint: 'Ids are stage- or prun- and 12 hex digits; a prefix of 6 digits is enough. list_runs shows them.',
    fix: { tool: 'list_runs', arguments: {} },
  });
}
