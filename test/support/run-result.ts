import type { RunHandle, RunResult } from '../../src/backends/port.ts';

export const RESULT_AT = '2026-01-02T03:04:05.000Z';

/** The result document of a program that ended well at once. */
export function runResult(
  of: Pick<RunHandle, 'runId' | 'attempt'>,
  change: Partial<RunResult> = {},
): RunResult {
  return {
    schema: 1,
    runId: of.runId,
    attempt: of.attempt,
    started: true,
    exitCode: 0,
    signal: null,
    stoppedBy: null,
    oom: false,
    rank: 0,
    lost: false,
    error: null,
    startedAt: RESULT_AT,
    endedAt: RESULT_AT,
    ranSeconds: null,
    maxRssBytes: null,
    cpuSeconds: null,
    logBytes: 0,
    ...change,
  };
}
