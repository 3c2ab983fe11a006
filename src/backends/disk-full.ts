import { errnoOf, GoldfishError } from '../core/errors.ts';

/** The error for a disk without room, or undefined where `error` is something else. `undone`: what could not be done. */
export function diskFull(error: unknown, undone: string): GoldfishError | undefined {
  if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) return undefined;
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `The disk is full: ${undone}.`,
    hint: 'Free some space, then retry.',
    retryable: true,
    cause: error,
  });
}
