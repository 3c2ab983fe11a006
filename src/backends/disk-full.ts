import { errnoOf, GoldfishError } from '../core/errors.ts';

/** The error for a disk without room, or undefined where `error` is something else. `undone`: what could not be done. */
export function diskFull(error: unknown, undone: string): GoldfishError | undefined {
  const errno = errnoOf(error) ?? '';
  if (!['ENOSPC', 'EDQUOT'].includes(errno)) return undefined;
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `The disk is full: ${undone}.`,
    hint: 'Free some space, then retry.',
    details: { errno },
    retryable: true,
    cause: error,
  });
}
