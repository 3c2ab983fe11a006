import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { assetPath } from '../../src/core/assets.ts';
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
