import type { GceConfig } from '../../config/gce.ts';
import type { Clock } from '../../core/clock.ts';
import type { GoldfishError } from '../../core/errors.ts';
import type { Ids } from '../../core/ids.ts';
import type { Layout } from '../../core/layout.ts';
import type { Logger } from '../../core/logger.ts';
import type { Pool } from '../../pool/pool.ts';
import type { ObjectStorage } from '../../storage/port.ts';
import type { Db } from '../../store/database.ts';
import type { BackendProbe, BuildRequest, CallOptions, Runtime } from '../port.ts';
import type { ComputeCalls } from './compute-calls.ts';

export type BuildCall = CallOptions & { onLine: (text: string) => void };

/** What stages run in is made on this machine, and handed to rented ones through a registry. */
export type ImageSupply = {
  /** Whether images can be made here. */
  probe(options?: CallOptions): Promise<BackendProbe>;
  build(request: BuildRequest, call: BuildCall): Promise<Runtime>;
  /** Of an image that is here, by its id: what machines pull, by digest. Pushed where it was not. */
  publish(image: string, call: BuildCall): Promise<string>;
};

export type GceBackendOptions = {
  gce: GceConfig;
  /** The bucket that this project and its machines share. */
  bucket: { name: string; prefix: string; apiEndpoint: string | null };
  defaults: { capacityWaitSeconds: number; launchTimeoutSeconds: number; logSyncSeconds: number };
  /** `user:group` of stages in their containers, as numbers. */
  user: string;
  /** Tells the project's machines from those of others. Errors: CONFLICT, as `markProblem` says. */
  projectMark: () => Promise<string>;
  /** Why machines that are rented may be another project's, so that none may be touched; null where they are not. */
  markProblem: () => Promise<GoldfishError | null>;
  layout: Layout;
  /** What is fetched leaves so much of the disk free. */
  minFreeBytes: number;
  clock: Clock;
  ids: Pick<Ids, 'worker' | 'reference'>;
  log: Logger;
  /** Takes secrets out of what is to be written down. */
  hide: (text: string) => string;
  db: Db;
  images: ImageSupply;
  /** The service's clients; imported with the first work there is. */
  openStorage: (prefix: string) => Promise<ObjectStorage>;
  openCompute: () => Promise<ComputeCalls>;
};

/** What work on rented machines takes, once it is opened. */
export type Rented = { bucket: ObjectStorage; pool: Pool };

export type GceDeps = GceBackendOptions & { rented: () => Promise<Rented> };
