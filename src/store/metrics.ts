import type { MetricPoint, MetricSummary } from '../core/rows.ts';
import type { Db } from './database.ts';

/**
 * Takes in what was read of one attempt's metrics file, together with how far it was read: a crash between
 * reading and writing reads the same bytes again and finds them unwritten. NaN is stored as NULL.
 */
export function appendMetrics(
  db: Db,
  batch: { runId: string; attempt: number; points: readonly MetricPoint[]; from: number; to: number },
): boolean {
  return db.write(() => {
    const moved = db
      .prepare(
        'UPDATE run_attempts SET metrics_offset = ? WHERE run_id = ? AND attempt = ? AND metrics_offset = ?',
      )
      .run(batch.to, batch.runId, batch.attempt, batch.from);
    if (moved === 0) return false;
    const next = db.prepare<{ seq: number }>(
      'SELECT coalesce(max(seq), -1) + 1 AS seq FROM metrics WHERE run_id = ? AND name = ?',
    );
    const insert = db.prepare(
      'INSERT INTO metrics (run_id, seq, attempt, name, step, value, logged_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    const sequences = new Map<string, number>();
    for (const point of batch.points) {
      const seq = sequences.get(point.name) ?? next.get(batch.runId, point.name)?.seq ?? 0;
      sequences.set(point.name, seq + 1);
      const value = Number.isNaN(point.value) ? null : point.value;
      insert.run(batch.runId, seq, batch.attempt, point.name, point.step, value, point.loggedAt);
    }
    summarise(db, batch);
    return true;
  });
}

function summarise(db: Db, batch: { runId: string; points: readonly MetricPoint[] }): void {
  const byName = Map.groupBy(batch.points, (point) => point.name);
  const upsert = db.prepare(
    `INSERT INTO metric_summaries (run_id, name, last, min, max, count) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (run_id, name) DO UPDATE SET last = excluded.last, count = count + excluded.count,
       min = CASE WHEN min IS NULL OR excluded.min < min THEN coalesce(excluded.min, min) ELSE min END,
       max = CASE WHEN max IS NULL OR excluded.max > max THEN coalesce(excluded.max, max) ELSE max END`,
  );
  for (const [name, points] of byName) {
    let min: number | null = null;
    let max: number | null = null;
    for (const { value } of points) {
      if (Number.isNaN(value)) continue;
      min = min === null || value < min ? value : min;
      max = max === null || value > max ? value : max;
    }
    const last = points.at(-1)?.value ?? null;
    upsert.run(batch.runId, name, Number.isNaN(last) ? null : last, min, max, points.length);
  }
}

/** Per name; `last` is null where the newest value is NaN. */
export function metricSummaries(db: Db, runId: string): MetricSummary[] {
  return db
    .prepare<MetricSummary>(
      'SELECT name, last, min, max, count FROM metric_summaries WHERE run_id = ? ORDER BY name',
    )
    .all(runId);
}

/** One series in the order it was logged; NaN is null. */
export function metricSeries(
  db: Db,
  query: { runId: string; name: string; fromStep?: number },
): { step: number | null; value: number | null; seq: number }[] {
  return db
    .prepare<{ step: number | null; value: number | null; seq: number }>(
      'SELECT step, value, seq FROM metrics WHERE run_id = ? AND name = ? AND coalesce(step, seq) >= ? ORDER BY seq',
    )
    .all(query.runId, query.name, query.fromStep ?? Number.MIN_SAFE_INTEGER);
}
