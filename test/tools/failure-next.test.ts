import { describe, expect, it } from 'vitest';
import { CAUSES, type Cause } from '../../src/core/causes.ts';
import type { Failure, StageRun } from '../../src/core/rows.ts';
import { ALL_TOOLS } from '../../src/tools/registry.ts';
import { toFailure } from '../../src/tools/run-rows.ts';

const BARE: Failure = { class: 'code', firstErrorLine: null, logCursor: null, logTail: [], retrySafe: false };
const bad = (Object.keys(CAUSES) as Cause[]).filter((cause) =>
  ['failed', 'terminated'].includes(CAUSES[cause].state),
);

function failureOf(cause: Cause, change: Partial<Failure>) {
  const run = {
    id: 'stage-0123456789ab',
    stage: 's',
    cause,
    errorMessage: null,
    failure: { ...BARE, ...change },
  };
  const report = toFailure(run as StageRun);
  if (report === null) throw new Error('a failed run has no report');
  return report;
}

const CASES: [string, Partial<Failure>, string, object][] = [
  ['may pass', { retrySafe: true, logCursor: '1.12' }, 'retry', { run_id: 'stage-0123456789ab' }],
  ['states an error', { logCursor: '2.37', logTail: ['x'] }, 'logs', { cursor: '2.37' }],
  ['printed something', { logTail: ['x'] }, 'logs', { tail: 50 }],
  ['printed nothing', {}, 'inspect_run', { include: ['config', 'inputs', 'events'] }],
];

describe('the next call of a failed run', () => {
  it.each(CASES)('that %s is one the tool takes, whatever the cause', (_, change, tool, args) => {
    for (const cause of bad) {
      const { next } = failureOf(cause, change);
      expect(next).toMatchObject({ tool, arguments: args });
      const found = ALL_TOOLS.find(({ name }) => name === next.tool);
      expect(found?.prepare(next.arguments), `${cause}: ${JSON.stringify(next)}`).toHaveProperty('call');
    }
  });

  it('has a reason that is long enough for the audit', () => {
    for (const cause of bad) {
      const { next } = failureOf(cause, { retrySafe: true });
      expect(String(next.arguments['reason']).length, cause).toBeGreaterThanOrEqual(15);
    }
  });

  it('is the one that was found when the run ended, where one was', () => {
    const next = { tool: 'inspect_source', arguments: { name: 'digits' } };
    expect(failureOf('input_unavailable', { next, retrySafe: true }).next).toEqual(next);
  });
});
