import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { isoTime } from '../../src/core/clock.ts';
import { GoldfishError } from '../../src/core/errors.ts';
import { conditionFailed, missingObject } from '../../src/storage/object-errors.ts';
import { checkKey } from '../../src/storage/object-key.ts';
import {
  expectedGeneration,
  type ObjectStat,
  type ObjectStorage,
  type WriteCondition,
} from '../../src/storage/port.ts';

/** What goes wrong with the next calls. `lost`: it is done, and the answer does not come. */
export type StorageTrouble = 'refused' | 'lost';

export type MemoryStorage = ObjectStorage & {
  /** Troubles of the calls to come, first in first out; undefined is none. */
  troubles: StorageTrouble[];
  /** While it is out, every call is refused. */
  out: boolean;
  /** How many calls each of them has struck. */
  struck: Record<StorageTrouble | 'out', number>;
  keys(): string[];
  text(key: string): string | undefined;
};

/** Objects in memory, for tests with ten thousand steps; held to the contract of every storage. */
export function createMemoryStorage({ now }: { now: () => number }): MemoryStorage {
  const objects = new Map<string, { stat: ObjectStat; content: Buffer }>();
  let generation = 0;

  const write = (key: string, content: Buffer, condition: WriteCondition): ObjectStat => {
    checkKey(key);
    check(key, condition);
    generation += 1;
    const stat = { key, size: content.length, generation: `${generation}`, updatedAt: isoTime(now()) };
    objects.set(key, { stat, content });
    return stat;
  };
  const check = (key: string, condition: WriteCondition): void => {
    const expected = expectedGeneration(condition);
    const found = objects.get(key)?.stat.generation ?? '0';
    if (expected !== undefined && expected !== found) throw conditionFailed(key, expected);
  };
  const call = async <T>(signal: AbortSignal | undefined, work: () => T | Promise<T>): Promise<T> => {
    signal?.throwIfAborted();
    const trouble = storage.out ? 'out' : storage.troubles.shift();
    if (trouble !== undefined) storage.struck[trouble] += 1;
    if (trouble === 'out' || trouble === 'refused') throw unavailable();
    const done = await work();
    if (trouble === 'lost') throw unavailable();
    return done;
  };

  const storage: MemoryStorage = {
    name: 'memory',
    troubles: [],
    out: false,
    struck: { out: 0, refused: 0, lost: 0 },
    put: (key, body, options = {}) =>
      call(options.signal, async () => {
        if ('file' in body) throw new Error('files are not put into memory');
        return write(key, body instanceof Uint8Array ? Buffer.from(body) : await buffer(body), options);
      }),
    get: (key, options = {}) =>
      call(options.signal, () => {
        checkKey(key);
        const found = objects.get(key);
        if (!found) throw missingObject(key);
        return Readable.from([found.content]);
      }),
    stat: (key, options = {}) =>
      call(options.signal, () => {
        checkKey(key);
        return objects.get(key)?.stat;
      }),
    list: (prefix, options = {}) =>
      call(options.signal, () => {
        const { cursor = '', limit = 1000 } = options;
        const found = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > cursor).sort();
        const page = found.slice(0, limit);
        const stats = page.flatMap((key) => objects.get(key)?.stat ?? []);
        return { objects: stats, nextCursor: found.length > page.length ? (page.at(-1) ?? null) : null };
      }),
    delete: (key, options = {}) =>
      call(options.signal, () => {
        checkKey(key);
        if (objects.has(key)) check(key, options);
        objects.delete(key);
      }),
    copy: (from, to, options = {}) =>
      call(options.signal, () => {
        const found = objects.get(from);
        if (!found) throw missingObject(from);
        return write(to, found.content, options);
      }),
    localPath: () => undefined,
    keys: () => [...objects.keys()],
    text: (key) => objects.get(key)?.content.toString('utf8'),
  };
  return storage;
}

function unavailable(): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The storage does not answer.',
    retryable: true,
  });
}
