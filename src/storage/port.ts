import type { Readable } from 'node:stream';

/** What is known of a stored object without reading it. `generation` changes with every write of the key. */
export type ObjectStat = { key: string; size: number; generation: string; updatedAt: string };

/** At most one of the two. `ifGeneration: '0'` and `createOnly` mean the same: the key must not exist. */
export type WriteCondition = { createOnly?: boolean; ifGeneration?: string };

/** The generation that a write asks for: '0' is "must not exist", undefined "whatever is there". */
export function expectedGeneration(condition: WriteCondition): string | undefined {
  return condition.createOnly === true ? '0' : condition.ifGeneration;
}

export type CallOptions = { signal?: AbortSignal };

/**
 * Keyed bytes: a folder here, a bucket when rented. Keys are relative, `/`-separated, without `.`/`..` segments.
 * A write is atomic (readers see the old or the new object whole) and durable when it resolves.
 * Errors: PATH_OUTSIDE_ROOT for a bad key, CONFLICT where a condition does not hold, STORAGE_UNAVAILABLE for the rest.
 */
export type ObjectStorage = {
  readonly name: string;
  /** Stores a stream, bytes, or a file. A file on the same file system may be linked instead of copied. */
  put(
    key: string,
    body: Readable | Uint8Array | { file: string },
    options?: WriteCondition & CallOptions,
  ): Promise<ObjectStat>;
  /** Fails with STORAGE_UNAVAILABLE (details.missing = true) where the key is not there. */
  get(key: string, options?: CallOptions): Promise<Readable>;
  stat(key: string, options?: CallOptions): Promise<ObjectStat | undefined>;
  /** Sorted by key, at most `limit` (default 1000) after `cursor`. */
  list(
    prefix: string,
    options?: { cursor?: string; limit?: number } & CallOptions,
  ): Promise<{ objects: ObjectStat[]; nextCursor: string | null }>;
  /** Harmless where the key is not there. */
  delete(key: string, options?: WriteCondition & CallOptions): Promise<void>;
  /** Onto itself it is a write too: the content stays, generation and time are new. */
  copy(from: string, to: string, options?: WriteCondition & CallOptions): Promise<ObjectStat>;
  /** The object's path on this machine, where it has one. Read only. */
  localPath(key: string): string | undefined;
  /** Where writes that never ended leave something that the storage does not remove by itself. */
  readonly unfinished?: UnfinishedWrites;
};

export type UnfinishedWrites = {
  /** Those that nothing was written to since a time, in milliseconds since the epoch. */
  list(before: number): Promise<{ name: string; size: number; since: number }[]>;
  /** Harmless where it is gone. */
  remove(name: string): Promise<void>;
};
