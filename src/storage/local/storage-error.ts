import { errnoOf, GoldfishError } from '../../core/errors.ts';

const FULL = ['ENOSPC', 'EDQUOT'];
const SENTENCES: Record<string, string> = {
  EACCES: 'Goldfish may not write to its object storage.',
  EPERM: 'Goldfish may not write to its object storage.',
  EROFS: 'The object storage is on a file system that is mounted read-only.',
  EMFILE: 'Too many files are open.',
  EIO: 'The disk under the object storage reports an error.',
};

/** Whatever a call of the file system threw, as the port promises it. Paths stay out of the message. */
export function storageError(error: unknown): unknown {
  if (error instanceof GoldfishError || (error instanceof Error && error.name === 'AbortError')) return error;
  const errno = errnoOf(error) ?? 'unknown';
  const full = FULL.includes(errno);
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: full
      ? 'The disk under the object storage is full.'
      : (SENTENCES[errno] ?? `The object storage refused (${errno}).`),
    hint: full ? 'Free some space, then repeat the call.' : 'Look at the folder named by storage.local.path.',
    details: { errno },
    retryable: true,
    cause: error,
  });
}
