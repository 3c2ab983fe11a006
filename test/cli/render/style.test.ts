import { expect, it } from 'vitest';
import { stateAt } from '../../../src/cli/render/fields.ts';
import { stateStyle } from '../../../src/cli/render/style.ts';

it.each([
  [{ state: 'completed', cause: 'success', attempt: 1 }, 'completed', 'green'],
  [{ state: 'completed', cause: 'cached', attempt: 1 }, 'completed (cached)', 'green'],
  [{ state: 'completed', cause: 'success', attempt: 2 }, 'completed, attempt 2', 'yellow'],
  [{ state: 'terminated', cause: 'timeout', attempt: 1 }, 'terminated (timeout)', 'yellow'],
  [{ state: 'terminated', cause: 'oom', attempt: 3 }, 'terminated (oom), attempt 3', 'red'],
  [{ state: 'failed', cause: 'exit_nonzero' }, 'failed (exit_nonzero)', 'red'],
  [{ state: 'running', cause: null, attempt: 2 }, 'running, attempt 2', 'cyan'],
  [{ state: 'pending', cause: null }, 'pending', 'dim'],
])('shows %j as %s, %s', (row, text, colour) => {
  expect(stateAt(row)).toBe(text);
  expect(stateStyle(text)).toBe(colour);
});
