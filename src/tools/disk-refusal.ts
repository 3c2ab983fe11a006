import { errnoOf, GoldfishError } from '../core/errors.ts';

const SENTENCES: Readonly<Record<string, { message: string; hint: string; retryable: boolean }>> = {
  ENOSPC: { message: 'The disk is full.', hint: 'Free some space, then retry.', retryable: true },
  EDQUOT: { message: "The disk's quota is used up.", hint: 'Free some space, then retry.', retryable: true },
  EROFS: {
    message: 'The disk under the project can only be read.',
    hint: 'Mount it so that it can be written; until then goldfish serve --read-only reads what is there.',
    retryable: false,
  },
};

/** A disk may refuse anywhere: no defect of ours, whichever call of the system met it. */
export function diskRefusal(thrown: unknown): GoldfishError | undefined {
  const errno = errnoOf(thrown) ?? '';
  const told = Object.hasOwn(SENTENCES, errno) ? SENTENCES[errno] : undefined;
  return told && new GoldfishError('STORAGE_UNAVAILABLE', { ...told, details: { errno }, cause: thrown });
}
