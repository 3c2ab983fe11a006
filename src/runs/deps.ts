import type { RunBackend } from '../backends/port.ts';
import type { Config } from '../config/config.ts';
import type { Secrets } from '../config/secrets.ts';
import type { Setting } from '../config/settings.ts';
import type { Clock } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import type { Logger } from '../core/logger.ts';
import type { Sources } from '../data/sources.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';
import type { Tending } from './tending.ts';

/** What a backend gives a stage that asks for nothing: null is no limit. */
export type BackendLimits = {
  memoryBytes: number | null;
  cpus: number | null;
  pidsLimit: number | null;
  network: boolean;
  /** How many GPUs its runs may use at once. */
  gpus: number;
  /** Each run has that many of its own, on a machine of its own. */
  ownGpus?: true;
  /** Whether a stage may name the image it runs in. */
  images: boolean;
  /** The image of stages of the asked profile that name none; null: the backend's own. */
  image: string | null;
  /** Keys of goldfish.yaml that the values come from, so that each can tell its origin. */
  keys: Partial<Record<'memory' | 'cpus' | 'pids_limit' | 'network' | 'image', string>>;
};

/** The backends a project can use. Built by the context, the only importer of adapters. */
export type Backends = {
  readonly names: readonly string[];
  /** Imports the adapter on first use. Errors: BACKEND_UNAVAILABLE for a name that is not configured. */
  get(name: string): Promise<RunBackend>;
  /** Which backend a stage runs on, and why; `auto` is decided here. */
  choose(requested: string): Promise<{ name: string; why: string }>;
  /** Runs that may hold a slot of the backend at one time. */
  capacity(name: string): number;
  /** What a stage of a profile gets there unless it, or the profile, says otherwise. Asks nothing of the machine. */
  limits(name: string, profile: string): BackendLimits;
  /** The identity of what a version's stages run in there, found without building it. */
  environmentKey(
    name: string,
    request: { files: FileReader; codeHash: string; image: string | null },
  ): Promise<string>;
  /** Looks after what backends hold between runs (rented machines); to be called about once a second. */
  tend(options: { signal: AbortSignal }): Promise<void>;
  /** Ends what goes on beside; nothing is written afterwards. */
  close(): Promise<void>;
  /** Whether something of that kind is there to be looked after. */
  hasWards(): boolean;
  /** Who can look after it. */
  tending: Tending;
  /** The same over another store: the supervisor's, which ends with its lease. */
  over(db: Db): Backends;
};

/** What the services of this room are made of. */
export type RunsDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  log: Logger;
  config: Config;
  /** Of the config, with the origin of each. */
  settings: readonly Setting[];
  /** Values that stage configs name as `${env:NAME}`. */
  secrets: Pick<Secrets, 'value' | 'missing' | 'everyValue'>;
  storage: ObjectStorage;
  backends: Backends;
  workspaces: Workspaces;
  /** What a path given as an input stands for. */
  sources: Pick<Sources, 'fromPath'>;
  /** This program's version, kept with every pipeline run. */
  goldfishVersion: string;
};
