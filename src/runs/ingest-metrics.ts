import { isoTime } from '../core/clock.ts';
import { BUILT_IN_MONITORS, type MonitorSettings } from '../core/monitors.ts';
import { redact } from '../core/redact.ts';
import type { MetricPoint } from '../core/rows.ts';
import { getAttempt } from '../store/attempts.ts';
import { readTrend, recordFinding, writeTrend } from '../store/findings.ts';
import { appendMetrics } from '../store/metrics.ts';
import { getStageRun, setProgress } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { readMetrics } from './metrics-file.ts';
import { judgePoints } from './monitors/judge-points.ts';
import { secretsOf } from './secrets-of-run.ts';

/** Batches taken in at one look while a run goes on; the rest waits for the next look. */
const LIVE_BATCHES = 8;

/** Characters of what a program says of its progress. */
const MAX_MESSAGE = 200;

type Deps = Pick<RunsDeps, 'db' | 'clock' | 'layout' | 'secrets'>;
type Request = { runId: string; attempt: number; final: boolean };

/**
 * Takes in what the program has logged since the last time, and has the monitors judge every point with it: what was
 * taken in was judged, and is not judged again. `final`: everything, once the program has ended.
 */
export async function ingestMetrics(deps: Deps, request: Request): Promise<void> {
  const { db } = deps;
  // What a program says of itself is stored and shown, so it passes the rule of its log.
  const run = getStageRun(db, request.runId);
  const secrets = secretsOf(deps, run);
  const monitors = run?.plan.compute.monitors ?? BUILT_IN_MONITORS;
  const file = deps.layout.attempt(request.runId, request.attempt).metrics;
  for (let batches = 0; request.final || batches < LIVE_BATCHES; batches += 1) {
    const from = getAttempt(db, request)?.metricsOffset;
    if (from === undefined) return;
    const batch = await readMetrics(file, from, { now: isoTime(deps.clock.now()), final: request.final });
    if (batch.to === from) return;
    // Redacted before it is cut: of a secret at the edge nothing may be left.
    const message = batch.message === null ? null : redact(batch.message, secrets).slice(0, MAX_MESSAGE);
    const points =
      secrets.length === 0
        ? batch.points
        : batch.points.map((point) => ({ ...point, name: redact(point.name, secrets) }));
    db.write(() => {
      const added = appendMetrics(db, { ...request, points, from, to: batch.to });
      if (!added) return;
      setProgress(db, { runId: request.runId, fraction: batch.progress, message });
      judge(deps, request, { monitors, points });
    });
    // kill point: metrics/batch-taken-in
    if (!batch.more) return;
  }
}

/** What has ended cannot be stopped any more. */
function judge(
  { db, clock }: Deps,
  { final, ...key }: Request,
  { monitors, points }: { monitors: MonitorSettings; points: readonly MetricPoint[] },
): void {
  const before = readTrend(db, key);
  const { notices, trend } = judgePoints(monitors, before, points);
  if (trend !== before) writeTrend(db, key, trend);
  const createdAt = isoTime(clock.now());
  for (const notice of notices) {
    recordFinding(db, { ...key, ...notice, action: final ? 'warn' : notice.action, createdAt });
  }
}
