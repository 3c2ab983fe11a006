import { GoldfishError, isGoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

/** What every storage answers in the same words, so that nobody above has to know which one it is. */

export function missingObject(key: string): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `There is no stored object "${clip(key)}".`,
    details: { missing: true, key: clip(key, 200) },
  });
}

export function isMissing(error: unknown): boolean {
  return isGoldfishError(error) && error.details['missing'] === true;
}

/** `expected` is the generation that was asked for; '0' is "must not exist". */
export function conditionFailed(key: string, expected: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message:
      expected === '0'
        ? `A stored object "${clip(key)}" exists already.`
        : `The stored object "${clip(key)}" has changed meanwhile.`,
    hint: 'Read it again, then decide.',
    details: { key: clip(key, 200) },
  });
}
