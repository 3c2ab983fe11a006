import type { Logger } from '../../core/logger.ts';
import type { HostOptions } from '../host-options.ts';
import type { Engine, EngineAddress } from './engine.ts';

/** What the docker backend is made of. */
export type DockerBackendOptions = HostOptions & {
  /** `docker.host`, or what the environment names; null: the usual socket. */
  host: string | null;
  /** Why the engine must not be asked at all: the address is named and not known. */
  hostProblem: string | null;
  /** `docker.base_image`: for stages that name none. */
  baseImage: string;
  /** `docker.user`: numbers of user and group, never root. */
  user: string;
  /** The folder to import the Node stage library from. */
  nodeLibraryDir: string;
  /** Told of what could not be removed and keeps nobody waiting. */
  log?: Logger;
};

/** The options with the way to the engine. */
export type DockerDeps = DockerBackendOptions & {
  address: EngineAddress;
  engine: (kind?: 'patient') => Promise<Engine>;
  /** Tells this project's containers from those of others. */
  project: string;
};
