import { GoogleAuth } from 'google-auth-library';
import { systemClock } from '../../src/core/clock.ts';
import { createGcsStorage } from '../../src/storage/gcs/gcs-storage.ts';
import type { LiveProject } from './live-project.ts';

const COMPUTE = 'https://compute.googleapis.com/compute/v1/projects';
/** A machine leaves a minute after its last run, and the service takes its time to delete it. */
const GONE_MS = 15 * 60_000;
const PAUSE_MS = 5_000;

export type Place = { id: string; zone: string };

/** Asks the service itself, past everything that is tested. Resolves to the HTTP status. */
function createCompute(project: string) {
  const auth = new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
  return async (method: 'GET' | 'DELETE', path: string): Promise<number> => {
    const url = `${COMPUTE}/${project}/${path}`;
    const response = await auth.request({ method, url, validateStatus: () => true });
    return response.status;
  };
}

/** Until neither the machines of those names are there nor their disks, which are called like them. */
export async function untilGone(project: LiveProject, places: readonly Place[]): Promise<void> {
  const ask = createCompute(project.id);
  const kinds = ['instances', 'disks'];
  const paths = places.flatMap(({ id, zone }) => kinds.map((kind) => `zones/${zone}/${kind}/${id}`));
  const deadline = performance.now() + GONE_MS;
  for (;;) {
    const statuses = await Promise.all(paths.map((path) => ask('GET', path)));
    const left = paths.filter((_path, at) => statuses[at] !== 404);
    if (left.length === 0) return;
    if (performance.now() > deadline) throw new Error(`still there: ${left.join(', ')}`);
    await systemClock.sleep(PAUSE_MS);
  }
}

/** Whatever became of the test. */
export async function removeMachines(project: LiveProject, places: readonly Place[]): Promise<void> {
  const ask = createCompute(project.id);
  await Promise.all(places.map(({ id, zone }) => ask('DELETE', `zones/${zone}/instances/${id}`)));
}

/** Deletes all objects below the prefix of the test. */
export async function emptyBucket({ bucket, prefix }: LiveProject): Promise<void> {
  const storage = createGcsStorage({ bucket, prefix });
  for (;;) {
    const { objects } = await storage.list('', { limit: 500 });
    if (objects.length === 0) return;
    await Promise.all(objects.map(({ key }) => storage.delete(key)));
  }
}
