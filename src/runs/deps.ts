import type { RunBackend } from '../backends/port.ts';
import type { Config } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { Ids } from '../core/ids.ts';
import type { Layout } from '../core/layout.ts';
import type { Logger } from '../core/logger.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import type { ObjectStorage } from '../storage/port.ts';
import type { Db } from '../store/database.ts';
import type { Workspaces } from '../workspaces/workspaces.ts';

/** The backends a project can use. Built by the context, the only importer of adapters. */
export type Backends = {
  readonly names: readonly string[];
  /** Imports the adapter on first use. Errors: BACKEND_UNAVAILABLE for a name that is not configured. */
  get(name: string): Promise<RunBackend>;
  /** Which backend a stage runs on, and why; `auto` is decided here. */
  choose(requested: string): Promise<{ name: string; why: string }>;
  /** Runs that may hold a slot of the backend at one time. */
  capacity(name: string): number;
  /** The identity of what a version's stages run in there, found without building it. */
  environmentKey(name: string, request: { files: FileReader; image: string | null }): Promise<string>;
};

/** What the services of this room are made of. */
export type RunsDeps = {
  db: Db;
  clock: Clock;
  ids: Ids;
  layout: Layout;
  log: Logger;
  config: Config;
  storage: ObjectStorage;
  backends: Backends;
  workspaces: Workspaces;
  /** This program's version, kept with every pipeline run. */
  goldfishVersion: string;
};
