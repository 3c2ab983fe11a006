import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { assetPath } from '../../src/core/assets.ts';
import { liveProject } from '../live/live-project.ts';
import { AT, examine, healthyProject } from './healthy-project.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-page-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const readPage = (): Promise<string> => readFile(assetPath('docs/gce.md'), 'utf8');

it('shows a goldfish.yaml that loads, with all that rented machines need', async () => {
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(await readPage()) ?? [];
  await writeFile(join(folder, 'goldfish.yaml'), yaml);
  const { config } = await loadConfig({ root: folder });
  expect(config.gce).toMatchObject({
    projectId: 'my-project-123456',
    maxParallel: 2,
    externalAddress: false,
  });
  expect(config.storage.gcs?.bucket).toBe('my-project-123456-goldfish');
});

it('gives the controller every permission that the doctor asks for', async () => {
  const project = healthyProject();
  await examine(project);
  const asked = project.questions.find(({ method, url }) => `${method} ${url}` === AT.permissions);
  const { permissions } = asked!.body as { permissions: string[] };
  const [, role = ''] =
    /roles create goldfishController .*?--permissions=\\\n(.*?)\ngcloud/s.exec(await readPage()) ?? [];
  expect(permissions.length).toBeGreaterThan(10);
  expect(role.replaceAll('\\\n', '').split(',')).toEqual(expect.arrayContaining(permissions));
});

it('names variables of which the live tests make a goldfish.yaml that loads', async () => {
  const values = {
    PROJECT: 'my-project-123456',
    ZONES: 'europe-west4-a, europe-west4-b',
    BUCKET: 'my-bucket',
    REGISTRY: 'europe-west4-docker.pkg.dev/my-project-123456/goldfish',
    SERVICE_ACCOUNT: 'goldfish-worker@my-project-123456.iam.gserviceaccount.com',
    IMAGE: 'projects/my-project-123456/global/images/family/goldfish',
    NETWORK: 'goldfish',
    SUBNETWORK: 'regions/europe-west4/subnetworks/goldfish',
    EXTERNAL_ADDRESS: 'false',
  };
  const page = await readPage();
  for (const [name, value] of Object.entries(values)) {
    expect(page).toMatch(new RegExp(`GOLDFISH_LIVE_${name}\\b`));
    vi.stubEnv(`GOLDFISH_LIVE_${name}`, value);
  }
  try {
    const { config: text, prefix } = liveProject();
    await writeFile(join(folder, 'goldfish.yaml'), `project_name: live\n${text}`);
    const { config } = await loadConfig({ root: folder });
    expect(config.storage.gcs).toEqual({ bucket: 'my-bucket', prefix, apiEndpoint: null });
    expect(config.gce).toMatchObject({
      zones: ['europe-west4-a', 'europe-west4-b'],
      externalAddress: false,
      maxParallel: 1,
      warmPool: { enabled: true, maxInstances: 1, idleTimeoutSeconds: 60 },
    });
    expect(config.gce?.profiles['cpu-small']?.bootDisk.image).toBe(values.IMAGE);
  } finally {
    vi.unstubAllEnvs();
  }
});
