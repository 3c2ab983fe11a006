import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GceDeps } from '../../../src/backends/gce/options.ts';
import { createPuller, type Puller } from '../../../src/backends/gce/puller.ts';
import { createStopper, type Stopper } from '../../../src/backends/gce/stop.ts';
import type { RunHandle } from '../../../src/backends/port.ts';
import { GCE_PROFILES } from '../../../src/config/gce-profiles.ts';
import { createIds } from '../../../src/core/ids.ts';
import { type AttemptLayout, projectLayout } from '../../../src/core/layout.ts';
import { attemptPrefix } from '../../../src/pool/documents.ts';
import { hasBegun } from '../../../src/pool/has-begun.ts';
import { createMail } from '../../../src/pool/mail.ts';
import type { Pool } from '../../../src/pool/pool.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { applyWorkerChanges } from '../../../src/store/worker-changes.ts';
import { addWorker, getWorker, workersOfJob } from '../../../src/store/workers.ts';
import { createMemoryStorage, type MemoryStorage } from '../../support/memory-storage.ts';
import { createTestClock } from '../../support/test-clock.ts';

export const HANDLE: RunHandle = {
  backend: 'gce',
  runId: 'stage-0123456789ab',
  attempt: 1,
  externalId: 'goldfish-stage-0123456789ab-1',
  data: {},
};
export const WORKER = 'goldfish-00000000000a';
const AT = '2026-01-01T00:00:00.000Z';

/** The parts of the backend that look after a run on a machine: real rows and files, a bucket in memory, no machine. */
export type RentedRig = {
  deps: GceDeps & { puller: Puller; stopper: Stopper };
  bucket: MemoryStorage;
  folders: AttemptLayout;
  prefix: string;
  released: { runId: string; attempt: number; ended: boolean }[];
  time: ReturnType<typeof createTestClock>;
  logged: string[];
  /** Writes an object as a machine does. */
  put(key: string, content: string | Uint8Array): Promise<void>;
  /** The machine has been given the attempt; `begun`: and has claimed it. */
  assign(begun: boolean): void;
  change(change: Omit<Parameters<typeof applyWorkerChanges>[1][number], 'worker'>): void;
  /** As storage.keep.min_free_gb does. */
  holdBack(bytes: number): void;
  dispose(): void;
};

export function createRentedRig(): RentedRig {
  const root = mkdtempSync(join(tmpdir(), 'goldfish-rented-'));
  const layout = projectLayout(root);
  const folders = layout.attempt(HANDLE.runId, HANDLE.attempt);
  mkdirSync(folders.dir, { recursive: true });
  mkdirSync(folders.checkpoints, { recursive: true });
  const db = openDatabase(join(root, 'pool.db'), { create: true });
  const time = createTestClock();
  const bucket = createMemoryStorage({ now: () => time.clock.now() });
  const released: RentedRig['released'] = [];
  const logged: string[] = [];
  const note = (_fields: object, message: string): void => void logged.push(message);
  const pool: Pool = {
    acquire: () => Promise.reject(new Error('not in these tests')),
    find: (key) => {
      const job = workersOfJob(db, key).at(-1);
      const worker = job && getWorker(db, job.workerId);
      return job && worker && { job, worker };
    },
    hasBegun: (job, options = {}) =>
      hasBegun({ db, clock: time.clock, mail: createMail(bucket) }, job, options),
    release: async ({ runId, attempt, ended }) => void released.push({ runId, attempt, ended }),
    reconcile: async () => undefined,
  };
  const own: GceDeps = {
    gce: {
      projectId: 'demo',
      zones: ['us-central1-a'],
      serviceAccount: 'worker@demo.iam.gserviceaccount.com',
      network: 'default',
      subnetwork: null,
      externalAddress: true,
      artifactRegistry: 'europe-docker.pkg.dev/demo/images',
      apiEndpoint: null,
      maxParallel: 8,
      profiles: GCE_PROFILES,
      warmPool: {
        enabled: true,
        maxInstances: 2,
        idleTimeoutSeconds: 600,
        profiles: null,
        watchdogSeconds: 300,
      },
    },
    bucket: { name: 'bucket', prefix: '', apiEndpoint: null },
    defaults: { capacityWaitSeconds: 600, launchTimeoutSeconds: 2700, logSyncSeconds: 10 },
    user: '1000:1000',
    projectMark: async () => 'gf-0000000000000001',
    markProblem: async () => null,
    layout,
    minFreeBytes: 0,
    clock: time.clock,
    ids: createIds(),
    log: { debug: note, info: note, warn: note, error: note },
    hide: (text) => text.replaceAll('s3cret-word', '***'),
    db,
    images: {
      probe: async () => ({ available: true, why: 'a fake of the tests' }),
      build: () => Promise.reject(new Error('not in these tests')),
      publish: () => Promise.reject(new Error('not in these tests')),
    },
    openStorage: async () => bucket,
    openCompute: () => Promise.reject(new Error('not in these tests')),
    rented: async () => ({ bucket, pool }),
  };
  const rig: RentedRig = {
    deps: { ...own, puller: createPuller(own), stopper: createStopper(own) },
    bucket,
    folders,
    prefix: attemptPrefix(HANDLE),
    released,
    time,
    logged,
    put: async (key, content) => {
      const body = typeof content === 'string' ? Buffer.from(content) : content;
      await bucket.put(rig.prefix + key, body);
    },
    assign: (begun) => {
      const job = { runId: HANDLE.runId, attempt: HANDLE.attempt };
      addWorker(db, { id: WORKER, pooled: true, profile: 'cpu-small', shape: 's', job, at: AT });
      if (begun) rig.change({ event: 'start', claimed: true });
    },
    change: (change) => {
      const worker = getWorker(db, WORKER);
      if (worker) applyWorkerChanges(db, [{ worker, ...change }], AT);
    },
    holdBack: (bytes) => {
      own.minFreeBytes = bytes;
    },
    dispose: () => {
      db.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
  return rig;
}
