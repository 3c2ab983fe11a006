import type { Cause } from '../core/causes.ts';
import type { Failure, StageRun } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { StagePlan } from '../core/stage-plan.ts';
import type { Bindable, Db } from './database.ts';

type Row = {
  id: string;
  pipeline_run_id: string;
  position: number;
  workspace_name: string;
  version: number;
  stage_name: string;
  state: string;
  cause: string | null;
  attempt: number;
  backend_type: string;
  profile: string;
  plan_json: string;
  cache_key: string | null;
  cache_reason: string | null;
  cached_from: string | null;
  exit_code: number | null;
  signal: string | null;
  error_message: string | null;
  failure_json: string | null;
  progress: number | null;
  progress_message: string | null;
  cancel_cause: string | null;
  cancel_reason: string | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  not_before: string | null;
  replicate: number;
};

function toStageRun(row: Row): StageRun {
  return {
    id: row.id,
    pipelineRunId: row.pipeline_run_id,
    position: row.position,
    workspace: row.workspace_name,
    version: row.version,
    stage: row.stage_name,
    state: row.state as RunState,
    cause: row.cause as Cause | null,
    attempt: row.attempt,
    backend: row.backend_type,
    profile: row.profile,
    plan: readPlan(row.plan_json),
    cacheKey: row.cache_key,
    cacheReason: row.cache_reason,
    cachedFrom: row.cached_from,
    exitCode: row.exit_code,
    signal: row.signal,
    errorMessage: row.error_message,
    failure: row.failure_json === null ? null : (JSON.parse(row.failure_json) as Failure),
    progress: row.progress,
    progressMessage: row.progress_message,
    cancelCause: row.cancel_cause as Cause | null,
    cancelReason: row.cancel_reason,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    notBefore: row.not_before,
    replicate: row.replicate,
  };
}

/** Plans of 0.1 lack what came later: their stages had no limits, no secrets and the network. */
function readPlan(json: string): StagePlan {
  const plan = JSON.parse(json) as StagePlan;
  const compute = { ...COMPUTE_OF_0_1, ...plan.compute };
  return { ...plan, secrets: plan.secrets ?? {}, image: plan.image ?? null, compute };
}

const COMPUTE_OF_0_1 = {
  nodes: 1,
  cpus: null,
  gpus: 0,
  pidsLimit: null,
  network: true,
  heartbeatTimeoutSeconds: null,
};

/** A new run, pending. Its needs must be inserted before it. */
export type NewStageRun = Pick<
  StageRun,
  | 'id'
  | 'pipelineRunId'
  | 'position'
  | 'workspace'
  | 'version'
  | 'stage'
  | 'backend'
  | 'profile'
  | 'plan'
  | 'createdAt'
> & { needs: string[] };

export function insertStageRun(db: Db, run: NewStageRun): void {
  db.prepare(
    `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, backend_type,
       profile, plan_json, created_at, replicate) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?)`,
  ).run(
    run.id,
    run.pipelineRunId,
    run.position,
    run.workspace,
    run.version,
    run.stage,
    run.backend,
    run.profile,
    JSON.stringify(run.plan),
    run.createdAt,
    run.plan.replicate ?? 0,
  );
  const need = db.prepare('INSERT INTO run_needs (run_id, needs_run_id) VALUES (?, ?)');
  for (const id of run.needs) need.run(run.id, id);
  db.prepare(
    `INSERT INTO run_events (run_id, attempt, event, from_state, to_state, source, created_at)
     VALUES (?, 1, 'submit', NULL, 'pending', 'caller', ?)`,
  ).run(run.id, run.createdAt);
}

export function getStageRun(db: Db, id: string): StageRun | undefined {
  const row = db.prepare<Row>('SELECT * FROM stage_runs WHERE id = ?').get(id);
  return row && toStageRun(row);
}

/** In the order of the pipeline. */
export function runsOfPipelineRun(db: Db, pipelineRunId: string): StageRun[] {
  return db
    .prepare<Row>('SELECT * FROM stage_runs WHERE pipeline_run_id = ? ORDER BY position')
    .all(pipelineRunId)
    .map(toStageRun);
}

/** Every run that is not terminal, oldest first. */
export function openStageRuns(db: Db): StageRun[] {
  return db
    .prepare<Row>(
      `SELECT * FROM stage_runs WHERE state NOT IN ('completed', 'failed', 'terminated', 'canceled')
       ORDER BY created_at, pipeline_run_id, position`,
    )
    .all()
    .map(toStageRun);
}

/** Of one backend, or of all. */
export function countOpenStageRuns(db: Db, backend: string | null = null): number {
  const row = db
    .prepare<{ n: number }>(
      `SELECT count(*) AS n FROM stage_runs WHERE backend_type = coalesce(?, backend_type)
       AND state NOT IN ('completed', 'failed', 'terminated', 'canceled')`,
    )
    .get(backend);
  return row?.n ?? 0;
}

const HOLDING = `state IN ('preparing', 'building', 'launching', 'running', 'finishing')`;

/** GPUs that runs of a backend hold, over all their ranks. */
export function gpusInUse(db: Db, backend: string): number {
  return db
    .prepare<{ plan_json: string }>(`SELECT plan_json FROM stage_runs WHERE backend_type = ? AND ${HOLDING}`)
    .all(backend)
    .map((row) => readPlan(row.plan_json).compute)
    .reduce((sum, { gpus, nodes }) => sum + gpus * nodes, 0);
}

