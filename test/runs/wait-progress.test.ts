import { describe, expect, it } from 'vitest';
import type { StageRun } from '../../src/core/rows.ts';
import { RUN_STATES, type RunState } from '../../src/core/run-lifecycle.ts';
import { describeRuns, fractionOf } from '../../src/runs/wait-progress.ts';

const run = (stage: string, state: RunState, given: Partial<StageRun> = {}) =>
  ({ stage, state, progress: null, attempt: 1, ...given }) as StageRun;

describe('how far some runs are', () => {
  it('grows with each state of a run, and is whole at its end', () => {
    const far = RUN_STATES.map((state) => fractionOf([run('a', state)]));
    expect(far).toEqual([...far].sort((a, b) => a - b));
    expect(far[0]).toBe(0);
    expect(new Set(far.slice(0, 6)).size).toBe(6);
    expect(far.slice(6)).toEqual([1, 1, 1, 1]);
  });

  it('follows what a program says of itself, whatever that is', () => {
    const said = [null, 0, 0.5, 1].map((progress) => fractionOf([run('a', 'running', { progress })]));
    expect(said).toEqual([0.1, 0.1, expect.closeTo(0.5), expect.closeTo(0.9)]);
    expect(fractionOf([run('a', 'running', { progress: 7 })])).toBeCloseTo(0.9);
    expect(fractionOf([run('a', 'running', { progress: -7 })])).toBe(0.1);
  });

  it('is that of all of them together', () => {
    expect(fractionOf([run('a', 'completed'), run('b', 'pending')])).toBe(0.5);
    expect(fractionOf([])).toBe(0);
  });
});

describe('what is said of them', () => {
  it('names each with its state, how far it says it is, and which attempt it is', () => {
    expect(
      describeRuns([
        run('prepare', 'completed', { attempt: 2 }),
        run('train', 'running', { progress: 0.4 }),
        run('test', 'pending', { attempt: 3 }),
      ]),
    ).toBe('prepare completed, train running 40 %, test pending (attempt 3)');
  });

  it('counts many by state', () => {
    const many = Array.from({ length: 7 }, (_, i) => run(`s${i}`, i < 2 ? 'running' : 'pending'));
    expect(describeRuns(many)).toBe('2 running, 5 pending');
  });
});
