import { expect } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { checkConfig, loadConfig } from '../../../src/config/load-config.ts';
import { listProfiles } from '../../../src/runs/list-profiles.ts';
import { type Effects, effect, type Kit } from './kit.ts';

const NEEDED = {
  project_id: 'my-gcp-project',
  zones: ['europe-west4-a'],
  service_account: 'worker@my-gcp-project.iam.gserviceaccount.com',
  artifact_registry: 'europe-docker.pkg.dev/my-gcp-project/goldfish',
};

type Sections = { gce?: object; gcs?: object; defaults?: object };

function write(kit: Kit, { gce = {}, gcs = {}, defaults = {} }: Sections): void {
  const file = {
    project_name: 'effects',
    defaults,
    storage: { gcs: { bucket: 'my-bucket', ...gcs } },
    gce: { ...NEEDED, ...gce },
  };
  kit.write('goldfish.yaml', JSON.stringify(file));
}

async function configOf(kit: Kit, sections: Sections): Promise<Config> {
  write(kit, sections);
  return (await loadConfig({ root: kit.root(), environment: {} })).config;
}

/** What a value makes of the settings that the backend is given; without it they are others. */
function gives(sections: Sections, expected: object, title: string) {
  return effect(title, async (kit) => {
    expect(await configOf(kit, {})).not.toMatchObject(expected);
    expect(await configOf(kit, sections)).toMatchObject(expected);
  });
}

/** The same of a machine of one's own. */
function makes(said: object, expected: object, title: string) {
  return effect(title, async (kit) => {
    const machine = async (more: object) => {
      const mine = { machine_type: 'n1-standard-4', ...more };
      return (await configOf(kit, { gce: { profile_overrides: { mine } } })).gce?.profiles['mine'];
    };
    expect(await machine({})).not.toMatchObject(expected);
    expect(await machine(said)).toMatchObject(expected);
  });
}

/** `list_profiles` shows the price of the way of paying that is tried first. */
function priced(model: 'spot' | 'standard', title: string) {
  return effect(title, async (kit) => {
    const mine = { machine_type: 'n1-standard-4', provisioning: [model], price_per_hour: { [model]: 1.5 } };
    const overrides = JSON.stringify({ ...NEEDED, profile_overrides: { mine } });
    const { runsDeps } = await kit.open(`storage: { gcs: { bucket: my-bucket } }\ngce: ${overrides}\n`);
    const prices = (await listProfiles(runsDeps, {})).map(({ name, pricePerHour }) => [name, pricePerHour]);
    expect(Object.fromEntries(prices)).toMatchObject({ mine: 1.5, 'a100-on-demand': null });
  });
}

const T4 = 'nvidia-tesla-t4';
const ENDPOINT = 'http://127.0.0.1:8080';

