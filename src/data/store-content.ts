import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import pLimit from 'p-limit';
import type { Clock } from '../core/clock.ts';
import { isGoldfishError } from '../core/errors.ts';
import { folderHash, folderManifest } from '../core/folder-hash.ts';
import type { CallOptions, ObjectStat, ObjectStorage } from '../storage/port.ts';
import { hashFile, type ScannedEntry, scanFolder } from './hash-file.ts';
import { objectKey, RENEW_AFTER_MS } from './object-keys.ts';

/** Files of one folder that are stored at the same time: each waits for the disk. */
const FILES_AT_ONCE = 8;

export type StoreDeps = {
  storage: ObjectStorage;
  clock: Clock;
  signal?: AbortSignal;
  /** Only says what it would store. */
  dry?: boolean;
};
export type StoredContent = {
  kind: 'file' | 'folder';
  hash: string;
  size: number;
  storageLocation: string;
};

/** Stores a file by its content. Nothing must be writing to it. Errors: STORAGE_UNAVAILABLE. */
export async function storeFile(deps: StoreDeps, file: string): Promise<StoredContent> {
  const { hash, size } = await hashFile(file, deps.signal);
  await putObject(deps, hash, () => ({ file }));
  return { kind: 'file', hash, size, storageLocation: objectKey(hash) };
}

/** Stores the files of a folder and its manifest; a text is what keeps the folder from being stored. */
export async function storeFolder(deps: StoreDeps, path: string): Promise<StoredContent | string> {
  const scan = await scanFolder(path, deps.signal);
  const problem = scan.problems[0];
  if (problem !== undefined) return problem;
  const inTurn = pLimit(FILES_AT_ONCE);
  await inTurn.map(scan.entries, (entry) => putEntry(deps, join(path, entry.path), entry));
  const hash = folderHash(scan.entries);
  await putObject(deps, hash, () => Buffer.from(folderManifest(scan.entries)));
  const size = scan.entries.reduce((sum, entry) => sum + entry.size, 0);
  return { kind: 'folder', hash, size, storageLocation: objectKey(hash) };
}

async function putEntry(deps: StoreDeps, full: string, entry: ScannedEntry): Promise<void> {
  if (entry.mode === '040000') return;
  if (entry.mode === '120000') return putObject(deps, entry.hash, () => Buffer.from(entry.target ?? ''));
  // A file may itself become the object, which is read-only: one that is executable would lose that here, and
  // storing the folder a second time would find another folder.
  const isExecutable = entry.mode === '100755';
  await putObject(deps, entry.hash, () => (isExecutable ? createReadStream(full) : { file: full }));
}

/**
 * Content that is there already is not written again, but its age starts anew: `gc` takes old objects that nothing
 * names, and the row that will name this one is not there yet.
 */
async function putObject(
  deps: StoreDeps,
  hash: string,
  body: () => Readable | Uint8Array | { file: string },
): Promise<void> {
  if (deps.dry) return;
  const key = objectKey(hash);
  const call = deps.signal ? { signal: deps.signal } : {};
  for (;;) {
    const known = await deps.storage.stat(key, call);
    if (known && (await isKept(deps, known, call))) return;
    try {
      await deps.storage.put(key, body(), { ...call, createOnly: true });
      return;
    } catch (error) {
      // Somebody else stored the same bytes meanwhile: looked at again. A key that cannot be made is no such case.
      if (!isGoldfishError(error) || error.code !== 'CONFLICT' || !(await deps.storage.stat(key, call)))
        throw error;
    }
  }
}

/** False where the object went away before it could be renewed. */
async function isKept(deps: StoreDeps, known: ObjectStat, call: CallOptions): Promise<boolean> {
  if (deps.clock.now() - Date.parse(known.updatedAt) < RENEW_AFTER_MS) return true;
  try {
    await deps.storage.copy(known.key, known.key, call);
    return true;
  } catch (error) {
    if (isGoldfishError(error) && error.details['missing'] === true) return false;
    throw error;
  }
}
