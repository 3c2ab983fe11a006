import { randomBytes } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { lstat, open, rename, rm, unlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type Clock, isoTime, systemClock } from '../../core/clock.ts';
import { errnoOf } from '../../core/errors.ts';
import { syncFolder } from '../../os/files.ts';
import { withLock } from '../../store/lock.ts';
import type { CallOptions, ObjectStat, ObjectStorage, WriteCondition } from '../port.ts';
import { listKeys } from './list-objects.ts';
import { LOCK_FOLDER, objectPath, TEMPORARY_FOLDER } from './object-path.ts';
import { conditionFailed, isMissing, missingObject, storageError } from './storage-error.ts';
import { type Body, linkExclusive, makeFolder, writeTemporary } from './write-file.ts';

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
  const { clock = systemClock } = options;
  const dir = resolve(options.dir);
  const linkBelow = resolve(options.linkBelow ?? dirname(dir));

  const statObject = async (key: string): Promise<ObjectStat | undefined> => {
    try {
      return await describe(objectPath(dir, key), key);
    } catch (error) {
      if (isMissing(error) || ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
      throw error;
    }
  };

  const locked = <T>(key: string, call: CallOptions, work: () => Promise<T>): Promise<T> => {
    const path = join(dir, LOCK_FOLDER, `${lockNumber(key)}.lock`);
    const signal = call.signal ? { signal: call.signal } : {};
    return withLock(path, { clock, what: 'a stored object', ...signal }, work);
  };

  const put = async (key: string, body: Body, call: WriteCondition & CallOptions): Promise<ObjectStat> => {
    const target = objectPath(dir, key);
    const temporary = join(dir, TEMPORARY_FOLDER, randomBytes(8).toString('hex'));
    try {
      await makeFolder(dirname(temporary));
      await writeTemporary({ temporary, body, linkBelow, ...(call.signal ? { signal: call.signal } : {}) });
      await utimes(temporary, ...freshTimes(clock));
      const stat = await describe(temporary, key);
      await giveName({ key, temporary, target, call });
      return stat;
    } finally {
      await rm(temporary, { force: true });
    }
  };

  const giveName = async (named: {
    key: string;
    temporary: string;
    target: string;
    call: WriteCondition & CallOptions;
  }): Promise<void> => {
    const { key, temporary, target, call } = named;
    const expected = expectedGeneration(call);
    try {
      await makeFolder(dirname(target));
      if (expected === '0') await linkExclusive(temporary, target, () => conditionFailed(key, '0'));
      else {
        await locked(key, call, async () => {
          if (expected !== undefined) await requireGeneration(statObject, key, expected);
          await rename(temporary, target);
        });
      }
    } catch (error) {
      // The key is a folder of other keys, or one of its folders is an object.
      if (['ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) {
        throw conditionFailed(key, '0');
      }
      throw error;
    }
    await syncFolder(dirname(target));
  };

  return {
    name: 'local',
    put: (key, body, call = {}) => translated(() => put(key, body, call)),
    get: (key, call = {}) => translated(() => openObject(objectPath(dir, key), key, call)),
    stat: (key) => translated(() => statObject(key)),
    list: (prefix, request = {}) =>
      translated(async () => {
        const limit = Math.min(MAX_LIST, Math.max(1, request.limit ?? MAX_LIST));
        const objects: ObjectStat[] = [];
        for await (const key of listKeys(dir, { prefix, after: request.cursor ?? '' })) {
          request.signal?.throwIfAborted();
          if (objects.length === limit) return { objects, nextCursor: objects.at(-1)?.key ?? null };
          const stat = await statObject(key);
          if (stat) objects.push(stat);
        }
        return { objects, nextCursor: null };
      }),
    delete: (key, call = {}) =>
      translated(async () => {
        const path = objectPath(dir, key);
        if (!(await statObject(key)) && (call.ifGeneration ?? '0') === '0') return;
        await locked(key, call, async () => {
          const expected = expectedGeneration(call);
          if (expected !== undefined) await requireGeneration(statObject, key, expected);
          await unlink(path).catch(ignoreMissing);
        });
        await syncFolder(dirname(path)).catch(ignoreMissing);
      }),
    copy: (from, to, call = {}) =>
      translated(async () => {
        const source = objectPath(dir, from);
        if (!(await statObject(from))) throw missingObject(from);
        try {
          // Never a link: two keys of one file would share their generation.
          return await put(to, { file: source, mayLink: false }, call);
        } catch (error) {
          throw errnoOf(error) === 'ENOENT' ? missingObject(from) : error;
        }
      }),
    localPath: (key) => objectPath(dir, key),
  };
}

async function describe(path: string, key: string): Promise<ObjectStat> {
  const stat = await lstat(path, { bigint: true });
  if (!stat.isFile()) throw missingObject(key);
  // Time alone can be equal in two processes, a file number alone when it is used again.
  const generation = `${stat.mtimeNs}-${stat.ino}`;
  return { key, size: Number(stat.size), generation, updatedAt: isoTime(Number(stat.mtimeMs)) };
}

let lastMicroseconds = 0;

/** Access and modification time of a write, never the same twice in a process: they make the generation. */
function freshTimes(clock: Clock): [number, number] {
  lastMicroseconds = Math.max(lastMicroseconds + 1, clock.now() * 1000);
  return [lastMicroseconds / 1e6, lastMicroseconds / 1e6];
}

/** '0' is "must not exist", undefined "whatever is there". */
function expectedGeneration(call: WriteCondition): string | undefined {
  return call.createOnly === true ? '0' : call.ifGeneration;
}

async function requireGeneration(
  statObject: (key: string) => Promise<ObjectStat | undefined>,
  key: string,
  expected: string,
): Promise<void> {
  const generation = (await statObject(key))?.generation ?? '0';
  if (generation !== expected) throw conditionFailed(key, expected);
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

/** 256 lock files serve every key; keys that share one only wait for each other. */
function lockNumber(key: string): string {
  let hash = 0;
  for (const byte of Buffer.from(key)) hash = (hash * 31 + byte) % 65_521;
  return (hash % 256).toString(16).padStart(2, '0');
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageError(error);
  }
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
