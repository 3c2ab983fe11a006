import type { Cause } from '../core/causes.ts';
import type { Source } from '../core/rows.ts';
import type { RunState } from '../core/run-lifecycle.ts';
import type { Db } from './database.ts';

/** A run as a graph shows it. */
export type RunBrief = {
  runId: string;
  workspace: string;
  version: number;
  stage: string;
  state: RunState;
  cause: Cause | null;
  /** Set where the run was reused: the one that did the work. */
  cachedFrom: string | null;
  cacheKey: string | null;
};

const BRIEF = `SELECT id AS runId, workspace_name AS workspace, version, stage_name AS stage, state, cause,
  CASE WHEN cause = 'cached' THEN cached_from END AS cachedFrom, cache_key AS cacheKey FROM stage_runs`;

export function runBrief(db: Db, runId: string): RunBrief | undefined {
  return db.prepare<RunBrief>(`${BRIEF} WHERE id = ?`).get(runId);
}

/** Runs that reused one; found by the key they share with it. */
export function runsReusing(db: Db, of: { runId: string; cacheKey: string; limit: number }): string[] {
  return db
    .prepare<{ id: string }>(
      `SELECT id FROM stage_runs WHERE cache_key = ? AND state = 'completed' AND cause = 'cached' AND cached_from = ?
       ORDER BY rowid DESC LIMIT ?`,
    )
    .all(of.cacheKey, of.runId, of.limit)
    .map((row) => row.id);
}

/** Runs of a version, the newest first. */
export function runsOfVersion(db: Db, of: { workspace: string; version: number; limit: number }): string[] {
  return db
    .prepare<{ id: string }>(
      `SELECT r.id FROM pipeline_runs p JOIN stage_runs r ON r.pipeline_run_id = p.id
        WHERE p.workspace_name = ? AND p.version = ? ORDER BY r.rowid DESC LIMIT ?`,
    )
    .all(of.workspace, of.version, of.limit)
    .map((row) => row.id);
}

export type SignalUse = { runId: string; input: string; signal: string };

/** Who reads the signals of a run, the newest first. */
export function usesOfSignals(db: Db, of: { runId: string; signal?: string; limit: number }): SignalUse[] {
  return db
    .prepare<SignalUse>(
      `SELECT run_id AS runId, name AS input, from_signal AS signal FROM run_inputs
        WHERE from_run_id = ? AND (? IS NULL OR from_signal = ?) ORDER BY rowid DESC LIMIT ?`,
    )
    .all(of.runId, of.signal ?? null, of.signal ?? null, of.limit);
}

/** Sources that signals of a run were promoted to. */
export function sourcesOfSignals(
  db: Db,
  of: { runId: string; signal?: string; limit: number },
): (Pick<Source, 'name' | 'version'> & { signal: string })[] {
  return db
    .prepare<Pick<Source, 'name' | 'version'> & { signal: string }>(
      `SELECT name, version, from_signal AS signal FROM sources
        WHERE from_run_id = ? AND (? IS NULL OR from_signal = ?) ORDER BY name, version LIMIT ?`,
    )
    .all(of.runId, of.signal ?? null, of.signal ?? null, of.limit);
}

export type VersionPlace = { workspace: string; version: number };

/** The version that a workspace was made from; only its first version comes from there. */
export function forkedFrom(db: Db, workspace: string): VersionPlace | undefined {
  return db
    .prepare<VersionPlace>(
      `SELECT from_workspace AS workspace, from_version AS version FROM workspaces
        WHERE name = ? AND from_workspace IS NOT NULL AND from_version IS NOT NULL`,
    )
    .get(workspace);
}

/** Workspaces that were made from a version. */
export function forksOf(db: Db, of: VersionPlace & { limit: number }): string[] {
  return db
    .prepare<{ name: string }>(
      'SELECT name FROM workspaces WHERE from_workspace = ? AND from_version = ? ORDER BY name LIMIT ?',
    )
    .all(of.workspace, of.version, of.limit)
    .map((row) => row.name);
}

/** A run and a stage checkpoint: one that another run went on from, or that a run started with. */
export type CheckpointUse = { runId: string; checkpoint: string };

const NEWEST = "plan_json ->> '$.startFrom.checkpoints[#-1].id'";

/** Whose stage checkpoints a run started with, and the newest of them. */
export function startOf(db: Db, runId: string): CheckpointUse | undefined {
  return db
    .prepare<CheckpointUse>(
      `SELECT plan_json ->> '$.startFrom.runId' AS runId, ${NEWEST} AS checkpoint FROM stage_runs
        WHERE id = ? AND plan_json ->> '$.startFrom.runId' IS NOT NULL`,
    )
    .get(runId);
}

/** Runs that started with stage checkpoints of one: only retries of it, and retries of those, can. */
export function startedFrom(db: Db, of: { runId: string; limit: number }): CheckpointUse[] {
  return db
    .prepare<CheckpointUse>(
      `WITH RECURSIVE again (id) AS (
         SELECT r.id FROM pipeline_runs p JOIN stage_runs r ON r.pipeline_run_id = p.id WHERE p.retry_of = ?
         UNION SELECT r.id FROM again a JOIN pipeline_runs p ON p.retry_of = a.id
                 JOIN stage_runs r ON r.pipeline_run_id = p.id)
       SELECT r.id AS runId, ${NEWEST} AS checkpoint FROM again a JOIN stage_runs r ON r.id = a.id
        WHERE r.plan_json ->> '$.startFrom.runId' = ? ORDER BY r.rowid LIMIT ?`,
    )
    .all(of.runId, of.runId, of.limit);
}
