import { isoTime } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { PipelineRun, WorkspaceVersion } from '../core/rows.ts';
import type { PlannedInput, StagePlan } from '../core/stage-plan.ts';
import { getPipelineRun, insertPipelineRun } from '../store/pipeline-runs.ts';
import { insertRecord } from '../store/records.ts';
import { inputsOfRun, insertInput } from '../store/signals.ts';
import { getStageRun, insertStageRun, runsOfPipelineRun } from '../store/stage-runs.ts';
import { findVersion } from '../store/workspaces.ts';
import { reuseIfPossible } from './cache.ts';
import type { RunsDeps } from './deps.ts';
import { findEqualCall } from './equal-call.ts';
import { type CallPlan, planCall, type RunRequest } from './plan-call.ts';
import { planLive } from './plan-live.ts';
import { planOfReplicate, replicatesOf } from './replicates.ts';
import { findResent, noteKey } from './resent-call.ts';
import { findSimilar } from './similar.ts';
import type { Submission, SubmittedCall } from './submission.ts';

/**
 * One call of `run`: the slot's files become a version, everything is read from that version, and the whole is
 * stored in one transaction. Problems are found on the live files first, so that a refused call makes no version,
 * nor uses up its key. A call that is sent again under its key is answered without a look at the slot.
 * Errors: IDEMPOTENCY_CONFLICT; as `planCall` and as the workspaces room's for the slot.
 */
export async function submitRun(deps: RunsDeps, request: RunRequest): Promise<SubmittedCall> {
  const resent = findResent(deps, request);
  if (resent) return resent;
  const { source } = await planLive(deps, request);
  // kill point: submit/planned-from-slot
  const { version, created } = await deps.workspaces.snapshot({
    workspace: source.workspace,
    message: request.reason,
  });
  // kill point: submit/version-made
  const plan = await planCall(
    deps,
    {
      workspace: version.workspace,
      files: deps.workspaces.files(version),
      codeHash: await deps.workspaces.codeHash(version),
    },
    request,
    { store: true },
  );
  // kill point: submit/planned-from-version
  const outcome = deps.db.write(() => {
    // Asked again, in the transaction that decides: another process may have sent the same meanwhile.
    const first = findResent(deps, request);
    return first ? { first } : { stored: storeReplicates(deps, { request, plan, version }) };
  });
  // kill point: submit/stored
  if ('first' in outcome) return outcome.first;
  const { stored } = outcome;
  const { workspace } = version;
  const similar = stored.deduplicated ? [] : findSimilar(deps, { plan, workspace, not: stored.pipelineRuns });
  return { ...stored, similar, version, versionCreated: created, backends: plan.backends };
}

type Stored = Pick<Submission, 'pipelineRun' | 'runs' | 'deduplicated'>;

function storeReplicates(
  deps: RunsDeps,
  { request, plan, version }: Call,
): Stored & Pick<SubmittedCall, 'pipelineRuns'> {
  const { idempotency, ...asked } = request;
  const calls = replicatesOf(request).map((replicate) =>
    storeCall(deps, { request: asked, plan: planOfReplicate(plan, replicate), version }),
  );
  const pipelineRuns = calls.map((call) => call.pipelineRun);
  const [pipelineRun] = pipelineRuns;
  if (!pipelineRun) throw new Error('a call has at least one replicate');
  if (idempotency) noteKey(deps, { ...idempotency, pipelineRuns });
  return {
    pipelineRun,
    pipelineRuns,
    runs: calls.flatMap((call) => call.runs),
    deduplicated: calls.every((call) => call.deduplicated),
  };
}

type Call = {
  request: RunRequest;
  plan: CallPlan;
  version: WorkspaceVersion;
  /** The run this call tries again. */
  retryOf?: string;
};

