import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import { formatVersion } from '../core/names.ts';
import type { ExperimentRecord } from '../core/rows.ts';
import { findRecord, looksLikeRecord } from '../experiments/find-record.ts';
import { getRecord } from '../store/records.ts';
import { findKnownWorkspace } from '../store/workspaces.ts';

/** A version, or a record, which is of a version. `ref` names it as results do. */
export type Target = { workspace: string; version: number; recordId: string | null; ref: string };

const RUN = /^(stage|prun)-/;

/**
 * What a person means by a workspace, a slot, `ws@v3`, `@tag`, or by the id of a record, a snapshot or a run (which
 * stands for its record). Errors: those of `workspaces.version`, RUN_NOT_FOUND, RECORD_NOT_FOUND, AMBIGUOUS_ID.
 */
export function targetOf(ctx: ServerContext, typed: string): Target {
  if (RUN.test(typed)) return ofRecord(recordOfRun(ctx, typed));
  if (isRecordId(ctx, typed)) return ofRecord(findRecord(ctx.db, typed));
  const { workspace, version } = ctx.workspaces.version(typed);
  return { workspace, version, recordId: null, ref: `${workspace}@${formatVersion(version)}` };
}

/** The workspace behind any of them. */
export function workspaceBehind(ctx: ServerContext, typed: string): string {
  if (RUN.test(typed)) return ctx.runs.find(typed).run.workspace;
  if (typed.includes('@')) return ctx.workspaces.version(typed).workspace;
  if (isRecordId(ctx, typed)) return findRecord(ctx.db, typed).workspace;
  return ctx.workspaces.known(typed).name;
}

/** A workspace may have a name that reads like the beginning of a record's id. */
function isRecordId(ctx: ServerContext, typed: string): boolean {
  if (!looksLikeRecord(typed)) return false;
  return !findKnownWorkspace(ctx.db, typed) && !ctx.workspaces.slots().some((slot) => slot.name === typed);
}

function ofRecord(record: ExperimentRecord): Target {
  return { workspace: record.workspace, version: record.version, recordId: record.id, ref: record.id };
}

function recordOfRun(ctx: ServerContext, typed: string): ExperimentRecord {
  const found = ctx.runs.find(typed);
  const pipelineRunId = found.kind === 'run' ? found.run.pipelineRunId : found.run.id;
  const record = getRecord(ctx.db, { pipelineRunId });
  if (record) return record;
  throw new GoldfishError('RECORD_NOT_FOUND', { message: `${pipelineRunId} has no record.` });
}
