import { tailLog } from '../backends/log-segments.ts';
import type { CAUSES, Cause } from '../core/causes.ts';
import type { Failure, StageRun } from '../core/rows.ts';
import type { RunsDeps } from './deps.ts';
import { formatLogCursor } from './log-cursor.ts';

/** Lines kept with the run, so that its error is readable after its folder is gone. */
const TAIL_LINES = 20;
/** How far back the line that states the error is looked for. */
const SEARCH_LINES = 400;
const MAX_LINE = 400;

type FailureCause = {
  [C in Cause]: (typeof CAUSES)[C]['state'] extends 'failed' | 'terminated' ? C : never;
}[Cause];

/** What kind of fault a cause is where the facts say no more, and whether the same run may well succeed without a change. */
const FAULTS: Record<FailureCause, { class: Failure['class']; retrySafe: boolean }> = {
  exit_nonzero: { class: 'code', retrySafe: false },
  output_missing: { class: 'code', retrySafe: false },
  contract_violated: { class: 'data', retrySafe: false },
  review_blocked: { class: 'config', retrySafe: false },
  preflight_failed: { class: 'infra', retrySafe: true },
  build_failed: { class: 'config', retrySafe: false },
  launch_failed: { class: 'infra', retrySafe: true },
  no_capacity: { class: 'infra', retrySafe: true },
  input_unavailable: { class: 'data', retrySafe: false },
  crash_loop: { class: 'code', retrySafe: false },
  timeout: { class: 'timeout', retrySafe: false },
  heartbeat_lost: { class: 'timeout', retrySafe: false },
  oom: { class: 'oom', retrySafe: false },
  preempted: { class: 'preempted', retrySafe: true },
  worker_lost: { class: 'infra', retrySafe: true },
  stopped_by_monitor: { class: 'code', retrySafe: false },
  budget: { class: 'config', retrySafe: false },
  upload_failed: { class: 'infra', retrySafe: true },
};

/** Causes of which the program says why: its last word counts where no line of it speaks of an error. */
const SAYS_WHY: readonly Cause[] = ['exit_nonzero', 'build_failed'];

/** What is known of the end beside its cause. */
type KnownEnd = { cause: Cause; failureClass?: Failure['class']; retrySafe?: boolean } & {
  [K in 'errno' | 'next']?: Failure[K] | undefined;
};

/**
 * The report a failed run carries: what kind of fault, the line that states it and where it stands in the log.
 * The lines are the program's own words, untrusted, and nothing is decided by them.
 */
export async function describeFailure(
  deps: Pick<RunsDeps, 'layout'>,
  run: Pick<StageRun, 'id' | 'attempt'>,
  end: KnownEnd,
): Promise<Failure | undefined> {
  const { cause, errno, next } = end;
  if (!isFailure(cause)) return undefined;
  const dir = deps.layout.attempt(run.id, run.attempt).log;
  // A log that cannot be read makes the report poorer; it must not keep the run from ending.
  const lines = await tailLog({ dir, lines: SEARCH_LINES }).catch(() => []);
  // A build that went well has no part in what failed after it.
  const spoken = cause === 'build_failed' ? lines : lines.filter(({ stream }) => stream !== 'build');
  const error = findErrorLine(spoken, SAYS_WHY.includes(cause));
  const fault = FAULTS[cause];
  const faultClass = end.failureClass ?? fault.class;
  return {
    class: faultClass,
    firstErrorLine: error ? error.text.slice(0, MAX_LINE) : null,
    logCursor: error ? formatLogCursor({ attempt: run.attempt, offset: error.offset }) : null,
    logTail: spoken.slice(-TAIL_LINES).map((line) => line.text.slice(0, MAX_LINE)),
    // A program that is not there will not be there the next time.
    retrySafe: end.retrySafe ?? (fault.retrySafe && faultClass !== 'config'),
    ...(errno === undefined ? {} : { errno }),
    ...(next === undefined ? {} : { next }),
  };
}

function isFailure(cause: Cause): cause is FailureCause {
  return Object.hasOwn(FAULTS, cause);
}

type Line = { stream: string; text: string; offset: number };

const STATES_ERROR = /\b(\w*error|\w*exception|fatal|panic|traceback|failed|killed|segmentation fault)\b/i;
/** `TypeError: x is not a function`, as languages print what nobody caught; the line that threw it stands before. */
const NAMES_ERROR = /^(Uncaught )?[\w.]*(Error|Exception)\b[^:]*: /;

/** Of a traceback its last line, which states the error; otherwise the first line that names one, or speaks of one. */
function findErrorLine(lines: readonly Line[], lastWordCounts: boolean): Line | undefined {
  const candidates = lines.filter((line) => line.stream !== 'stdout');
  const start = candidates.findLastIndex((line) => line.text.startsWith('Traceback (most recent call last)'));
  if (start !== -1) {
    const statement = candidates.slice(start + 1).find((line) => line.text !== '' && !/^\s/.test(line.text));
    if (statement) return statement;
  }
  return (
    candidates.find((line) => NAMES_ERROR.test(line.text)) ??
    candidates.find((line) => STATES_ERROR.test(line.text)) ??
    (lastWordCounts ? candidates.findLast((line) => line.text.trim() !== '') : undefined) ??
    lines.find((line) => STATES_ERROR.test(line.text))
  );
}
