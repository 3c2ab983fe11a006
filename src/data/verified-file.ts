import { stat } from 'node:fs/promises';
import { hashFile } from './hash-file.ts';

/** What was read and found right in this process, by path: inode, size and time of last change. */
const known = new Map<string, string>();
const MOST_KNOWN = 10_000;

/**
 * Whether a stored file still has the content its hash names: a disk may rot, and a program of the same user may
 * write. Read once per process and state of the file, so that many readers of one object cost one reading.
 */
export async function isIntact(path: string, hash: string, signal?: AbortSignal): Promise<boolean> {
  const { ino, size, ctimeMs, mtimeMs } = await stat(path);
  const state = `${hash} ${ino} ${size} ${ctimeMs} ${mtimeMs}`;
  if (known.get(path) === state) return true;
  const found = await hashFile(path, signal);
  if (found.hash !== hash) return false;
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(path, state);
  return true;
}
