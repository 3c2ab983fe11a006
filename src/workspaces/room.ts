import { GoldfishError } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { diskSpace } from '../os/disk-space.ts';

/** Enough for an index and the rows that say what has become of a slot. */
const ROOM_BYTES = 1 << 20;

/**
 * Called before files of the user's are moved: what follows are renames and rows, and where the rows found no room the
 * files would stand half way until there is some. Errors: STORAGE_UNAVAILABLE.
 */
export async function requireRoom({ stateDir }: Pick<Layout, 'stateDir'>): Promise<void> {
  const { freeBytes } = await diskSpace(stateDir);
  if (freeBytes >= ROOM_BYTES) return;
  throw new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `The disk is full: ${freeBytes} bytes are free, and nothing is begun that might stand half done.`,
    hint: 'Free some space, then retry.',
    details: { errno: 'ENOSPC' },
    retryable: true,
  });
}
