import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { configKeys } from '../../src/config/schema.ts';
import { exampleConfig } from '../support/example-config.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-config-'));
});
afterEach(() => rm(root, { recursive: true }));

async function load(text: string) {
  await writeFile(join(root, 'goldfish.yaml'), text);
  return loadConfig({ root, cpus: 4, environment: {} });
}

/** What must be there for rented machines, as the example names it. */
const RENTED = `project_name: my-project
storage: { gcs: { bucket: my-bucket } }
gce:
  project_id: my-gcp-project
  zones: [europe-west4-a, europe-west4-b]
  service_account: worker@my-gcp-project.iam.gserviceaccount.com
  artifact_registry: europe-docker.pkg.dev/my-gcp-project/goldfish
`;

/** Without the names that are the example's own. */
function withoutNames({ config }: Awaited<ReturnType<typeof load>>) {
  const { gce } = config;
  const machines = Object.entries(gce?.profiles ?? {}).filter(([name]) => name !== 'my-machine');
  return {
    ...config,
    profiles: {},
    docker: { ...config.docker, images: {} },
    gce: gce && { ...gce, profiles: Object.fromEntries(machines) },
  };
}

describe('goldfish.example.yaml', () => {
  it('loads as it stands, and has the defaults it says, but for the names of its own', async () => {
    const example = await load((await exampleConfig()).text);
    expect(Object.keys(example.config.profiles)).toEqual(['my-profile']);
    expect(Object.keys(example.config.docker.images)).toEqual(['my-profile']);
    expect(withoutNames(example)).toEqual((await load('project_name: my-project\n')).config);
    expect(example.notes).toEqual([]);
  });

  it('loads with the sections that are commented out, and has the defaults it says there', async () => {
    const example = await load((await exampleConfig()).whole);
    expect(example.config.gce?.profiles['my-machine']).toMatchObject({
      machineType: 'n1-standard-8',
      accelerators: { type: 'nvidia-tesla-t4', count: 1 },
      preflight: [['nvidia-smi']],
    });
    expect(withoutNames(example)).toEqual((await load(RENTED)).config);
    expect(example.notes).toEqual([]);
  });

  it('documents every key there is and no other', async () => {
    const { settings } = await load((await exampleConfig()).whole);
    expect(settings.filter(({ origin }) => origin === 'built-in')).toEqual([]);
    expect(settings.map(({ key }) => key.replaceAll(/my-(profile|machine)/g, '*'))).toEqual(configKeys());
  });
});