/** To be called in a transaction: an equal call is found, or everything is stored. Errors: CONFLICT. */
export function storeCall(deps: RunsDeps, { request, plan, version, retryOf }: Call): Stored {
  const { db } = deps;
  requireStill(db, version);
  const { key, equal } = findEqualCall(deps, { request, plan, version, retryOf });
  if (equal) return { pipelineRun: equal, runs: runsOfPipelineRun(db, equal.id), deduplicated: true };

  const createdAt = isoTime(deps.clock.now());
  const pipelineRun: PipelineRun = {
    id: deps.ids.pipelineRun(),
    workspace: version.workspace,
    version: version.version,
    pipeline: plan.pipeline,
    submissionKey: key,
    state: 'pending',
    reason: request.reason,
    request: toJson(request),
    maxParallel: deps.config.defaults.maxParallel,
    goldfishVersion: deps.goldfishVersion,
    createdAt,
    endedAt: null,
    group: request.group ?? null,
    retryOf: retryOf ?? null,
  };
  insertPipelineRun(db, pipelineRun);
  insertRecord(db, {
    id: deps.ids.record(deps.clock.now()),
    kind: 'pipeline_run',
    workspace: version.workspace,
    version: version.version,
    pipelineRunId: pipelineRun.id,
    snapshotId: null,
    message: request.reason,
    createdAt,
  });
  const ids = new Map(plan.stages.map((stage) => [stage.stage, deps.ids.run()]));
  for (const [position, stage] of plan.stages.entries()) {
    storeStage(deps, { pipelineRun, stage, position, ids });
  }
  // kill point: submit/half-stored
  reuseFromTheStart(deps, pipelineRun.id);
  const stored = getPipelineRun(db, pipelineRun.id) ?? pipelineRun;
  return { pipelineRun: stored, runs: runsOfPipelineRun(db, pipelineRun.id), deduplicated: false };
}

/** A workspace that is deleted meanwhile takes its versions along, and another may have got its name. */
function requireStill(db: RunsDeps['db'], version: WorkspaceVersion): void {
  if (findVersion(db, version.workspace, version.version)?.gitSha === version.gitSha) return;
  throw new GoldfishError('CONFLICT', {
    message: `${version.workspace} was deleted while this call was being planned.`,
    hint: 'Nothing was started. list_workspaces shows what there is.',
    fix: { tool: 'list_workspaces', arguments: {} },
  });
}

function storeStage(
  deps: RunsDeps,
  parts: {
    pipelineRun: PipelineRun;
    stage: StagePlan;
    position: number;
    ids: ReadonlyMap<string, string>;
  },
): void {
  const { pipelineRun, stage, position, ids } = parts;
  const id = ids.get(stage.stage) ?? deps.ids.run();
  insertStageRun(deps.db, {
    id,
    pipelineRunId: pipelineRun.id,
    position,
    workspace: pipelineRun.workspace,
    version: pipelineRun.version,
    stage: stage.stage,
    backend: stage.compute.backend,
    profile: stage.compute.profile,
    plan: stage,
    createdAt: pipelineRun.createdAt,
    needs: stage.needs.flatMap((need) => ids.get(need) ?? []),
  });
  for (const input of stage.inputs) insertInput(deps.db, { runId: id, ...inputRow(input, ids) });
}

function inputRow(input: PlannedInput, ids: ReadonlyMap<string, string>) {
  const { name, type, origin } = input;
  const from = { fromRunId: null, fromSignal: null, fromSource: null, fromSourceVersion: null };
  if (origin.kind === 'source') {
    const { name: fromSource, version: fromSourceVersion, hash } = origin;
    return { name, type, ...from, fromSource, fromSourceVersion, hash, stale: false };
  }
  if (origin.kind === 'run') {
    const { runId: fromRunId, signal: fromSignal, hash, stale } = origin;
    return { name, type, ...from, fromRunId, fromSignal, hash, stale };
  }
  const fromRunId = ids.get(origin.stage) ?? null;
  return { name, type, ...from, fromRunId, fromSignal: origin.signal, hash: null, stale: false };
}

/**
 * Reuses, before anything is started, every run whose inputs are known: the answer can then say so. A reused run's
 * outputs make its dependents' inputs known, so one pass in the order of the pipeline sees them all.
 */
function reuseFromTheStart(deps: RunsDeps, pipelineRunId: string): void {
  for (const { id } of runsOfPipelineRun(deps.db, pipelineRunId)) {
    const run = getStageRun(deps.db, id);
    const known = inputsOfRun(deps.db, id).every((input) => input.hash !== null);
    if (run?.state === 'pending' && known) reuseIfPossible(deps, run);
  }
}

function toJson(request: RunRequest): JsonObject {
  return JSON.parse(JSON.stringify(request)) as JsonObject;
}