/** How many runs hold a slot of a backend's capacity. */
export function countHolding(db: Db, scope: { backend: string } | { pipelineRunId: string }): number {
  const row =
    'backend' in scope
      ? db
          .prepare<{ n: number }>(
            `SELECT count(*) AS n FROM stage_runs WHERE backend_type = ? AND ${HOLDING}
             AND state NOT IN ('completed', 'failed', 'terminated', 'canceled')`,
          )
          .get(scope.backend)
      : db
          .prepare<{ n: number }>(
            `SELECT count(*) AS n FROM stage_runs WHERE pipeline_run_id = ? AND ${HOLDING}`,
          )
          .get(scope.pipelineRunId);
  return row?.n ?? 0;
}

/** Pending runs all of whose needs have completed, oldest first. */
export function readyStageRuns(db: Db): StageRun[] {
  return db
    .prepare<Row>(
      `SELECT r.* FROM stage_runs r WHERE r.state = 'pending' AND NOT EXISTS (
         SELECT 1 FROM run_needs n JOIN stage_runs p ON p.id = n.needs_run_id
         WHERE n.run_id = r.id AND p.state <> 'completed')
       ORDER BY r.created_at, r.pipeline_run_id, r.position`,
    )
    .all()
    .map(toStageRun);
}

/** Runs that wait, directly, for this one. */
export function directDependents(db: Db, runId: string): StageRun[] {
  return db
    .prepare<Row>(
      'SELECT r.* FROM stage_runs r JOIN run_needs n ON n.run_id = r.id WHERE n.needs_run_id = ? ORDER BY r.position',
    )
    .all(runId)
    .map(toStageRun);
}

export function needsOf(db: Db, runId: string): StageRun[] {
  return db
    .prepare<Row>(
      'SELECT r.* FROM stage_runs r JOIN run_needs n ON n.needs_run_id = r.id WHERE n.run_id = ? ORDER BY r.position',
    )
    .all(runId)
    .map(toStageRun);
}

/** The newest completed run of a cache key, or of a stage as one replicate of its calls; 0 is no repetition. */
export function newestCompletedRun(
  db: Db,
  scope: { workspace: string; stage: string; replicate: number } | { cacheKey: string },
): StageRun | undefined {
  const order = "state = 'completed' ORDER BY created_at DESC, rowid DESC LIMIT 1";
  const row =
    'cacheKey' in scope
      ? db.prepare<Row>(`SELECT * FROM stage_runs WHERE cache_key = ? AND ${order}`).get(scope.cacheKey)
      : db
          .prepare<Row>(
            `SELECT * FROM stage_runs WHERE workspace_name = ? AND stage_name = ? AND replicate = ? AND ${order}`,
          )
          .get(scope.workspace, scope.stage, scope.replicate);
  return row && toStageRun(row);
}

export type StageRunFilter = {
  workspace?: string;
  stage?: string;
  state?: RunState;
  pipelineRunId?: string;
  /** Of the call that made them. */
  group?: string;
  /** ISO time: created at or after. */
  since?: string;
  limit: number;
  /** Exclusive position of the last row of the page before. */
  after?: { createdAt: string; id: string };
};

/** Newest first; of one pipeline run the last stage first. Rows are in the order of their insertion. */
export function listStageRuns(db: Db, filter: StageRunFilter): StageRun[] {
  const where: string[] = [];
  const params: Bindable[] = [];
  const add = (sql: string, ...values: Bindable[]): void => {
    where.push(sql);
    params.push(...values);
  };
  if (filter.workspace !== undefined) add('workspace_name = ?', filter.workspace);
  if (filter.stage !== undefined) add('stage_name = ?', filter.stage);
  if (filter.state !== undefined) add('state = ?', filter.state);
  if (filter.pipelineRunId !== undefined) add('pipeline_run_id = ?', filter.pipelineRunId);
  if (filter.group !== undefined) {
    add('pipeline_run_id IN (SELECT id FROM pipeline_runs WHERE group_name = ?)', filter.group);
  }
  if (filter.since !== undefined) add('created_at >= ?', filter.since);
  if (filter.after) add('rowid < (SELECT rowid FROM stage_runs WHERE id = ?)', filter.after.id);
  const clause = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
  return db
    .prepare<Row>(`SELECT * FROM stage_runs ${clause} ORDER BY rowid DESC LIMIT ?`)
    .all(...params, filter.limit)
    .map(toStageRun);
}

/** Ids that begin with a prefix, at most `limit`. */
export function stageRunIdsLike(db: Db, prefix: string, limit: number): string[] {
  return db
    .prepare<{ id: string }>('SELECT id FROM stage_runs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?')
    .all(prefix, `${prefix}g`, limit)
    .map((row) => row.id);
}

/** What was decided about reuse; written before the run is claimed or completed by it. */
export function setCacheDecision(
  db: Db,
  decision: { runId: string; cacheKey: string; reason: string; cachedFrom: string | null },
): void {
  db.prepare('UPDATE stage_runs SET cache_key = ?, cache_reason = ?, cached_from = ? WHERE id = ?').run(
    decision.cacheKey,
    decision.reason,
    decision.cachedFrom,
    decision.runId,
  );
}

/** A cancel that the supervisor carries out; the first one asked for stays. */
export function requestCancel(db: Db, request: { runId: string; cause: Cause; reason: string }): void {
  db.prepare(
    'UPDATE stage_runs SET cancel_cause = ?, cancel_reason = ? WHERE id = ? AND cancel_cause IS NULL AND ended_at IS NULL',
  ).run(request.cause, request.reason, request.runId);
}

export function setProgress(
  db: Db,
  report: { runId: string; fraction: number | null; message: string | null },
): void {
  db.prepare(
    `UPDATE stage_runs SET progress = coalesce(?, progress), progress_message = coalesce(?, progress_message)
     WHERE id = ? AND ended_at IS NULL`,
  ).run(report.fraction, report.message, report.runId);
}
