import { existsSync, readFileSync } from 'node:fs';
import { parseFolderManifest } from '../core/folder-hash.ts';
import type { StoredOutput } from '../core/rows.ts';
import type { ObjectStorage } from '../storage/port.ts';
import { objectKey } from './object-keys.ts';

/**
 * Whether the content of an output is still there to be read: a folder counts with all of its files. Decided without
 * waiting, inside the transaction that reuses it. Storage that gives no path on this machine is trusted to keep what
 * it took.
 */
export function isStored(
  storage: Pick<ObjectStorage, 'localPath'>,
  output: Pick<StoredOutput, 'kind' | 'storageLocation'>,
): boolean {
  const path = storage.localPath(output.storageLocation);
  if (path === undefined) return true;
  if (!existsSync(path)) return false;
  if (output.kind === 'file') return true;
  try {
    return parseFolderManifest(readFileSync(path, 'utf8')).every((entry) => {
      const file = storage.localPath(objectKey(entry.hash));
      return entry.mode === '040000' || file === undefined || existsSync(file);
    });
  } catch {
    return false;
  }
}
