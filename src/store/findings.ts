import type { MetricTrend, MonitorName, RunFinding } from '../core/monitors.ts';
import type { AttemptKey } from './attempts.ts';
import type { Db } from './database.ts';
import { noteRun } from './run-events.ts';

/** A program may log NaN under any number of names. */
const MOST_OF_AN_ATTEMPT = 100;

type Row = {
  run_id: string;
  attempt: number;
  monitor: string;
  metric: string;
  action: string;
  message: string;
  created_at: string;
};

function toRunFinding(row: Row): RunFinding {
  return {
    runId: row.run_id,
    attempt: row.attempt,
    monitor: row.monitor as MonitorName,
    metric: row.metric === '' ? null : row.metric,
    action: row.action as RunFinding['action'],
    message: row.message,
    createdAt: row.created_at,
  };
}

/** Of an attempt, its monitor and metric the first one stays. A new one is an event, so that whoever waits hears of it. */
export function recordFinding(db: Db, finding: RunFinding): void {
  const { runId, attempt, monitor, metric, action, message, createdAt } = finding;
  db.write(() => {
    const added = db
      .prepare(
        `INSERT OR IGNORE INTO run_findings (run_id, attempt, monitor, metric, action, message, created_at)
         SELECT ?, ?, ?, ?, ?, ?, ?
          WHERE (SELECT count(*) FROM run_findings WHERE run_id = ? AND attempt = ?) < ?`,
      )
      .run(
        runId,
        attempt,
        monitor,
        metric ?? '',
        action,
        message,
        createdAt,
        runId,
        attempt,
        MOST_OF_AN_ATTEMPT,
      );
    if (added > 0) noteRun(db, { runId, attempt, at: createdAt, detail: { monitor, message } });
  });
}

/** Of all attempts, oldest first. */
export function findingsOfRun(db: Db, runId: string): RunFinding[] {
  return db
    .prepare<Row>('SELECT * FROM run_findings WHERE run_id = ? ORDER BY attempt, created_at, monitor, metric')
    .all(runId)
    .map(toRunFinding);
}

/** Of the current attempts of some runs, the oldest first. */
export function findingsOfRuns(db: Db, runIds: readonly string[]): RunFinding[] {
  return db
    .prepare<Row>(
      `SELECT f.* FROM json_each(?) ids JOIN stage_runs r ON r.id = ids.value
         JOIN run_findings f ON f.run_id = r.id AND f.attempt = r.attempt
        ORDER BY f.created_at, f.run_id, f.monitor, f.metric`,
    )
    .all(JSON.stringify(runIds))
    .map(toRunFinding);
}

/** The first one that ends the attempt. */
export function stoppingFinding(db: Db, key: AttemptKey): RunFinding | undefined {
  return findingsOfRun(db, key.runId).find(
    ({ attempt, action }) => attempt === key.attempt && action === 'stop',
  );
}

/** How many each of some runs has; those without any are left out. */
export function countFindings(db: Db, runIds: readonly string[]): Map<string, number> {
  const rows = db
    .prepare<{ runId: string; n: number }>(
      `SELECT f.run_id AS runId, count(*) AS n FROM json_each(?) ids JOIN run_findings f ON f.run_id = ids.value
        GROUP BY f.run_id`,
    )
    .all(JSON.stringify(runIds));
  return new Map(rows.map(({ runId, n }) => [runId, n]));
}

/** What the monitor of divergence remembers of an attempt; null: nothing yet. */
export function readTrend(db: Db, key: AttemptKey): MetricTrend | null {
  const row = db
    .prepare<{ trend: string | null }>(
      'SELECT trend_json AS trend FROM run_attempts WHERE run_id = ? AND attempt = ?',
    )
    .get(key.runId, key.attempt);
  return row?.trend == null ? null : (JSON.parse(row.trend) as MetricTrend);
}

export function writeTrend(db: Db, key: AttemptKey, trend: MetricTrend | null): void {
  db.prepare('UPDATE run_attempts SET trend_json = ? WHERE run_id = ? AND attempt = ?').run(
    trend === null ? null : JSON.stringify(trend),
    key.runId,
    key.attempt,
  );
}
