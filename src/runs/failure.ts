import { tailLog } from '../backends/log-segments.ts';
import { CAUSES, type Cause } from '../core/causes.ts';
import type { Failure, StageRun } from '../core/rows.ts';
import type { RunsDeps } from './deps.ts';
import { formatLogCursor } from './log-cursor.ts';

/** Lines kept with the run, so that its error is readable after its folder is gone. */
const TAIL_LINES = 20;
/** How far back the line that states the error is looked for. */
const SEARCH_LINES = 400;
const MAX_LINE = 400;

const CLASS_OF_CAUSE: Partial<Record<Cause, Failure['class']>> = {
  exit_nonzero: 'code',
  output_missing: 'code',
  contract_violated: 'data',
  input_unavailable: 'data',
  build_failed: 'config',
  review_blocked: 'config',
  oom: 'oom',
  timeout: 'timeout',
  preempted: 'preempted',
};

/** Causes after which the same run may well succeed without a change. */
const RETRY_SAFE: readonly Cause[] = [
  'worker_lost',
  'preempted',
  'launch_failed',
  'no_capacity',
  'upload_failed',
];

/**
 * The report a failed run carries: what kind of fault, the line that states it and where it stands in the log.
 * The lines are the program's own words, untrusted, and nothing is decided by them.
 */
export async function describeFailure(
  deps: Pick<RunsDeps, 'layout'>,
  run: Pick<StageRun, 'id' | 'attempt'>,
  end: { cause: Cause; failureClass?: Failure['class'] },
): Promise<Failure | undefined> {
  const { cause } = end;
  const { state } = CAUSES[cause];
  if (state === 'completed' || state === 'canceled') return undefined;
  const dir = deps.layout.attempt(run.id, run.attempt).log;
  // A log that cannot be read makes the report poorer; it must not keep the run from ending.
  const lines = await tailLog({ dir, lines: SEARCH_LINES }).catch(() => []);
  const error = findErrorLine(lines);
  const faultClass = end.failureClass ?? CLASS_OF_CAUSE[cause] ?? 'infra';
  return {
    class: faultClass,
    firstErrorLine: error ? error.text.slice(0, MAX_LINE) : null,
    logCursor: error ? formatLogCursor({ attempt: run.attempt, offset: error.offset }) : null,
    logTail: lines.slice(-TAIL_LINES).map((line) => line.text.slice(0, MAX_LINE)),
    // A program that is not there will not be there the next time.
    retrySafe: RETRY_SAFE.includes(cause) && faultClass !== 'config',
  };
}

type Line = { stream: string; text: string; offset: number };

const STATES_ERROR = /\b(error|exception|fatal|panic|traceback|failed|killed|segmentation fault)\b/i;

/** Of a traceback its last line, which states the error; otherwise the first line that speaks of one. */
function findErrorLine(lines: readonly Line[]): Line | undefined {
  const candidates = lines.filter((line) => line.stream !== 'stdout');
  const start = candidates.findLastIndex((line) => line.text.startsWith('Traceback (most recent call last)'));
  if (start !== -1) {
    const statement = candidates.slice(start + 1).find((line) => line.text !== '' && !/^\s/.test(line.text));
    if (statement) return statement;
  }
  return (
    candidates.find((line) => STATES_ERROR.test(line.text)) ??
    candidates.findLast((line) => line.text.trim() !== '') ??
    lines.find((line) => STATES_ERROR.test(line.text))
  );
}
