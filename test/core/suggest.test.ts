import { expect, it } from 'vitest';
import { nearest } from '../../src/core/suggest.ts';

const TOOLS = ['status', 'run', 'list_runs', 'inspect_run', 'create_workspace'];

it.each([
  ['statsu', 'status'],
  ['STATUS', 'status'],
  ['list_run', 'list_runs'],
  ['creat_workspace', 'create_workspace'],
  ['rnu', 'run'],
])('takes %s for %s', (typed, meant) => {
  expect(nearest(typed, TOOLS)).toBe(meant);
});

it.each(['', 'delete_everything', 'x'.repeat(100_000), '🐟🐟🐟'])('guesses nothing from %j', (typed) => {
  expect(nearest(typed, TOOLS)).toBeUndefined();
});

it('prefers the nearest and, of equals, the first', () => {
  expect(nearest('train', ['trait', 'trains', 'train'])).toBe('train');
  expect(nearest('trait', ['train', 'trail'])).toBe('train');
});

it('guesses nothing where there is nothing to choose from', () => {
  expect(nearest('train', [])).toBeUndefined();
});
