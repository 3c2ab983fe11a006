import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { pythonWithLibraries } from '../../../scripts/setup/test-python.ts';

const run = promisify(execFile);
const RUNNER = join(import.meta.dirname, 'python/run_cases.py');
const PYTHON = pythonWithLibraries() ?? 'python3';

type Case = { id: string; title: string; needs: string | null };
type Outcome = { id: string; outcome: 'passed' | 'failed' | 'skipped'; detail: string };

function linesOf<Line>(text: string): Line[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** The cases are Python's own unittest, in test/sdk/python; one run of theirs, one result here for each. */
const cases = linesOf<Case>(execFileSync(PYTHON, [RUNNER, 'list'], { encoding: 'utf8' }));

describe('the stage library for Python', () => {
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    const { stdout } = await run(PYTHON, [RUNNER, 'run'], { maxBuffer: 64 * 1024 * 1024 });
    for (const outcome of linesOf<Outcome>(stdout)) outcomes.set(outcome.id, outcome);
  }, 120_000);

  it('has cases, and each says what it shows', () => {
    expect(cases.length).toBeGreaterThan(60);
    expect(cases.filter((one) => !one.title)).toEqual([]);
  });

  for (const { id, title, needs } of cases) {
    it.skipIf(needs !== null)(needs === null ? title : `${title} (${needs})`, () => {
      expect(outcomes.get(id)).toEqual({ id, outcome: 'passed', detail: '' });
    });
  }
});
