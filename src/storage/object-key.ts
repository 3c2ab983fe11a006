import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

/** First segments that no storage takes: the local one keeps unfinished writes and locks there. */
export const TEMPORARY_FOLDER = '.goldfish-tmp';
export const LOCK_FOLDER = '.goldfish-locks';
const RESERVED = [TEMPORARY_FOLDER, LOCK_FOLDER];

/** What buckets allow for a name. */
export const MAX_KEY_BYTES = 1024;
/** What common file systems allow for one name. */
const MAX_SEGMENT_BYTES = 255;

/**
 * The one rule for keys, the same for every storage, so that what is stored in one can be moved to another.
 * Errors: PATH_OUTSIDE_ROOT for a key that is none.
 */
export function checkKey(key: string): void {
  const problem = keyProblem(key);
  if (problem === undefined) return;
  throw new GoldfishError('PATH_OUTSIDE_ROOT', {
    message: `"${clip(key)}" is no key of a stored object: ${problem}.`,
    hint: 'A key is a relative path with "/" between its parts.',
  });
}

export function isKey(key: string): boolean {
  return keyProblem(key) === undefined;
}

function keyProblem(key: string): string | undefined {
  if (key === '') return 'it is empty';
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`;
  if (/[\p{Cc}\\]/u.test(key) || !key.isWellFormed())
    return 'it holds a control character, a backslash or broken text';
  const segments = key.split('/');
  if (segments.includes('')) return 'a part of it is empty';
  if (segments.some((segment) => segment === '.' || segment === '..')) return 'it has a "." or ".." part';
  if (segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)) {
    return `a part of it is longer than ${MAX_SEGMENT_BYTES} bytes`;
  }
  return RESERVED.includes(segments[0] ?? '') ? 'its first part is reserved' : undefined;
}
