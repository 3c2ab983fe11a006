import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import type { BackendLimits, Backends } from '../../src/runs/deps.ts';
import { listProfiles } from '../../src/runs/list-profiles.ts';
import { NOTHING_TO_TEND } from '../../src/runs/tending.ts';
import { createFakeBackend } from '../support/fake-backend.ts';

let root: string;
let asked: string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-profiles-'));
  asked = [];
});
afterEach(() => rm(root, { recursive: true }));

const NO_LIMITS: BackendLimits = {
  memoryBytes: null,
  cpus: null,
  pidsLimit: null,
  network: true,
  gpus: 0,
  images: true,
  image: null,
  keys: {},
};

/** `process` and `gce`, which execute nothing; who is asked whether it is available is written down. */
function backends(): Backends {
  const { backend } = createFakeBackend();
  const capabilities = { ...backend.capabilities, gpu: true, hasLaunchDelay: true };
  const both: Backends = {
    names: ['process', 'gce'],
    get: async (name) => (name === 'gce' ? { ...backend, name, capabilities } : backend),
    choose: async (requested) => {
      asked.push(requested);
      return { name: requested === 'auto' ? 'process' : requested, why: `${requested} is here` };
    },
    capacity: () => 1,
    limits: (name) => (name === 'gce' ? { ...NO_LIMITS, gpus: 8 } : NO_LIMITS),
    environmentKey: async () => 'sha256:e',
    tend: async () => undefined,
    close: async () => undefined,
    hasWards: () => false,
    tending: NOTHING_TO_TEND,
    over: () => both,
  };
  return both;
}

async function list(text: string, request: { backend?: string } = {}) {
  await writeFile(join(root, 'goldfish.yaml'), `project_name: p\n${text}`);
  const { config, settings } = await loadConfig({ root, cpus: 4, environment: {} });
  return listProfiles({ config, settings, backends: backends() }, request);
}

const RENTED = `storage: { gcs: { bucket: my-bucket } }
gce:
  project_id: my-gcp-project
  zones: [europe-west4-a, europe-west4-b]
  service_account: default
  artifact_registry: europe-docker.pkg.dev/my-gcp-project/goldfish
`;

describe('the list of profiles', () => {
  it('shows what is rented for each, where and at what price', async () => {
    const listed = await list(
      `${RENTED}  profile_overrides:\n    h100-spot: { price_per_hour: 2.5 }\n    a100-spot: { provisioning: [spot, standard], price_per_hour: { spot: 1.5, standard: 3.5 } }\nprofiles: { mine: { backend: gce, price_per_hour: 9 } }\n`,
    );
    expect(
      listed.map(({ name, available, pricePerHour, machine }) => [
        name,
        available,
        pricePerHour,
        machine?.machineType,
        machine?.models.join(),
        machine?.pricesPerHour,
      ]),
    ).toEqual([
      ['default', true, null, undefined, undefined, undefined],
      ['cpu-small', true, null, 'n2-standard-4', 'standard', [null]],
      ['cpu-large', true, null, 'c4-highcpu-192', 'standard', [null]],
      ['h100-spot', true, 2.5, 'a3-highgpu-1g', 'spot', [2.5]],
      ['h100-on-demand', true, null, 'a3-highgpu-8g', 'standard', [null]],
      ['a100-spot', true, 1.5, 'a2-highgpu-1g', 'spot,standard', [1.5, 3.5]],
      ['a100-on-demand', true, null, 'a2-highgpu-1g', 'standard', [null]],
      ['mine', true, 9, 'n2-standard-4', 'standard', [null]],
    ]);
    const h100 = listed.find(({ name }) => name === 'h100-spot');
    expect(h100).toMatchObject({
      origin: 'goldfish.yaml',
      why: 'gce is here',
      machine: { zones: ['europe-west4-a', 'europe-west4-b'] },
      given: {
        compute: { backend: 'gce', profile: 'h100-spot', gpus: 1, capacityWaitSeconds: 600 },
        origins: { backend: 'profile h100-spot', gpus: 'profile h100-spot' },
      },
    });
    expect(asked).toEqual(['auto', 'gce']);
  });

  it('shows the local limits where another backend is named, and the machine of cpu-small for default on gce', async () => {
    const local = (await list(RENTED, { backend: 'process' })).find(({ name }) => name === 'cpu-small');
    expect(local).toMatchObject({
      available: true,
      machine: null,
      given: { compute: { backend: 'process' } },
    });
    expect(local?.given?.compute).not.toHaveProperty('capacityWaitSeconds');
    const rented = (await list(RENTED, { backend: 'gce' })).find(({ name }) => name === 'default');
    expect(rented).toMatchObject({
      machine: { machineType: 'n2-standard-4' },
      given: { compute: { backend: 'gce', profile: 'default' } },
    });
  });

  it('names the machines of profiles that wait for a section gce, and what to set', async () => {
    const listed = await list('');
    const a100 = listed.find(({ name }) => name === 'a100-spot');
    expect(a100).toMatchObject({
      available: false,
      why: 'It needs a rented machine, and the backend "gce" is not configured. Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml. Or take a local profile, or define this one under "profiles".',
      machine: { machineType: 'a2-highgpu-1g', zones: [], models: ['spot'] },
    });
    await expect(list('', { backend: 'gce' })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The backend "gce" is not configured.',
    });
  });
});
