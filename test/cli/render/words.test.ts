import { describe, expect, it } from 'vitest';
import { formatAge, formatDuration, formatTook } from '../../../src/cli/render/durations.ts';
import { stateAt, textAt, textsAt } from '../../../src/cli/render/fields.ts';
import { runLine } from '../../../src/cli/render/run-line.ts';
import { plainStyle, wantsColour } from '../../../src/cli/render/style.ts';
import { fitText, padText, textWidth } from '../../../src/cli/render/width.ts';

describe('durations', () => {
  it.each([
    [0, '0.0 s'],
    [-1, '0.0 s'],
    [2.14, '2.1 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1 min 00 s'],
    [185, '3 min 05 s'],
    [7_440, '2 h 04 min'],
    [273_600, '3 d 4 h'],
  ])('of %d seconds are written %s', (seconds, expected) => {
    expect(formatDuration(seconds)).toBe(expected);
  });

  it('of a run that goes on count to now, of one that has not begun are empty', () => {
    const now = Date.parse('2026-01-01T00:01:00Z');
    expect(formatTook('2026-01-01T00:00:00Z', '', now)).toBe('1 min 00 s');
    expect(formatTook('2026-01-01T00:00:00Z', '2026-01-01T00:00:12Z', now)).toBe('12 s');
    expect(formatTook('', '', now)).toBe('');
  });

  it('since a time are in one unit', () => {
    const now = Date.parse('2026-01-03T00:00:00Z');
    const age = (iso: string): string => formatAge(iso, now);
    expect(
      [
        '2026-01-03T00:00:09Z',
        '2026-01-02T23:59:30Z',
        '2026-01-02T23:00:01Z',
        '2026-01-02T01:00:00Z',
        '2025-12-24T00:00:00Z',
        '',
      ].map(age),
    ).toEqual(['0 s', '30 s', '59 min', '23 h', '10 d', '']);
  });
});

describe('a pipeline run in one line', () => {
  const answer = { pipeline_run_id: 'prun-1', workspace: 'w', version: 'v2' };

  it('says its state, its runs and how long they took', () => {
    const runs = [
      { cached: true },
      { cached: false, started_at: '2026-01-01T00:00:00Z', ended_at: '2026-01-01T00:00:03Z' },
      { cached: false, started_at: '2026-01-01T00:00:01Z', ended_at: '2026-01-01T00:00:04.100Z' },
    ];
    expect(runLine(answer, { state: 'completed', runs }, { style: plainStyle })).toBe(
      'prun-1 of w@v2: completed, 3 runs (1 reused), 4.1 s',
    );
  });

  it('names no time while something goes on', () => {
    const runs = [{ cached: false, started_at: '2026-01-01T00:00:00Z', ended_at: null }];
    expect(runLine(answer, { state: 'running', runs }, { style: plainStyle })).toBe(
      'prun-1 of w@v2: running, 1 run',
    );
  });
});

describe('a part of an answer', () => {
  it('that is missing or of another type reads as empty', () => {
    expect(textAt({ a: { b: 1 } }, 'a')).toBe('');
    expect(textAt({}, 'a')).toBe('');
    expect(textsAt({ a: ['x', 1] }, 'a')).toEqual(['x']);
  });

  it('shows a cause where it says more than the state', () => {
    expect(stateAt({ state: 'completed', cause: 'success' })).toBe('completed');
    expect(stateAt({ state: 'completed', cause: 'cached' })).toBe('completed (cached)');
    expect(stateAt({ state: 'running', cause: null })).toBe('running');
  });
});

describe('colour', () => {
  const wants = (environment: Record<string, string>, isTerminal: boolean, option = true): boolean =>
    wantsColour({ option, environment, isTerminal });

  it('is for terminals that can show it', () => {
    expect(wants({}, true)).toBe(true);
    expect(wants({}, false)).toBe(false);
    expect(wants({ TERM: 'dumb' }, true)).toBe(false);
  });

  it('follows --no-color, then NO_COLOR, then FORCE_COLOR', () => {
    expect(wants({ FORCE_COLOR: '1' }, false)).toBe(true);
    expect(wants({ FORCE_COLOR: '0' }, true)).toBe(false);
    expect(wants({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false);
    expect(wants({ NO_COLOR: '' }, true)).toBe(true);
    expect(wants({ FORCE_COLOR: '1' }, true, false)).toBe(false);
  });
});

describe('the width of text', () => {
  it.each([
    ['', 0],
    ['plain', 5],
    ['naïve', 5],
    ['e\u0301', 1],
    ['数据', 4],
    ['한글', 4],
    ['🐟', 2],
    ['👩‍🔬', 2],
    ['🇩🇪', 2],
    ['a\u200bb', 2],
    ['ｆｕｌｌ', 8],
    ['©', 1],
  ])('of %j is %d columns', (text, expected) => {
    expect(textWidth(text)).toBe(expected);
  });

  it('is kept when text is cut or padded, and no character is cut in two', () => {
    expect(fitText('数据数据', 6)).toBe('数据…');
    expect(fitText('👩‍🔬👩‍🔬', 3)).toBe('👩‍🔬…');
    expect(fitText('fits', 4)).toBe('fits');
    expect(padText('数', 4)).toBe('数  ');
    expect(padText('1', 3, 'right')).toBe('  1');
  });
});
