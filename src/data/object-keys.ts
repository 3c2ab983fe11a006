/** Where content of a hash is in the object storage: `sha256/ab/<64 hex>`. */
export function objectKey(hash: string): string {
  const hex = hash.slice('sha256:'.length);
  return `${OBJECTS_PREFIX}${hex.slice(0, 2)}/${hex}`;
}

export const OBJECTS_PREFIX = 'sha256/';

/** The hash of an object by its key; undefined for a key that is not ours. */
export function hashOfKey(key: string): string | undefined {
  const [, hex] = /^sha256\/[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(key) ?? [];
  return hex === undefined || objectKey(`sha256:${hex}`) !== key ? undefined : `sha256:${hex}`;
}

/**
 * Objects are stored before the rows that name them, so `gc` leaves unnamed ones alone for a day, and content that is
 * stored again begins its day anew when an hour of it has passed: 23 hours are the most that storing may take.
 */
export const UNNAMED_GRACE_MS = 24 * 3_600_000;
export const RENEW_AFTER_MS = 3_600_000;
