import { referencedName } from './environment-reference.ts';
import { mergeOverrides } from './gce-overrides.ts';
import type { GceProfile } from './gce-profiles.ts';
import { CONNECTION_FORMS, type ConnectionKey } from './gce-schema.ts';
import type { ConfigFile } from './schema.ts';
import type { Secrets } from './secrets.ts';

/** Rented machines of Compute Engine. Amounts in seconds. */
export type GceConfig = {
  projectId: string;
  /** Where machines may be, in the order to try. */
  zones: readonly string[];
  /** Address of the account that machines act as. */
  serviceAccount: string;
  /** A name, or a path. */
  network: string;
  /** A path; null: the one of the network in each region. */
  subnetwork: string | null;
  /** False: machines reach the internet only through what the network has for that. */
  externalAddress: boolean;
  /** `europe-docker.pkg.dev/project/repository`, or `127.0.0.1:5000/name`. */
  artifactRegistry: string;
  /** Of the Compute API, without a slash at its end; null: the public one. Credentials are sent to Google's own only. */
  apiEndpoint: string | null;
  /** Runs at once on the backend. */
  maxParallel: number;
  /** Built-in ones with what the file says otherwise, and its own. */
  profiles: Readonly<Record<string, GceProfile>>;
  warmPool: {
    enabled: boolean;
    /** 0: none is kept. */
    maxInstances: number;
    /** 0: a machine goes after its run. */
    idleTimeoutSeconds: number;
    /** Whose machines are kept; null: all. */
    profiles: readonly string[] | null;
    watchdogSeconds: number;
  };
  /** What the file takes from the environment; absent where it is nothing. */
  references?: readonly Reference[];
  /** Why a setting does not hold what it takes from there, as `problemIn` says: nothing may be asked for then. */
  problem?: string;
};

/** A setting of rented machines, or of their bucket, that stands in the environment under a name. */
export type Reference = { key: ConnectionKey; name: string };

/** The bucket through which rented machines get and send everything. */
export type GcsConfig = {
  bucket: string;
  /** Before every name in it: empty, or with a slash at its end. */
  prefix: string;
  /** Of the JSON API, without a slash at its end; null: the public one. Credentials are sent to Google's own only. */
  apiEndpoint: string | null;
};

/** The machines of a profile that names none: `default`, and those of the user's own. */
const USUAL_MACHINE = 'cpu-small';

/** The name of the profile whose machines run the stages of `profile` on rented machines. */
export function machineProfileOf(gce: Pick<GceConfig, 'profiles'>, profile: string): string {
  return Object.hasOwn(gce.profiles, profile) ? profile : USUAL_MACHINE;
}

/** Both sections that rented machines need, null where they are not there. */
export function toGce(
  file: Pick<ConfigFile, 'gce' | 'storage'>,
  secrets: Pick<Secrets, 'value'>,
): { gce: GceConfig | null; gcs: GcsConfig | null } {
  const references: Reference[] = [];
  const read = (key: ConnectionKey, written: string): string => {
    const name = referencedName(written);
    if (name === undefined) return written;
    const reference = { key, name };
    references.push(reference);
    return problemOf(reference, secrets) === undefined ? (secrets.value(name) ?? '') : '';
  };
  const readEndpoint = (key: ConnectionKey, written: string | null): string | null =>
    written === null ? null : read(key, written).replace(/\/$/, '');
  const { gcs: writtenGcs } = file.storage;
  const gcs = writtenGcs && {
    bucket: read('storage.gcs.bucket', writtenGcs.bucket),
    prefix: withSlash(writtenGcs.prefix),
    apiEndpoint: readEndpoint('storage.gcs.api_endpoint', writtenGcs.api_endpoint),
  };
  const { gce: written } = file;
  if (written === null) return { gce: null, gcs };
  const gce: GceConfig = {
    projectId: read('gce.project_id', written.project_id),
    zones: written.zones,
    serviceAccount: read('gce.service_account', written.service_account),
    network: read('gce.network', written.network),
    subnetwork: written.subnetwork === null ? null : read('gce.subnetwork', written.subnetwork),
    externalAddress: written.external_address,
    artifactRegistry: read('gce.artifact_registry', written.artifact_registry),
    apiEndpoint: readEndpoint('gce.api_endpoint', written.api_endpoint),
    maxParallel: written.max_parallel,
    profiles: mergeOverrides(written.profile_overrides),
    warmPool: toWarmPool(written.warm_pool),
    ...(references.length === 0 ? {} : { references }),
  };
  const problem = problemIn(references, secrets);
  return { gce: problem === undefined ? gce : { ...gce, problem }, gcs };
}

/** The first setting that an environment does not have, or has in a wrong form, in words. */
export function problemIn(
  references: readonly Reference[],
  secrets: Pick<Secrets, 'value'>,
): string | undefined {
  return references
    .map((reference) => problemOf(reference, secrets))
    .find((problem) => problem !== undefined);
}

function problemOf({ key, name }: Reference, secrets: Pick<Secrets, 'value'>): string | undefined {
  const value = secrets.value(name);
  const { pattern, error } = CONNECTION_FORMS[key];
  if (value === undefined) return `${key} names ${name}, which is not set`;
  return pattern.test(value) ? undefined : `${key} names ${name}, whose value ${error}`;
}

function toWarmPool(pool: NonNullable<ConfigFile['gce']>['warm_pool']): GceConfig['warmPool'] {
  return {
    enabled: pool.enabled,
    maxInstances: pool.max_instances,
    idleTimeoutSeconds: pool.idle_timeout_minutes * 60,
    profiles: pool.profiles,
    watchdogSeconds: pool.watchdog_seconds,
  };
}

function withSlash(prefix: string): string {
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}
