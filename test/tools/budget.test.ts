import { describe, expect, it } from 'vitest';
import {
  DEFAULT_RESULT_TOKENS,
  fitPage,
  fitResult,
  fittingCount,
  MAX_RESULT_TOKENS,
  pageBudget,
  resultBudget,
} from '../../src/tools/budget.ts';
import { estimateTokens } from '../../src/tools/tokens.ts';

describe('the size of an answer', () => {
  it('is left alone while it is small', () => {
    const answer = { runs: [1, 2, 3] };
    expect(fitResult(answer)).toBe(answer);
  });

  it('is brought under the limit by cutting the longest text, with a note that says so', () => {
    const cut = fitResult({ log: 'word '.repeat(50_000), id: 'stage-012345', rows: [1, 2] });
    expect(estimateTokens(JSON.stringify(cut))).toBeLessThanOrEqual(6_100);
    expect(cut).toMatchObject({ id: 'stage-012345', rows: [1, 2] });
    expect(cut['log']).toMatch(/ word …? ?\[cut\]$|… \[cut\]$/);
    expect(cut['note']).toBe(
      'The answer was too long: the longest texts and lists are cut. Ask for less with limit, cursor or filters.',
    );
  });

  it('is brought under the limit where it is many small things', () => {
    const cut = fitResult({
      deep: { rows: Array.from({ length: 50_000 }, (_, i) => ({ i, state: 'completed' })) },
    });
    expect(estimateTokens(JSON.stringify(cut))).toBeLessThanOrEqual(6_100);
  });

  it('ends even where nothing can be cut', () => {
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key_${i}`, i]));
    expect(fitResult(wide)['note']).toContain('too long');
  });

  it('does not split a surrogate pair', () => {
    const cut = fitResult({ text: `a${'😀'.repeat(40_000)}` });
    expect(JSON.stringify(cut)).not.toMatch(/\\ud[89a-f]/);
  });
});

describe('a page of rows', () => {
  const rows = Array.from({ length: 100 }, (_, i) => ({ id: i, text: 'some words of text '.repeat(10) }));
  const fetch = (limit: number) => ({ rows: rows.slice(0, limit), cursor: limit });

  it('is fetched again with fewer rows where it would cost more than a default answer may', async () => {
    const page = await fitPage({ limit: undefined, fetch, rows: (found) => found.rows });
    expect(page.rows.length).toBeLessThan(100);
    expect(page.cursor).toBe(page.rows.length);
    expect(estimateTokens(JSON.stringify(page.rows))).toBeLessThan(2_000);
  });

  it('may be larger where the caller asked for it', async () => {
    const page = await fitPage({ limit: 100, fetch, rows: (found) => found.rows });
    expect(page.rows.length).toBe(100);
  });

  it('leaves room for what stands around the rows, so that nothing is cut behind its cursor', () => {
    for (const length of [5, 40, 300, 900]) {
      const lines = Array.from({ length: 400 }, (_, i) => ({
        stream: 'stdout',
        text: `${i} `.repeat(length / 5),
      }));
      for (const asked of [false, true]) {
        const shown = lines.slice(0, fittingCount(lines, pageBudget(asked)));
        const around = { run_id: 'stage-a1b2c3d4e5f6', cursor: '1.123456789', more: true, complete: false };
        const whole = { ...around, lines: shown };
        expect(fitResult(whole, asked ? MAX_RESULT_TOKENS : DEFAULT_RESULT_TOKENS)).toBe(whole);
      }
    }
  });

  it('always has one row, however long it is', () => {
    expect(fittingCount(['x y '.repeat(100_000)], 10)).toBe(1);
    expect(fittingCount([], 10)).toBe(0);
  });
});

describe('the estimate of tokens', () => {
  // Counted once with gpt-tokenizer 4 (o200k_base).
  it.each([
    ['{"run_id":"stage-a1b2c3d4e5f6","state":"completed","created_at":"2026-11-21T22:00:00.123Z"}', 41],
    ['Repeat the call once; if it fails again, report the reference: the log has the whole error.', 20],
  ])('is close to what a tokenizer counts for %j', (text, tokens) => {
    expect(estimateTokens(text) / tokens).toBeGreaterThan(0.8);
    expect(estimateTokens(text) / tokens).toBeLessThan(1.3);
  });
});

describe('the budget of an answer', () => {
  it('is small unless the caller said how much it wants', () => {
    expect(resultBudget({ run_id: 'stage-012345' })).toBe(DEFAULT_RESULT_TOKENS);
    expect(resultBudget({ run_id: 'stage-012345', include: ['metrics'] })).toBe(MAX_RESULT_TOKENS);
    expect(resultBudget(undefined)).toBe(DEFAULT_RESULT_TOKENS);
  });

  it('is kept also where the answer is a record of thousands of names', () => {
    const metrics = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, i) => [`metric_${i}`, { last: i, min: 0, max: i, count: 1 }]),
    );
    const cut = fitResult({ run_id: 'stage-012345', metrics }, DEFAULT_RESULT_TOKENS);
    expect(estimateTokens(JSON.stringify(cut))).toBeLessThanOrEqual(DEFAULT_RESULT_TOKENS + 50);
    expect(Object.keys(cut['metrics'] as object).length).toBeGreaterThan(20);
    expect(cut['run_id']).toBe('stage-012345');
  });
});
