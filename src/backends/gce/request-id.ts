import { createHash } from 'node:crypto';

/**
 * The id of a request, always the same for the same words: a request that is repeated, also by another process after a
 * crash, is one request to the service, which remembers ids for at least an hour. A UUID in form (version 8).
 */
export function requestIdOf(...words: readonly (string | number)[]): string {
  const hex = createHash('sha256').update(words.join('\0')).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
