import { ApiError } from '../support/google-api-error.ts';
import { notMet } from './api-error.ts';
import type { StoredObject } from './buckets.ts';

/**
 * Throws where what the query asks of an object does not hold. `side` is '' for the object that is read or written,
 * 'Source' for the one that is copied from. `reading` answers "not changed" (304) where a write is refused (412).
 */
export function checkPreconditions(
  query: URLSearchParams,
  object: StoredObject | undefined,
  { side = '', reading = false }: { side?: '' | 'Source'; reading?: boolean } = {},
): void {
  const asked = (what: string): string | null => query.get(`if${side}${what}`);
  const generation = object?.meta.generation ?? '0';
  const matches = asked('GenerationMatch');
  if (matches !== null && matches !== generation) throw notMet();
  const metaMatches = asked('MetagenerationMatch');
  if (metaMatches !== null && metaMatches !== object?.meta.metageneration) throw notMet();
  const differs = asked('GenerationNotMatch') === generation;
  const metaDiffers = object !== undefined && asked('MetagenerationNotMatch') === object.meta.metageneration;
  if (!differs && !metaDiffers) return;
  throw reading ? new ApiError(304, 'notModified', 'Not modified.') : notMet();
}
