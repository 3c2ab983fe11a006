import { afterEach, beforeEach } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { createGcsStorage, type GcsStorageOptions } from '../../src/storage/gcs/gcs-storage.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';
import { GcsEmulator } from '../gcs-emulator/emulator.ts';
import type { Fault } from '../gcs-emulator/faults.ts';
import { createTestClock } from '../support/test-clock.ts';

export const BUCKET = 'bucket';
/** Small, so that a few of them are no large body. */
export const CHUNK = 256 << 10;

export type ServiceUnderTest = {
  emulator: GcsEmulator;
  /** A client whose waiting takes no time; `clock` shows how long it would have been. */
  storage: ObjectStorage;
  clock: Clock;
  client(options?: Partial<GcsStorageOptions>): ObjectStorage;
  fail(...faults: Fault[]): void;
  /** Done by somebody else when the client waits for the first time. */
  meanwhile(work: () => Promise<unknown>): void;
};

/** An emulator of its own for each test, in this process, with an empty bucket. */
export function serviceOf(): ServiceUnderTest {
  let current: ServiceUnderTest | undefined;
  const now = (): ServiceUnderTest => {
    if (!current) throw new Error('asked for outside of a test');
    return current;
  };
  beforeEach(async () => {
    const emulator = await GcsEmulator.start();
    emulator.buckets.create({ name: BUCKET });
    current = underTest(emulator);
  });
  afterEach(() => now().emulator.stop());
  return {
    get emulator() {
      return now().emulator;
    },
    get storage() {
      return now().storage;
    },
    get clock() {
      return now().clock;
    },
    client: (options) => now().client(options),
    fail: (...faults) => now().fail(...faults),
    meanwhile: (work) => now().meanwhile(work),
  };
}

function underTest(emulator: GcsEmulator): ServiceUnderTest {
  const { clock: test } = createTestClock();
  let next: (() => Promise<unknown>) | undefined;
  const clock: Clock = {
    ...test,
    sleep: async (ms) => {
      const work = next;
      next = undefined;
      await work?.();
      await test.sleep(ms);
    },
  };
  const settings = { bucket: BUCKET, apiEndpoint: emulator.url, chunkBytes: CHUNK };
  return {
    emulator,
    clock,
    storage: createGcsStorage({ ...settings, clock }),
    client: (options) => createGcsStorage({ ...settings, clock: systemClock, ...options }),
    fail: (...faults) => emulator.faults.add(...faults),
    meanwhile: (work) => {
      next = work;
    },
  };
}
