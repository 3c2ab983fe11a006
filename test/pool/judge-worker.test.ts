import { describe, expect, it } from 'vitest';
import { type Judgement, judgeWorker, type Look } from '../../src/pool/judge-worker.ts';
import { lastLetterOf } from '../../src/pool/letters.ts';
import { type PoolPolicy, USUAL_POLICY } from '../../src/pool/policy.ts';
import type { Ages } from '../../src/pool/worker-watch.ts';
import { letterOf, UNCLAIMED, WORKER, workerRow } from './worker-row.ts';

const POLICY: PoolPolicy = {
  enabled: true,
  maxInstances: 2,
  idleTimeoutSeconds: 300,
  profiles: null,
  launchSeconds: 900,
  ...USUAL_POLICY,
};
const NO_AGES: Ages = { state: 0, place: 0, absent: 0, waiting: 0, silent: 0 };

/** Of a machine that works, was heard of just now, and runs. */
function judge({
  ages,
  ...change
}: Partial<Omit<Look, 'ages'>> & { ages?: Partial<Ages> } = {}): Omit<Judgement, 'sighting'> {
  const { sighting: _sighting, ...judged } = judgeWorker({
    worker: workerRow(),
    machine: { id: WORKER, zone: 'us-central1-a', power: 'on' },
    news: undefined,
    isReadable: true,
    letter: letterOf(),
    surplus: false,
    policy: POLICY,
    ages: { ...NO_AGES, ...ages },
    ...change,
  });
  return judged;
}

const MUTE = { letter: null, letterAt: null, letterGeneration: null };

describe('a machine', () => {
  it('that works and was heard of is left alone, however long it works', () => {
    expect(judge({ ages: { state: 1e6, place: 1e6, silent: 299 } })).toEqual({});
  });

  it('that says nothing for as long as the watchdog waits is given up, its job with it', () => {
    expect(judge({ ages: { silent: 300 } })).toEqual({ event: 'delete', reason: 'silent' });
    expect(judge({ ages: { silent: 300 }, machine: 'unknown' })).toEqual({});
  });

  it('that never said anything, and is known to have begun its job, is given up too', () => {
    const of = { worker: workerRow(MUTE), letter: undefined };
    expect(judge({ ...of, ages: { silent: 299 } })).toEqual({});
    expect(judge({ ...of, ages: { silent: 300 } })).toEqual({ event: 'delete', reason: 'silent' });
  });

  it('that takes long to boot has its time to pick its job up from its first letter on', () => {
    const worker = workerRow({ state: 'launching', lease: UNCLAIMED });
    const letter = letterOf({ phase: 'starting', number: 0, job: 'none' });
    expect(judge({ worker, letter, ages: { place: 800, waiting: 119 } })).toEqual({});
    expect(judge({ worker, letter, ages: { waiting: 120 } })).toEqual({
      event: 'delete',
      reason: 'not_picked_up',
      settle: true,
    });
  });

  it('that reports in the last moment has reported', () => {
    const worker = workerRow({ ...MUTE, state: 'launching', lease: UNCLAIMED });
    const letter = letterOf({ phase: 'starting', number: 0, job: 'none' });
    const news = { worker: WORKER, generation: '1', letter };
    expect(judge({ worker, letter, news, ages: { state: 900 } })).toEqual({});
    expect(judge({ worker, letter: undefined, ages: { state: 900 } })).toEqual({
      event: 'delete',
      reason: 'never_reported',
      settle: true,
    });
  });

  it('that came up for a job that was called off, and does not come to rest, is given up', () => {
    const worker = workerRow({ state: 'launching', lease: null });
    const letter = letterOf({ phase: 'starting', number: 0, job: 'none' });
    expect(judge({ worker, letter, ages: { state: 299 } })).toEqual({});
    expect(judge({ worker, letter, ages: { state: 300 } })).toEqual({
      event: 'delete',
      reason: 'not_drained',
    });
  });

  it('that was told to end by its system was stopped, by whom its provider must say', () => {
    const leaving = (leaves: 'asked' | 'preempted' | 'failed') =>
      judge({ letter: letterOf({ phase: 'leaving', leaves }) }).reason;
    expect([leaving('asked'), leaving('preempted'), leaving('failed')]).toEqual([
      'stopped',
      'preempted',
      'failed',
    ]);
  });

  it('that has begun its job is not said to have been called off', () => {
    const letter = letterOf({ job: 'called_off', phase: 'idle' });
    expect(judge({ letter })).toEqual({});
    expect(judge({ letter, worker: workerRow({ lease: UNCLAIMED }) })).toEqual({
      event: 'drain',
      calledOff: true,
    });
  });
});

describe('a machine that lists do not show', () => {
  const absent = (worker = workerRow(), ages: Partial<Ages> = {}) =>
    judge({ worker, letter: lastLetterOf(worker), machine: 'absent', ages });

  it('is gone when that was so often enough, and for long enough', () => {
    expect(absent(workerRow({ absentCount: 1 }), { absent: 100 })).toEqual({});
    expect(absent(workerRow({ absentCount: 2 }), { absent: 14 })).toEqual({});
    expect(absent(workerRow({ absentCount: 2 }), { absent: 15 })).toEqual({
      event: 'vanish',
      reason: 'vanished',
    });
  });

  it('is not gone as long as it may be too new to be shown', () => {
    const worker = workerRow({
      ...MUTE,
      state: 'launching',
      lease: UNCLAIMED,
      runningAt: null,
      absentCount: 100,
    });
    expect(absent(worker, { absent: 119, place: 119 })).toEqual({});
    expect(absent(worker, { absent: 120, place: 120 })).toEqual({
      event: 'vanish',
      reason: 'vanished',
      settle: true,
    });
  });
});
