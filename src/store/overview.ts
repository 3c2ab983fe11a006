import type { MonitorName } from '../core/monitors.ts';
import type { PipelineRunState } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

export type ProjectCounts = { workspaces: number; versions: number; runs: number; activeRuns: number };

/** How much there is of everything; answered from indexes, also with many thousand runs. */
export function countProject(db: Db): ProjectCounts {
  const row = db
    .prepare<ProjectCounts>(
      `SELECT (SELECT count(*) FROM workspaces WHERE deleted_at IS NULL) AS workspaces,
              (SELECT count(*) FROM workspace_versions) AS versions,
              (SELECT count(*) FROM stage_runs) AS runs,
              (SELECT count(*) FROM stage_runs
                WHERE state NOT IN ('completed', 'failed', 'terminated', 'canceled')) AS activeRuns`,
    )
    .get();
  return row ?? { workspaces: 0, versions: 0, runs: 0, activeRuns: 0 };
}

export type ActiveRun = {
  runId: string;
  pipelineRunId: string;
  workspace: string;
  stage: string;
  state: RunState;
  startedAt: string | null;
};

/** Runs that have not ended: those at work first, then those that wait, the oldest first. */
export function listActiveRuns(db: Db, limit: number): ActiveRun[] {
  return db
    .prepare<ActiveRun>(
      `SELECT id AS runId, pipeline_run_id AS pipelineRunId, workspace_name AS workspace, stage_name AS stage,
              state, started_at AS startedAt
         FROM stage_runs WHERE state NOT IN ('completed', 'failed', 'terminated', 'canceled')
        ORDER BY state = 'pending', created_at, position LIMIT ?`,
    )
    .all(limit);
}

export type BadEnd = {
  workspace: string;
  pipelineRunId: string;
  state: PipelineRunState;
  /** The first run of it that ended badly. */
  runId: string;
  stage: string;
  cause: string;
};

/** Workspaces whose newest pipeline run failed or was terminated: nobody has acted on it yet. Newest first. */
export function listBadEnds(db: Db, limit: number): BadEnd[] {
  return db
    .prepare<BadEnd>(
      `SELECT p.workspace_name AS workspace, p.id AS pipelineRunId, p.state, r.id AS runId, r.stage_name AS stage, r.cause
         FROM workspaces w
         JOIN pipeline_runs p ON p.id = (SELECT id FROM pipeline_runs
                WHERE workspace_name = w.name ORDER BY created_at DESC, id DESC LIMIT 1)
         JOIN stage_runs r ON r.id = (SELECT id FROM stage_runs
                WHERE pipeline_run_id = p.id AND state IN ('failed', 'terminated') ORDER BY ended_at, position LIMIT 1)
        WHERE w.deleted_at IS NULL AND p.state IN ('failed', 'terminated')
        ORDER BY p.created_at DESC LIMIT ?`,
    )
    .all(limit);
}

export type Warned = {
  workspace: string;
  runId: string;
  stage: string;
  state: RunState;
  monitor: MonitorName;
  /** The first of the run. */
  message: string;
};

/** Runs of each workspace's newest pipeline run that did not end badly and of which a monitor noticed something. Newest first. */
export function listWarned(db: Db, limit: number): Warned[] {
  return db
    .prepare<Warned>(
      `SELECT r.workspace_name AS workspace, r.id AS runId, r.stage_name AS stage, r.state, f.monitor, f.message,
              min(f.created_at) AS at
         FROM workspaces w
         JOIN stage_runs r ON r.pipeline_run_id = (SELECT id FROM pipeline_runs
                WHERE workspace_name = w.name ORDER BY created_at DESC, id DESC LIMIT 1)
         JOIN run_findings f ON f.run_id = r.id AND f.attempt = r.attempt
        WHERE w.deleted_at IS NULL AND r.state NOT IN ('failed', 'terminated', 'canceled')
        GROUP BY r.id ORDER BY at DESC LIMIT ?`,
    )
    .all(limit);
}

export type WorkspaceActivity = { runs: number; lastRunAt: string | null };

/** Pipeline runs of one workspace, and when the newest was made. */
export function workspaceActivity(db: Db, workspace: string): WorkspaceActivity {
  const row = db
    .prepare<WorkspaceActivity>(
      'SELECT count(*) AS runs, max(created_at) AS lastRunAt FROM pipeline_runs WHERE workspace_name = ?',
    )
    .get(workspace);
  return row ?? { runs: 0, lastRunAt: null };
}

/** How many pipeline runs used each version of a workspace. */
export function countRunsByVersion(db: Db, workspace: string): Map<number, number> {
  const rows = db
    .prepare<{ version: number; runs: number }>(
      'SELECT version, count(*) AS runs FROM pipeline_runs WHERE workspace_name = ? GROUP BY version',
    )
    .all(workspace);
  return new Map(rows.map((row) => [row.version, row.runs]));
}
