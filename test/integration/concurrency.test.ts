import { expect, it } from 'vitest';
import { mixedCalls } from '../support/mixed-calls-project.ts';

/** The whole of it, 200 calls each, is among the faults: test/faults/concurrency. */
const SHORT = { calls: 24, runs: 2, seed: 20_261_126 };

it('four servers and two commands work on one project at once: what was acknowledged is there, and nothing is done twice', {
  timeout: 600_000,
}, async () => {
  const { made, problems, executed } = await mixedCalls(SHORT);
  expect(problems).toEqual([]);
  expect(made).toHaveLength(6 * SHORT.calls);
  expect(executed).toBeGreaterThan(0);
  const done = new Set(made.filter(({ outcome }) => outcome === 'ok').map(({ tool }) => tool));
  for (const tool of ['checkpoint', 'create_workspace', 'log_thought', 'rollback', 'run', 'tag']) {
    expect(done).toContain(tool);
  }
});
