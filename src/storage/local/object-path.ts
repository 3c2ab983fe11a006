import { join } from 'node:path';
import { checkKey } from '../object-key.ts';

/** Where an object is. Errors: PATH_OUTSIDE_ROOT for a key that is none. */
export function objectPath(dir: string, key: string): string {
  checkKey(key);
  return join(dir, ...key.split('/'));
}