/** Of rented machines. What the backend makes of these settings is tested where it is. */
export const GCE_EFFECTS: Effects = {
  'defaults.capacity_wait_seconds': effect('is how long a place for a machine is looked for', async (kit) => {
    expect(
      (await configOf(kit, { defaults: { capacity_wait_seconds: 0 } })).defaults.capacityWaitSeconds,
    ).toBe(0);
    write(kit, { defaults: { capacity_wait_seconds: 2401 } });
    const { problems } = await checkConfig({ root: kit.root(), environment: {} });
    expect(problems).toHaveLength(1);
  }),
  'defaults.log_sync_interval': gives(
    { defaults: { log_sync_interval: 3 } },
    { defaults: { logSyncSeconds: 3 } },
    'is how often machines send logs',
  ),
  'storage.gcs.bucket': gives(
    { gcs: { bucket: 'another' } },
    { storage: { gcs: { bucket: 'another' } } },
    'is the bucket of rented machines',
  ),
  'storage.gcs.prefix': gives(
    { gcs: { prefix: 'team/a' } },
    { storage: { gcs: { prefix: 'team/a/' } } },
    'stands before every name in the bucket',
  ),
  'storage.gcs.api_endpoint': gives(
    { gcs: { api_endpoint: `${ENDPOINT}/` } },
    { storage: { gcs: { apiEndpoint: ENDPOINT } } },
    'is where the bucket is asked for',
  ),
  'gce.project_id': gives(
    { gce: { project_id: 'another-project' } },
    { gce: { projectId: 'another-project' } },
    'is where machines are rented',
  ),
  'gce.zones': gives(
    { gce: { zones: ['us-east1-b', 'us-east1-c'] } },
    { gce: { zones: ['us-east1-b', 'us-east1-c'] } },
    'are where machines may be',
  ),
  'gce.service_account': gives(
    { gce: { service_account: 'default' } },
    { gce: { serviceAccount: 'default' } },
    'is who machines act as',
  ),
  'gce.network': gives(
    { gce: { network: 'inner' } },
    { gce: { network: 'inner' } },
    'is the network of machines',
  ),
  'gce.subnetwork': gives(
    { gce: { subnetwork: 'regions/europe-west4/subnetworks/mine' } },
    { gce: { subnetwork: 'regions/europe-west4/subnetworks/mine' } },
    'is the subnetwork of machines',
  ),
  'gce.external_address': gives(
    { gce: { external_address: false } },
    { gce: { externalAddress: false } },
    'gives machines an address, or none',
  ),
  'gce.artifact_registry': gives(
    { gce: { artifact_registry: '127.0.0.1:5000/images' } },
    { gce: { artifactRegistry: '127.0.0.1:5000/images' } },
    'is where images go through',
  ),
  'gce.api_endpoint': gives(
    { gce: { api_endpoint: ENDPOINT } },
    { gce: { apiEndpoint: ENDPOINT } },
    'is where machines are asked for',
  ),
  'gce.max_parallel': gives(
    { gce: { max_parallel: 1 } },
    { gce: { maxParallel: 1 } },
    'is how many stages run at once on rented machines',
  ),
  'gce.profile_overrides.*.machine_type': gives(
    { gce: { profile_overrides: { 'cpu-small': { machine_type: 'n2-standard-8' } } } },
    { gce: { profiles: { 'cpu-small': { machineType: 'n2-standard-8' } } } },
    'is the machine of a profile',
  ),
  'gce.profile_overrides.*.accelerators.type': makes(
    { accelerators: { type: T4 } },
    { accelerators: { type: T4, count: 1 }, gpus: 1 },
    'is the kind of GPU that is attached',
  ),
  'gce.profile_overrides.*.accelerators.count': makes(
    { accelerators: { type: T4, count: 4 } },
    { accelerators: { count: 4 }, gpus: 4 },
    'is how many GPUs are attached',
  ),
  'gce.profile_overrides.*.gpus': makes(
    { machine_type: 'g4-standard-384', gpus: 8 },
    { gpus: 8 },
    'are the GPUs of a machine whose name does not tell',
  ),
  'gce.profile_overrides.*.provisioning': makes(
    { provisioning: ['spot', 'standard'] },
    { models: ['spot', 'standard'] },
    'is how a machine is paid for, in the order to try',
  ),
  'gce.profile_overrides.*.boot_disk.image': makes(
    { boot_disk: { image: 'projects/p/global/images/family/mine' } },
    { bootDisk: { image: 'projects/p/global/images/family/mine', sizeGb: 50 } },
    'is what a machine boots',
  ),
  'gce.profile_overrides.*.boot_disk.size_gb': makes(
    { boot_disk: { size_gb: 75 } },
    { bootDisk: { sizeGb: 75, type: 'pd-balanced' } },
    'is the size of the disk it boots from',
  ),
  'gce.profile_overrides.*.boot_disk.type': makes(
    { boot_disk: { type: 'pd-ssd' } },
    { bootDisk: { sizeGb: 50, type: 'pd-ssd' } },
    'is the kind of that disk',
  ),
  'gce.profile_overrides.*.data_disks': makes(
    { data_disks: [{ name: 'cache', size_gb: 100, mount: '/mnt/cache' }] },
    { dataDisks: [{ name: 'cache', sizeGb: 100, type: 'pd-balanced', mount: '/mnt/cache' }] },
    'are more disks, each where it is mounted',
  ),
  'gce.profile_overrides.*.price_per_hour.spot': priced(
    'spot',
    'is what list_profiles shows of a spot machine',
  ),
  'gce.profile_overrides.*.price_per_hour.standard': priced('standard', 'is what it shows of another one'),
  'gce.profile_overrides.*.preflight': makes(
    { preflight: [['nvidia-smi'], ['df', '-h']] },
    { preflight: [['nvidia-smi'], ['df', '-h']] },
    'are commands that must succeed first',
  ),
  'gce.warm_pool.enabled': gives(
    { gce: { warm_pool: { enabled: true } } },
    { gce: { warmPool: { enabled: true } } },
    'keeps machines for the next stage',
  ),
  'gce.warm_pool.max_instances': gives(
    { gce: { warm_pool: { max_instances: 0 } } },
    { gce: { warmPool: { maxInstances: 0 } } },
    'is how many the pool has, and 0 is none',
  ),
  'gce.warm_pool.idle_timeout_minutes': effect(
    'is how long one waits for work, and 0 is not',
    async (kit) => {
      const seconds = async (idle_timeout_minutes: number) => {
        const { gce } = await configOf(kit, { gce: { warm_pool: { idle_timeout_minutes } } });
        return gce?.warmPool.idleTimeoutSeconds;
      };
      expect([await seconds(0), await seconds(1.5)]).toEqual([0, 90]);
    },
  ),
  'gce.warm_pool.profiles': gives(
    { gce: { warm_pool: { profiles: ['cpu-small'] } } },
    { gce: { warmPool: { profiles: ['cpu-small'] } } },
    'are those whose machines are kept',
  ),
  'gce.warm_pool.watchdog_seconds': gives(
    { gce: { warm_pool: { watchdog_seconds: 120 } } },
    { gce: { warmPool: { watchdogSeconds: 120 } } },
    'is how long a machine may be silent',
  ),
};
