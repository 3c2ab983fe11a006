import { constants, createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type Clock, systemClock } from '../../core/clock.ts';
import { errnoOf } from '../../core/errors.ts';
import { missingObject } from '../object-errors.ts';
import { TEMPORARY_FOLDER } from '../object-key.ts';
import type { CallOptions, ObjectStat, ObjectStorage } from '../port.ts';
import { copyObject, deleteObject, putObject, type Store, statObject } from './change-object.ts';
import { listKeys } from './list-objects.ts';
import { objectPath } from './object-path.ts';
import { storageError } from './storage-error.ts';
import { unfinishedWrites } from './unfinished-writes.ts';

export type LocalStorageOptions = {
  /** Made when it is first written to. */
  dir: string;
  /** Files below this folder are linked instead of copied; by default the folder around `dir`. */
  linkBelow?: string;
  clock?: Clock;
};

const MAX_LIST = 1000;

/**
 * Objects as plain read-only files, a key being the path below `dir`. Several processes may share it: a create is a
 * hard link (the kernel decides who was first), every other change of a key holds that key's lock.
 * A key cannot also be the folder of other keys: CONFLICT.
 */
export function createLocalStorage(options: LocalStorageOptions): ObjectStorage {
  const dir = resolve(options.dir);
  const linkBelow = resolve(options.linkBelow ?? dirname(dir));
  const store: Store = { dir, linkBelow, clock: options.clock ?? systemClock };
  const put: ObjectStorage['put'] = (key, body, call = {}) => putObject(store, { key, body, call });
  return {
    name: 'local',
    put: (key, body, call) => translated(() => put(key, body, call)),
    get: (key, call = {}) => translated(() => openObject(objectPath(dir, key), key, call)),
    stat: (key) => translated(() => statObject(objectPath(dir, key), key)),
    list: (prefix, request = {}) => translated(() => listObjects(dir, prefix, request)),
    delete: (key, call = {}) => translated(() => deleteObject(store, key, call)),
    copy: (from, to, call = {}) => translated(() => copyObject(store, { from, to, call })),
    localPath: (key) => objectPath(dir, key),
    unfinished: unfinishedWrites(join(dir, TEMPORARY_FOLDER)),
  };
}

async function listObjects(
  dir: string,
  prefix: string,
  request: { cursor?: string; limit?: number } & CallOptions,
): Promise<{ objects: ObjectStat[]; nextCursor: string | null }> {
  const limit = Math.min(MAX_LIST, Math.max(1, request.limit ?? MAX_LIST));
  const objects: ObjectStat[] = [];
  for await (const key of listKeys(dir, { prefix, after: request.cursor ?? '' })) {
    request.signal?.throwIfAborted();
    if (objects.length === limit) return { objects, nextCursor: objects.at(-1)?.key ?? null };
    const stat = await statObject(join(dir, key), key);
    if (stat) objects.push(stat);
  }
  return { objects, nextCursor: null };
}

async function openObject(path: string, key: string, call: CallOptions): Promise<Readable> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    if (!(await handle.stat()).isFile()) {
      await handle.close();
      throw missingObject(key);
    }
    return createReadStream('', { fd: handle, ...(call.signal ? { signal: call.signal } : {}) });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) throw missingObject(key);
    throw error;
  }
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error);
  }
}
