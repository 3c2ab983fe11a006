import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../support/gcs-emulator-process.ts';
import { describeObjectStorage, type StorageHarness } from './object-storage.ts';
import { faultsOf } from './object-storage-gcs-faults.ts';
import { transfersOf } from './object-storage-gcs-transfers.ts';

let emulator: EmulatorProcess;
let buckets = 0;
beforeAll(async () => {
  emulator = await startEmulatorProcess();
});
afterAll(() => emulator.stop());

/** A bucket of its own for each test. */
function harness(settings: { chunkBytes?: number; prefix?: string }): StorageHarness {
  return {
    small: 'never full',
    open: async () => {
      buckets += 1;
      const bucket = `bucket-${buckets}`;
      await emulator.makeBucket(bucket);
      const client = () => createGcsStorage({ bucket, apiEndpoint: emulator.url, ...settings });
      const home = await mkdtemp(join(tmpdir(), 'goldfish-gcs-'));
      const [folder, foreign] = [join(home, 'outputs'), join(home, 'foreign')];
      for (const made of [folder, foreign]) await mkdir(made);
      return {
        storage: client(),
        again: client,
        folder,
        foreign,
        fill: (keys) =>
          emulator.fill(
            bucket,
            keys.map((key) => (settings.prefix ?? '') + key),
          ),
        leftovers: () => emulator.openUploads(bucket),
        dispose: () => rm(home, { recursive: true }),
      };
    },
  };
}

describeObjectStorage('Cloud Storage', harness({}));
describeObjectStorage(
  'Cloud Storage, in pieces below a prefix',
  harness({ chunkBytes: 256 << 10, prefix: 'art/' }),
);

faultsOf();
transfersOf();
