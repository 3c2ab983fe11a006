import { randomBytes } from 'node:crypto';
import { lstat, rename, rm, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, isoTime } from '../../core/clock.ts';
import { errnoOf } from '../../core/errors.ts';
import { syncFolder } from '../../os/files.ts';
import { withLock } from '../../store/lock.ts';
import { conditionFailed, isMissing, missingObject } from '../object-errors.ts';
import { LOCK_FOLDER, TEMPORARY_FOLDER } from '../object-key.ts';
import { type CallOptions, expectedGeneration, type ObjectStat, type WriteCondition } from '../port.ts';
import { objectPath } from './object-path.ts';
import { type Body, linkExclusive, makeFolder, writeTemporary } from './write-file.ts';

/** Where objects are, and below which folder a file may become one without being copied. */
export type Store = { dir: string; linkBelow: string; clock: Clock };
type Call = WriteCondition & CallOptions;

/** Writes under a temporary name, then gives it its own in one step of the file system. */
export async function putObject(
  store: Store,
  request: { key: string; body: Body; call: Call },
): Promise<ObjectStat> {
  const { key, body, call } = request;
  const target = objectPath(store.dir, key);
  const temporary = join(store.dir, TEMPORARY_FOLDER, randomBytes(8).toString('hex'));
  try {
    await makeFolder(dirname(temporary));
    await writeTemporary({ ...store, temporary, body, ...(call.signal ? { signal: call.signal } : {}) });
    await utimes(temporary, ...freshTimes(store.clock));
    const stat = await describe(temporary, key);
    await giveName(store, { key, temporary, target, call });
    return stat;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function giveName(
  store: Store,
  named: { key: string; temporary: string; target: string; call: Call },
): Promise<void> {
  const { key, temporary, target, call } = named;
  const expected = expectedGeneration(call);
  try {
    await makeFolder(dirname(target));
    if (expected === '0') await linkExclusive(temporary, target, () => conditionFailed(key, '0'));
    else {
      await locked(store, { key, call }, async () => {
        await requireGeneration(store, key, expected);
        await rename(temporary, target);
      });
    }
  } catch (error) {
    // The key is a folder of other keys, or one of its folders is an object.
    const collision = ['ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '');
    throw collision ? conditionFailed(key, '0') : error;
  }
  await syncFolder(dirname(target));
}

/** Harmless where the key is not there and no condition asks for it. */
export async function deleteObject(store: Store, key: string, call: Call): Promise<void> {
  const path = objectPath(store.dir, key);
  const expected = expectedGeneration(call) ?? '0';
  if (expected === '0' && !(await statObject(path, key))) return;
  await locked(store, { key, call }, async () => {
    await requireGeneration(store, key, expectedGeneration(call));
    await unlink(path).catch(ignoreMissing);
  });
  await syncFolder(dirname(path)).catch(ignoreMissing);
}

export async function copyObject(
  store: Store,
  request: { from: string; to: string; call: Call },
): Promise<ObjectStat> {
  const file = objectPath(store.dir, request.from);
  if (!(await statObject(file, request.from))) throw missingObject(request.from);
  if (request.from === request.to) return renewObject(store, request.from, request.call);
  try {
    // Never a link: two keys of one file would share their generation.
    const body = { file, mayLink: false } as const;
    return await putObject(store, { key: request.to, body, call: request.call });
  } catch (error) {
    throw errnoOf(error) === 'ENOENT' ? missingObject(request.from) : error;
  }
}

/** A copy of an object onto itself: the same content, written anew. */
async function renewObject(store: Store, key: string, call: Call): Promise<ObjectStat> {
  const path = objectPath(store.dir, key);
  return locked(store, { key, call }, async () => {
    await requireGeneration(store, key, expectedGeneration(call));
    const before = await statObject(path, key);
    if (!before) throw missingObject(key);
    for (;;) {
      await utimes(path, ...freshTimes(store.clock));
      const after = await describe(path, key);
      // Another process may have written at this very microsecond.
      if (after.generation !== before.generation) return after;
    }
  });
}

/** Undefined where there is no object at the path. */
export async function statObject(path: string, key: string): Promise<ObjectStat | undefined> {
  try {
    return await describe(path, key);
  } catch (error) {
    if (isMissing(error) || ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
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

async function requireGeneration(store: Store, key: string, expected: string | undefined): Promise<void> {
  if (expected === undefined) return;
  const generation = (await statObject(objectPath(store.dir, key), key))?.generation ?? '0';
  if (generation !== expected) throw conditionFailed(key, expected);
}

function locked<T>(store: Store, held: { key: string; call: Call }, work: () => Promise<T>): Promise<T> {
  const path = join(store.dir, LOCK_FOLDER, `${lockNumber(held.key)}.lock`);
  const signal = held.call.signal ? { signal: held.call.signal } : {};
  return withLock(path, { clock: store.clock, what: 'a stored object', ...signal }, work);
}

/** 256 lock files serve every key; keys that share one only wait for each other. */
function lockNumber(key: string): string {
  let hash = 0;
  for (const byte of Buffer.from(key)) hash = (hash * 31 + byte) % 65_521;
  return (hash % 256).toString(16).padStart(2, '0');
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
