import { expect, it } from 'vitest';
import { ERROR_CODES, errnoOf, GoldfishError, isGoldfishError, messageOf } from '../../src/core/errors.ts';

it('carries what a caller needs to act', () => {
  const cause = new Error('disk');
  const error = new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The disk is full.',
    hint: 'Free some space.',
    details: { free: 0 },
    fix: { tool: 'status', arguments: {} },
    retryable: true,
    cause,
  });
  expect(isGoldfishError(error)).toBe(true);
  expect(error).toBeInstanceOf(Error);
  expect({ ...error, message: error.message, cause: error.cause }).toEqual({
    name: 'GoldfishError',
    code: 'STORAGE_UNAVAILABLE',
    message: 'The disk is full.',
    hint: 'Free some space.',
    details: { free: 0 },
    fix: { tool: 'status', arguments: {} },
    retryable: true,
    cause,
  });
});

it('is not retryable and has no cause unless said', () => {
  const error = new GoldfishError('CONFLICT', { message: 'No.' });
  expect(error.retryable).toBe(false);
  expect(error.details).toEqual({});
  expect('cause' in error).toBe(false);
});

it.each(Object.entries(ERROR_CODES))('explains %s in one sentence', (_, sentence) => {
  expect(sentence).toMatch(/^\S.*[^.]\.$/);
});

it('reads the code and the text of anything that was thrown', () => {
  expect(errnoOf(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe('ENOENT');
  for (const thrown of [
    new Error('x'),
    Object.assign(new Error('x'), { code: 2 }),
    { code: 'ENOENT' },
    null,
  ]) {
    expect(errnoOf(thrown)).toBeUndefined();
  }
  expect([new Error('x'), 'y', undefined, 3].map(messageOf)).toEqual(['x', 'y', 'undefined', '3']);
});
