import { describe } from 'vitest';
import type { ObjectStorage } from '../../src/storage/port.ts';
import { conditionsOf } from './object-storage-conditions.ts';
import { contentOf } from './object-storage-content.ts';
import { copiesOf } from './object-storage-copies.ts';
import { keysOf } from './object-storage-keys.ts';
import { listingOf } from './object-storage-listing.ts';
import { troubleOf } from './object-storage-trouble.ts';

/** What an adapter's test gives the contract to work on. */
export type StorageHarness = {
  /** A fresh, empty storage with a folder for files to be stored. Called before each test. */
  open(): Promise<OpenedStorage>;
  /**
   * A storage with room for less than 400 KB and more than 100 KB; its name of need where it cannot be had here, as it
   * stands in the title of the skipped test. A storage that is never full has no such test.
   */
  small: { open(): Promise<OpenedStorage> } | { needs: string } | 'never full';
};

export type OpenedStorage = {
  storage: ObjectStorage;
  /** Another client of the same objects, as another process would have. */
  again(): ObjectStorage;
  /** An existing folder of the caller's; an adapter that links may link files from here. */
  folder: string;
  /** An existing folder whose files stay their owner's: they may be written to after they were stored. */
  foreign: string;
  /** Puts many small objects there, by the shortest way there is. */
  fill(keys: readonly string[]): Promise<void>;
  /** What unfinished or failed writes have left behind, by whatever name. */
  leftovers(): Promise<string[]>;
  dispose(): Promise<void>;
};

/** Every promise of src/storage/port.ts, kept by a real adapter. */
export function describeObjectStorage(name: string, harness: StorageHarness): void {
  describe(`${name} as an object storage`, () => {
    contentOf(harness);
    conditionsOf(harness);
    copiesOf(harness);
    listingOf(harness);
    keysOf(harness);
    troubleOf(harness);
  });
}
