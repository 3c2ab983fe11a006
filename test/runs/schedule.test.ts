import { describe, expect, it } from 'vitest';
import { endsOf, type Job, type Limits } from '../../src/runs/schedule.ts';

const job = (id: string, given: Partial<Job> = {}): Job => ({
  id,
  backend: 'process',
  pipelineRunId: 'prun',
  needs: [],
  seconds: 10,
  holding: false,
  notBefore: 0,
  stuck: false,
  ...given,
});
const ends = (jobs: Job[], limits: { backend?: number; pipelineRun?: number } = {}) => {
  const { backend = 10, pipelineRun = 10 } = limits;
  const all: Limits = { backend: () => backend, pipelineRun: () => pipelineRun };
  return Object.fromEntries(endsOf(jobs, all));
};

describe('when runs end', () => {
  it('is after what they need', () => {
    expect(ends([job('a'), job('b', { needs: ['a'], seconds: 5 }), job('c', { seconds: 1 })])).toEqual({
      a: 10,
      b: 15,
      c: 1,
    });
  });

  it('does not depend on what has ended before', () => {
    expect(ends([job('b', { needs: ['gone'] })])).toEqual({ b: 10 });
  });

  it('is later where their backend has too few slots, in the order given', () => {
    const jobs = [job('a', { holding: true, seconds: 4 }), job('b'), job('c'), job('d')];
    expect(ends(jobs, { backend: 2 })).toEqual({ a: 4, b: 10, c: 14, d: 20 });
  });

  it('is later where their pipeline run may have no more at once, and others pass by', () => {
    const jobs = [job('a'), job('b'), job('other', { pipelineRunId: 'another', seconds: 3 })];
    expect(ends(jobs, { pipelineRun: 1 })).toEqual({ a: 10, b: 20, other: 3 });
  });

  it('counts the pause before an attempt', () => {
    expect(ends([job('a', { notBefore: 5 }), job('b', { seconds: 1 })], { backend: 1 })).toEqual({
      a: 15,
      b: 1,
    });
  });

  it('is not said of what takes nobody knows how long, nor of what waits for it', () => {
    const jobs = [job('a', { seconds: null }), job('b', { needs: ['a'] }), job('c')];
    expect(ends(jobs)).toEqual({ c: 10 });
    expect(ends(jobs, { backend: 1 })).toEqual({});
  });

  it('is not said of what waits for something else, which holds up nobody', () => {
    expect(ends([job('a', { stuck: true }), job('b')], { backend: 1 })).toEqual({ b: 10 });
  });

  it('is said of what has its slot already, whatever it would have waited for', () => {
    expect(ends([job('a', { holding: true, stuck: true, seconds: 2 })], { backend: 0 })).toEqual({ a: 2 });
  });
});
