import { chown } from 'node:fs/promises';

const NOBODY = 65534;

/**
 * Does the work with the rights of an ordinary user, whoever runs the tests: for root the effective user changes for
 * the time of the work, and the paths become that user's.
 */
export async function asOrdinaryUser<T>(paths: readonly string[], work: () => T | Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0 || process.seteuid === undefined) return work();
  for (const path of paths) await chown(path, NOBODY, NOBODY);
  process.seteuid(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid(0);
  }
}
