import { describe, expect, it } from 'vitest';
import { CAUSES, type Cause, colourOf, RESTARTABLE } from '../../src/core/causes.ts';
import { judgeRestart, type RestartPolicy } from '../../src/core/restart-policy.ts';

const LONG = 10 * 60_000;
const QUICK = 10_000;
const policy = (maxRestarts: number, on: readonly Cause[] = RESTARTABLE): RestartPolicy => ({
  maxRestarts,
  on,
});
const ended = (...causes: Cause[]) => causes.map((cause) => ({ cause, ranMs: LONG }));
const crashed = (times: number, ranMs: number | null = QUICK) =>
  Array.from({ length: times }, () => ({ cause: 'exit_nonzero' as const, ranMs }));

describe('a restart policy', () => {
  it.each<[RestartPolicy, ReturnType<typeof ended>, string]>([
    [policy(0), ended('exit_nonzero'), 'never asked for'],
    [policy(3, ['worker_lost']), ended('exit_nonzero'), 'not for this cause'],
    [policy(3), ended('timeout'), 'it would meet the same'],
    [policy(3), ended('success'), 'it is done'],
  ])('ends a run: %# %s', (asked, attempts, _why) => {
    expect(judgeRestart(asked, attempts)).toEqual({ kind: 'end', cause: attempts.at(-1)?.cause, why: null });
  });

  it('restarts after pauses that double up to five minutes', () => {
    const pauses = Array.from({ length: 9 }, (_, n) => judgeRestart(policy(20), crashed(n + 1, LONG)));
    expect(pauses.map((verdict) => verdict.kind === 'restart' && verdict.afterMs / 1000)).toEqual([
      5, 10, 20, 40, 80, 160, 300, 300, 300,
    ]);
  });

  it('is spent after so many restarts, and says so', () => {
    expect(judgeRestart(policy(1), ended('worker_lost', 'exit_nonzero'))).toEqual({
      kind: 'end',
      cause: 'exit_nonzero',
      why: 'It was restarted once, as often as it may be.',
    });
  });

  it('counts no restart that the program had no part in, and does not wait after a machine that held', () => {
    const taken = ended('preempted', 'preempted', 'preempted', 'preempted');
    expect(judgeRestart(policy(1), taken)).toEqual({ kind: 'restart', afterMs: 0 });
    expect(judgeRestart(policy(1), [...taken, ...ended('exit_nonzero')])).toMatchObject({ kind: 'restart' });
  });

  it('waits longer and longer where machines are taken away as soon as they are there', () => {
    const taken = (times: number, ranMs: number | null) =>
      Array.from({ length: times }, () => ({ cause: 'preempted' as const, ranMs }));
    const pauses = (ranMs: number | null) =>
      [1, 2, 3, 4, 9].map((times) => judgeRestart(policy(1), taken(times, ranMs)));
    const expected = [0, 5_000, 10_000, 20_000, 300_000].map((afterMs) => ({ kind: 'restart', afterMs }));
    expect(pauses(QUICK)).toEqual(expected);
    expect(pauses(null)).toEqual(expected);
    const held = [...taken(4, QUICK), ...taken(1, LONG)];
    expect(judgeRestart(policy(1), held)).toEqual({ kind: 'restart', afterMs: 0 });
  });

  it('ends where three machines in a row fail the preflight', () => {
    const unfit = (times: number) =>
      Array.from({ length: times }, () => ({ cause: 'preflight_failed' as const, ranMs: null }));
    expect(judgeRestart(policy(1), unfit(2))).toEqual({ kind: 'restart', afterMs: 5_000 });
    expect(judgeRestart(policy(1), unfit(3))).toMatchObject({
      kind: 'end',
      cause: 'preflight_failed',
      why: expect.stringContaining('Three machines in a row'),
    });
    const between = [...unfit(2), ...ended('preempted'), ...unfit(1)];
    expect(judgeRestart(policy(1), between)).toEqual({ kind: 'restart', afterMs: 0 });
  });

  it('finds a crash loop: three attempts of under three minutes each', () => {
    expect(judgeRestart(policy(9), crashed(2))).toMatchObject({ kind: 'restart' });
    expect(judgeRestart(policy(9), crashed(3))).toEqual({
      kind: 'end',
      cause: 'crash_loop',
      why: 'Three attempts ended within three minutes each, the last as exit_nonzero.',
    });
    const between = [...crashed(1), ...ended('preempted'), ...crashed(2)];
    expect(judgeRestart(policy(9), between)).toMatchObject({ cause: 'crash_loop' });
    expect(judgeRestart(policy(9), [...crashed(2), ...ended('oom')])).toMatchObject({ kind: 'restart' });
    expect(judgeRestart(policy(9), crashed(3, null))).toMatchObject({ kind: 'restart' });
  });
});

describe('every cause', () => {
  it('has a sentence, a colour and a policy that fit its state', () => {
    for (const [name, { state, sentence, restart, notify }] of Object.entries(CAUSES)) {
      expect(sentence, name).toMatch(/^[A-Z].*\.$/);
      if (state === 'completed' || state === 'canceled') expect(restart, name).toBe('never');
      if (state === 'failed' || state === 'terminated') expect(notify, name).toBe(true);
    }
  });

  it('is green only for a plain success, yellow for a timeout and a success after a restart', () => {
    const colours = (Object.keys(CAUSES) as Cause[]).map((cause) => [cause, colourOf(cause, 0)] as const);
    const of = (wanted: string) => colours.flatMap(([cause, colour]) => (colour === wanted ? [cause] : []));
    expect(of('green')).toEqual(['success', 'cached']);
    expect(of('yellow')).toEqual(['completed_with_warnings', 'timeout']);
    expect(colourOf('success', 1)).toBe('yellow');
    expect(colourOf('exit_nonzero', 2)).toBe('red');
  });
});
