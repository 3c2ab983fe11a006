import { type LogLine, type LogStream, readLog, readLogTail } from '../backends/log-segments.ts';
import { GoldfishError } from '../core/errors.ts';
import type { StageRun } from '../core/rows.ts';
import { isTerminal } from '../core/run-lifecycle.ts';
import { getStageRun } from '../store/stage-runs.ts';
import type { RunsDeps } from './deps.ts';
import { formatLogCursor, type LogCursor, parseLogCursor } from './log-cursor.ts';

export type LogsRequest = {
  run: StageRun;
  stream?: LogStream;
  /** The last n lines instead of reading from a cursor. */
  tail?: number;
  cursor?: string;
  /** Plain substring. */
  grep?: string;
  /** ISO time. */
  since?: string;
  limit: number;
};

export type LogsPage = {
  /** The run whose program printed the lines: another one where this run was reused. */
  runId: string;
  lines: LogLine[];
  /** Where to read on; stays valid across restarts of everything. */
  cursor: string;
  /** More lines are there already. */
  more: boolean;
  /** Nothing will be added any more. */
  complete: boolean;
  /** Bytes of a flood that were dropped before the first line here. */
  gap: { from: number; to: number } | null;
};

/** Lines of a run over all its attempts. A cursor never skips or repeats a line. */
export async function readRunLogs(
  deps: Pick<RunsDeps, 'db' | 'layout'>,
  request: LogsRequest,
): Promise<LogsPage> {
  const run = sourceOf(deps, request.run);
  const filter = {
    ...(request.stream ? { stream: request.stream } : {}),
    ...(request.grep === undefined ? {} : { grep: request.grep }),
    ...(request.since === undefined ? {} : { since: request.since }),
  };
  const folder = (attempt: number): string => deps.layout.attempt(run.id, attempt).log;
  // Read before the lines, so that "complete" is never said of lines that came in between.
  const over = isTerminal(run.state);
  if (request.cursor === undefined && request.tail !== undefined) {
    const tail = await readLogTail({ dir: folder(run.attempt), lines: request.tail, ...filter });
    const cursor = formatLogCursor({ attempt: run.attempt, offset: tail.nextOffset });
    return { runId: run.id, lines: tail.lines, cursor, more: false, complete: over, gap: null };
  }
  let at = request.cursor === undefined ? { attempt: 1, offset: 0 } : requireCursor(request.cursor, run);
  for (;;) {
    const page = await readLog({
      dir: folder(at.attempt),
      cursor: at.offset,
      limitLines: request.limit,
      ...filter,
    });
    const finished = page.lines.length === 0 && !page.more && at.attempt < run.attempt;
    if (!finished) {
      const cursor = formatLogCursor({ attempt: at.attempt, offset: page.nextOffset });
      const more = page.more || at.attempt < run.attempt;
      const { lines, gap = null } = page;
      return { runId: run.id, lines, cursor, more, complete: over && !more, gap };
    }
    at = { attempt: at.attempt + 1, offset: 0 };
  }
}

function sourceOf(deps: Pick<RunsDeps, 'db'>, run: StageRun): StageRun {
  return (run.cachedFrom === null ? undefined : getStageRun(deps.db, run.cachedFrom)) ?? run;
}

function requireCursor(text: string, run: StageRun): LogCursor {
  const cursor = parseLogCursor(text);
  if (cursor && cursor.attempt <= run.attempt) return cursor;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: 'The cursor is not one that logs returned for this run.',
    hint: 'Leave the cursor out to read from the start, or pass the last answer\'s "cursor".',
    details: { field: 'cursor' },
  });
}
