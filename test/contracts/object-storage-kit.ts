import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { OpenedStorage, StorageHarness } from './object-storage.ts';

/** The storage of the test that is running. */
export function opened(harness: StorageHarness): OpenedStorage {
  let current: OpenedStorage | undefined;
  const now = (): OpenedStorage => {
    if (!current) throw new Error('asked for outside of a test');
    return current;
  };
  beforeEach(async () => {
    current = await harness.open();
  });
  afterEach(() => now().dispose());
  return {
    get storage() {
      return now().storage;
    },
    again: () => now().again(),
    get folder() {
      return now().folder;
    },
    get foreign() {
      return now().foreign;
    },
    fill: (keys) => now().fill(keys),
    leftovers: () => now().leftovers(),
    dispose: async () => undefined,
  };
}

export const bytes = (content: string): Buffer => Buffer.from(content);
export const readText = async (storage: ObjectStorage, key: string): Promise<string> =>
  text(await storage.get(key));
export const readBytes = async (storage: ObjectStorage, key: string): Promise<Buffer> =>
  buffer(await storage.get(key));
export const keysOfAll = async (storage: ObjectStorage, prefix = ''): Promise<string[]> =>
  (await storage.list(prefix)).objects.map((object) => object.key);

export const MISSING = { code: 'STORAGE_UNAVAILABLE', details: { missing: true } };
export const CONFLICT = { code: 'CONFLICT' };

/** Binary, with every value a byte can have, and no two blocks alike. */
export function pattern(size: number, seed = 7): Buffer {
  const data = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i += 1) data[i] = (i * seed + (i >> 8) * 31 + (i >> 16)) & 0xff;
  return data;
}

export function chunks(data: Buffer, size: number): Readable {
  return Readable.from(
    (function* () {
      for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
    })(),
  );
}

/** A body whose end the test decides. `started` resolves when its first bytes have been taken. */
export function heldStream(first: Buffer) {
  const begun = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  // An abort may come before anybody waits for it.
  held.promise.catch(() => undefined);
  async function* produce(): AsyncGenerator<Buffer> {
    yield first;
    begun.resolve();
    await held.promise;
    yield Buffer.from(' and the rest');
  }
  return {
    body: Readable.from(produce()),
    started: begun.promise,
    finish: held.resolve,
    fail: (error: Error): void => held.reject(error),
  };
}

/** How each of several attempts went: 'done', or the code of its refusal. */
export async function outcomes(attempts: readonly Promise<unknown>[]): Promise<string[]> {
  return Promise.all(
    attempts.map((attempt) =>
      attempt.then(
        () => 'done',
        (error: { code?: string }) => error.code ?? 'unknown',
      ),
    ),
  );
}
