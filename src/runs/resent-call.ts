import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import { canonicalJson, hashJson, type JsonObject } from '../core/json.ts';
import type { PipelineRun } from '../core/rows.ts';
import { findUsedKey, insertUsedKey, type UsedKey } from '../store/idempotency.ts';
import { getPipelineRun } from '../store/pipeline-runs.ts';
import { runsOfPipelineRun } from '../store/stage-runs.ts';
import { findVersion } from '../store/workspaces.ts';
import type { RunsDeps } from './deps.ts';
import type { RunRequest } from './plan-call.ts';
import type { SubmittedCall } from './submission.ts';

/**
 * What the first call under this key was answered with, whatever became of it and whatever the slot holds now: a call
 * that is sent again never starts anything twice, also where the first has failed. Undefined where the key is new, or
 * none was given. Reads only.
 * Errors: IDEMPOTENCY_CONFLICT where the key stands for a call with other arguments.
 */
export function findResent(
  { db }: Pick<RunsDeps, 'db'>,
  { idempotency }: Pick<RunRequest, 'idempotency'>,
): SubmittedCall | undefined {
  if (!idempotency) return undefined;
  return db.read(() => {
    const used = findUsedKey(db, idempotency.key);
    if (!used) return undefined;
    if (used.argumentsHash !== hashJson(idempotency.arguments)) throw conflict(used, idempotency.arguments);
    const pipelineRuns = used.pipelineRunIds.flatMap((id) => getPipelineRun(db, id) ?? []);
    const [pipelineRun] = pipelineRuns;
    const version = pipelineRun && findVersion(db, pipelineRun.workspace, pipelineRun.version);
    if (!pipelineRun || !version) throw new Error(`the key ${idempotency.key} stands for nothing`);
    const runs = pipelineRuns.flatMap(({ id }) => runsOfPipelineRun(db, id));
    return {
      pipelineRun,
      pipelineRuns,
      runs,
      version,
      versionCreated: false,
      deduplicated: true,
      similar: [],
      backends: [...new Set(runs.map((run) => run.backend))].map((name) => ({
        name,
        why: 'the first call under this key chose it',
      })),
    };
  });
}

/** To be called in the transaction that stored the call: one that is refused does not use up its key. */
export function noteKey(
  { db, clock }: Pick<RunsDeps, 'db' | 'clock'>,
  call: { key: string; arguments: JsonObject; pipelineRuns: readonly PipelineRun[] },
): void {
  insertUsedKey(db, {
    key: call.key,
    argumentsHash: hashJson(call.arguments),
    arguments: call.arguments,
    pipelineRunIds: call.pipelineRuns.map(({ id }) => id),
    createdAt: isoTime(clock.now()),
  });
}

function conflict(used: UsedKey, now: JsonObject): GoldfishError {
  const names = [...new Set([...Object.keys(used.arguments), ...Object.keys(now)])].sort();
  const differing = names.filter((name) => textOf(used.arguments, name) !== textOf(now, name));
  const [first = ''] = used.pipelineRunIds;
  return new GoldfishError('IDEMPOTENCY_CONFLICT', {
    message: `The key "${used.key}" was used for ${first} with another ${differing.join(', ')}.`,
    hint: 'Send the arguments of that call again to get its pipeline run, or take another key for another call.',
    details: {
      field: 'idempotency_key',
      differing,
      pipeline_run_ids: used.pipelineRunIds,
      used_at: used.createdAt,
    },
    fix: { tool: 'list_runs', arguments: { pipeline_run_id: first } },
  });
}

function textOf(object: JsonObject, name: string): string | undefined {
  return Object.hasOwn(object, name) ? canonicalJson(object[name]) : undefined;
}
