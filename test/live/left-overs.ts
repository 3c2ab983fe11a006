import { GoogleAuth } from 'google-auth-library';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import type { LiveProject } from './live-project.ts';

const COMPUTE = 'https://compute.googleapis.com/compute/v1/projects';

export type Place = { id: string; zone: string };

/** Asks the service itself, past everything that is tested. */
function createCompute(project: string) {
  const auth = new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
  return async (method: 'GET' | 'DELETE', path: string): Promise<number> => {
    const url = `${COMPUTE}/${project}/${path}`;
    const response = await auth.request({ method, url, validateStatus: () => true });
    return response.status;
  };
}

/** Machines of those names that are still there, and disks, which are called like them. */
export async function leftOf(project: LiveProject, places: readonly Place[]): Promise<string[]> {
  const ask = createCompute(project.id);
  const paths = places.flatMap(({ id, zone }) => [
    `zones/${zone}/instances/${id}`,
    `zones/${zone}/disks/${id}`,
  ]);
  const found = await Promise.all(
    paths.map(async (path) => {
      const status = await ask('GET', path);
      return status === 404 ? [] : [`${path} (HTTP ${status})`];
    }),
  );
  return found.flat();
}

/** Whatever became of the test. */
export async function removeMachines(project: LiveProject, places: readonly Place[]): Promise<void> {
  const ask = createCompute(project.id);
  await Promise.all(places.map(({ id, zone }) => ask('DELETE', `zones/${zone}/instances/${id}`)));
}

/** Deletes all objects below the prefix of the test; resolves to how many there are afterwards. */
export async function emptyBucket({ bucket, prefix }: LiveProject): Promise<number> {
  const storage = createGcsStorage({ bucket, prefix });
  for (;;) {
    const { objects } = await storage.list('', { limit: 500 });
    if (objects.length === 0) return 0;
    await Promise.all(objects.map(({ key }) => storage.delete(key)));
  }
}
