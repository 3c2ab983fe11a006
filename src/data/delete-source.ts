import { type Clock, isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip, formatVersion } from '../core/names.ts';
import type { Source } from '../core/rows.ts';
import { nearest } from '../core/suggest.ts';
import type { Db } from '../store/database.ts';
import {
  deleteSourceVersions,
  getSource,
  listSourceNames,
  newestSource,
  type SourceConsumer,
  sourceConsumers,
} from '../store/sources.ts';
import type { PipelineConsumer } from './pipeline-consumers.ts';

/** Consumers named in a refusal. */
const NAMED = 10;

/**
 * Hides a source: its name is free for new data, its version numbers are not used again, and what runs have read of
 * it stays stored. `pipelines` are the stages that name it now.
 * Errors: SOURCE_NOT_FOUND; SOURCE_IN_USE while a run that reads it is open or a pipeline names it.
 */
export function deleteSource(
  deps: { db: Db; clock: Clock },
  deleted: { name: string; pipelines: readonly PipelineConsumer[] },
): { name: string; versions: number } {
  const { name, pipelines } = deleted;
  return deps.db.write(() => {
    requireSource(deps.db, name);
    const open = sourceConsumers(deps.db, { name, limit: NAMED }).filter(({ open }) => open);
    if (open.length > 0 || pipelines.length > 0) throw inUse(name, { open, pipelines });
    return { name, versions: deleteSourceVersions(deps.db, { name, at: isoTime(deps.clock.now()) }) };
  });
}

/** The newest version, or the one that is named. Errors: SOURCE_NOT_FOUND. */
export function requireSource(db: Db, name: string, version?: number): Source {
  const newest = newestSource(db, name);
  const found = version === undefined ? newest : getSource(db, name, version);
  if (found) return found;
  const near = nearest(name, listSourceNames(db));
  const missing = newest
    ? {
        message: `${name} has no version ${formatVersion(version ?? 0)}.`,
        hint: `Its newest is ${formatVersion(newest.version)}.`,
      }
    : {
        message: `There is no source "${clip(name)}".`,
        hint: near
          ? `Did you mean ${near}?`
          : 'list_sources shows those there are; register_source makes one.',
      };
  throw new GoldfishError('SOURCE_NOT_FOUND', {
    ...missing,
    ...(newest || near === undefined ? {} : { details: { nearest: near } }),
    fix: newest ? { tool: 'inspect_source', arguments: { name } } : { tool: 'list_sources', arguments: {} },
  });
}

function inUse(
  name: string,
  by: { open: readonly SourceConsumer[]; pipelines: readonly PipelineConsumer[] },
): GoldfishError {
  const runs = by.open.map((run) => `${run.runId} (${run.stage} of ${run.workspace}, ${run.state})`);
  const stages = by.pipelines.map(
    (use) => `${use.stage}.${use.input} of ${use.workspace}@${use.version} (${use.pipeline})`,
  );
  const first = [...runs, ...stages][0];
  return new GoldfishError('SOURCE_IN_USE', {
    message: `${name} is in use: ${first}${runs.length + stages.length > 1 ? ' and others' : ''}.`,
    hint:
      stages.length > 0
        ? 'Take it out of the pipelines that name it and make a version of each workspace, then delete it.'
        : 'Wait for the runs that read it, or cancel them.',
    details: { open_runs: runs, pipelines: stages.slice(0, NAMED), pipelines_in_all: stages.length },
    fix: { tool: 'inspect_source', arguments: { name } },
  });
}
