import { GoogleAuth } from 'google-auth-library';
import { systemClock } from '../../src/core/clock.ts';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import type { ObjectStorage } from '../../src/storage/port.ts';
import type { LiveProject } from './live-project.ts';

const COMPUTE = 'https://compute.googleapis.com';
const REGISTRY = 'https://artifactregistry.googleapis.com/v1';
const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
/** A machine leaves a minute after its last run, and the service takes its time to delete it. */
const GONE_MS = 15 * 60_000;
const PAUSE_MS = 1_000;

export type Place = { id: string; zone: string };

/** Asks a service itself, past everything that is tested; an emulator without credentials. Resolves to the HTTP status. */
async function ask(method: 'GET' | 'DELETE', url: string): Promise<number> {
  if (!url.startsWith('https:')) return (await fetch(url, { method })).status;
  const auth = new GoogleAuth({ scopes: SCOPES });
  const response = await auth.request({ method, url, validateStatus: () => true });
  return response.status;
}

function ofProject({ id, endpoints }: LiveProject, path: string): string {
  return `${endpoints.compute ?? COMPUTE}/compute/v1/projects/${id}/${path}`;
}

/** Until neither the machines of those names are there nor their disks, which are called like them. */
export async function untilGone(project: LiveProject, places: readonly Place[]): Promise<void> {
  const kinds = ['instances', 'disks'];
  const paths = places.flatMap(({ id, zone }) => kinds.map((kind) => `zones/${zone}/${kind}/${id}`));
  const deadline = performance.now() + GONE_MS;
  for (;;) {
    const statuses = await Promise.all(paths.map((path) => ask('GET', ofProject(project, path))));
    const left = paths.filter((_path, at) => statuses[at] !== 404);
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`still there: ${left.join(', ')}`);
    await systemClock.sleep(PAUSE_MS);
  }
}

/** Whatever became of the test. */
export async function removeMachines(project: LiveProject, places: readonly Place[]): Promise<void> {
  const paths = places.map(({ id, zone }) => `zones/${zone}/instances/${id}`);
  await Promise.all(paths.map((path) => ask('DELETE', ofProject(project, path))));
}

/** The bucket of the project below its prefix, or below a folder of that. */
export function storageOf({ bucket, prefix, endpoints }: LiveProject, folder = ''): ObjectStorage {
  const elsewhere = endpoints.storage === null ? {} : { apiEndpoint: endpoints.storage };
  return createGcsStorage({ bucket, prefix: `${prefix}${folder}`, ...elsewhere });
}

/** Deletes all objects of the storage. */
export async function empty(storage: ObjectStorage): Promise<void> {
  for (;;) {
    const { objects } = await storage.list('', { limit: 500 });
    if (objects.length === 0) return;
    await Promise.all(objects.map(({ key }) => storage.delete(key)));
  }
}

/**
 * Deletes an image with everything that was pushed under its name. Who may push may not delete; then it says how. A
 * registry that is not Google's is that of a test, and goes with it.
 */
export async function removeImage({ registry }: LiveProject, name: string): Promise<void> {
  const [host = '', project, repository] = registry.split('/');
  const location = /^(.+)-docker\.pkg\.dev$/.exec(host)?.[1];
  if (location === undefined) return;
  const parent = `projects/${project}/locations/${location}/repositories/${repository}`;
  const status = await ask('DELETE', `${REGISTRY}/${parent}/packages/${encodeURIComponent(name)}`);
  if (status === 200 || status === 404) return;
  console.log(
    `Some kilobytes are left (${status}): gcloud artifacts docker images delete ${registry}/${name} --delete-tags`,
  );
}
