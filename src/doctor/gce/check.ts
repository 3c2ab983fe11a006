import type { GoogleAccess, GoogleAnswer } from '../../backends/google-access.ts';
import type { GceConfig } from '../../config/gce.ts';
import type { Clock } from '../../core/clock.ts';
import type { Ids } from '../../core/ids.ts';
import type { ObjectStorage } from '../../storage/port.ts';
import type { GceFinding } from './finding.ts';

/** What the checks are made of: the settings, and the very adapters that the backend uses. */
export type GceParts = {
  gce: GceConfig;
  gcs: { bucket: string; apiEndpoint: string | null };
  access: GoogleAccess;
  storage: ObjectStorage;
  registry: RegistryReader;
  clock: Clock;
  ids: Pick<Ids, 'reference'>;
};

/** Of the port of registries only what is asked here. Undefined where there is no such image. */
export type RegistryReader = {
  digest(
    image: { repository: string; tag: string },
    options: { signal: AbortSignal },
  ): Promise<string | undefined>;
};

/** The same within one check. */
export type Ground = GceParts & {
  /** Aborted when the check has had its time. */
  signal: AbortSignal;
  /** Who asks, as policies write it: `serviceAccount:…`, `user:…`. */
  member: string;
};

export type Check = {
  component: string;
  /** Whose answer it wants: `google` is what no emulator knows. */
  of: 'compute' | 'google' | 'storage' | 'bucket' | 'registry';
  run(ground: Ground): Promise<GceFinding[]>;
};

/** A path below `/compute/v1/`. */
export function askCompute({ gce, access, signal }: Ground, path: string): Promise<GoogleAnswer> {
  const endpoint = (gce.apiEndpoint ?? 'https://compute.googleapis.com').replace(/\/+$/, '');
  return access.ask({ method: 'GET', url: `${endpoint}/compute/v1/${path}`, signal });
}

/** `europe-west4-a` → `europe-west4`; each once. */
export function regionsOf(zones: readonly string[]): string[] {
  return [...new Set(zones.map(regionOf))];
}

export function regionOf(zone: string): string {
  return zone.slice(0, zone.lastIndexOf('-'));
}

export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
