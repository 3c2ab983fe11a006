import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLACES } from '../../src/backends/container.ts';
import { machineProfileOf } from '../../src/config/gce.ts';
import { GCE_PROFILES } from '../../src/config/gce-profiles.ts';
import { checkConfig } from '../../src/config/load-config.ts';
import { formatPlace } from '../../src/config/problem.ts';
import { changesBetween, movesState } from '../../src/config/settings.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-config-'));
});
afterEach(() => rm(root, { recursive: true }));

/** What must be there. What is added below it belongs to `gce`, unless it says otherwise. */
const RENTED = `storage:
  gcs:
    bucket: my-bucket
gce:
  project_id: my-gcp-project
  zones: [europe-west4-a, europe-west4-b]
  service_account: worker@my-gcp-project.iam.gserviceaccount.com
  artifact_registry: europe-docker.pkg.dev/my-gcp-project/goldfish
`;

async function check(text: string, environment: Record<string, string> = {}) {
  await writeFile(join(root, 'goldfish.yaml'), `project_name: p\n${text}`);
  const { loaded, problems } = await checkConfig({ root, cpus: 4, environment });
  return {
    config: loaded?.config,
    settings: loaded?.settings ?? [],
    problems: problems.map((problem) => `${formatPlace(problem)} ${problem.message} ${problem.hint}`),
  };
}

const overrides = (text: string) => check(`${RENTED}  profile_overrides:\n    ${text}\n`);

describe('rented machines', () => {
  it('are not there unless the file has a section for them, with or without keys that are commented out', async () => {
    expect((await check('')).config).toMatchObject({ gce: null, storage: { gcs: null } });
    const empty = await check('gce:\n  # project_id: p\nstorage:\n  gcs:\n');
    expect(empty.config).toMatchObject({ gce: null, storage: { gcs: null } });
  });

  it('are what the file says, and what is usual for the rest', async () => {
    const { config, problems } = await check(RENTED);
    expect(problems).toEqual([]);
    expect(config?.storage.gcs).toEqual({ bucket: 'my-bucket', prefix: '', apiEndpoint: null });
    expect(config?.gce).toEqual({
      projectId: 'my-gcp-project',
      zones: ['europe-west4-a', 'europe-west4-b'],
      serviceAccount: 'worker@my-gcp-project.iam.gserviceaccount.com',
      network: 'default',
      subnetwork: null,
      externalAddress: true,
      artifactRegistry: 'europe-docker.pkg.dev/my-gcp-project/goldfish',
      apiEndpoint: null,
      maxParallel: 4,
      profiles: GCE_PROFILES,
      warmPool: {
        enabled: false,
        maxInstances: 2,
        idleTimeoutSeconds: 600,
        profiles: null,
        watchdogSeconds: 300,
      },
    });
  });

  it('are refused with everything that is missing at once', async () => {
    expect((await check('slots: 1\ngce: {}\n')).problems.toSorted()).toEqual([
      'goldfish.yaml:3:1 "gce.artifact_registry" is missing. It must be a repository for images such as europe-docker.pkg.dev/my-project/goldfish.',
      'goldfish.yaml:3:1 "gce.project_id" is missing. It must be the id of a project of Google Cloud such as my-project-123456.',
      'goldfish.yaml:3:1 "gce.service_account" is missing. It must be the address of a service account such as worker@my-project.iam.gserviceaccount.com.',
      'goldfish.yaml:3:1 "gce.zones" is missing. It must be a list of 1 to 100 zones such as [europe-west4-a, europe-west4-b], each once.',
      'goldfish.yaml:3:1 "storage.gcs.bucket" is missing. It must be the name of a bucket, without gs://.',
    ]);
    expect((await check(RENTED.replace('    bucket: my-bucket\n', '    prefix: x\n'))).problems).toEqual([
      'goldfish.yaml:3:3 "storage.gcs.bucket" is missing. It must be the name of a bucket, without gs://.',
    ]);
  });

  it.each([
    ['zones: []', '"gce.zones" must be a list of 1 to 100 zones'],
    ['zones: [europe-west4]', '"gce.zones[0]" must be a zone such as europe-west4-a, not "europe-west4".'],
    ['zones: [us-east1-b, us-east1-b]', '"gce.zones" must be a list of 1 to 100 zones'],
    ['project_id: "My Project"', '"gce.project_id" must be the id of a project'],
    ['service_account: worker', '"gce.service_account" must be the address of a service account'],
    ['artifact_registry: my/images', '"gce.artifact_registry" must be a repository for images'],
    ['artifact_registry: "europe-docker.pkg.dev/p/r:tag"', '"gce.artifact_registry" must be a repository'],
    ['api_endpoint: "http://compute.example.com"', '"gce.api_endpoint" must be an address such as'],
    ['api_endpoint: "https://me:pass@example.com"', '"gce.api_endpoint" must be an address such as'],
    ['network: a/b', '"gce.network" must be the name of a network'],
    ['subnetwork: mine', '"gce.subnetwork" must be the path of a subnetwork'],
    ['max_parallel: 0', '"gce.max_parallel" must be a whole number from 1 to 1000, not 0.'],
    ['capacity: {}', 'Unknown key "capacity".'],
    ['warm_pool: { preserve_paths: [] }', '"preserve_paths" arrives in a later version.'],
    ['warm_pool: { max_instances: -1 }', '"gce.warm_pool.max_instances" must be a whole number from 0'],
    ['warm_pool: { watchdog_seconds: 0 }', '"gce.warm_pool.watchdog_seconds" must be a number of seconds'],
    ['warm_pool: { profiles: [cpu-smal] }', 'Unknown profile "cpu-smal". Did you mean "cpu-small"?'],
  ])('are refused with %s', async (line, message) => {
    const [key = ''] = line.split(':');
    const others = RENTED.split('\n').filter((other) => !other.startsWith(`  ${key}:`));
    const { problems } = await check(`${others.join('\n')}  ${line}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
  });

  it.each(['bucket: "gs://b"', 'bucket: B', 'prefix: /x', 'prefix: a/../b', 'prefix: a//b'])(
    'are refused with %s for the bucket',
    async (line) => {
      const bucket = line.startsWith('bucket') ? '' : 'bucket: b-1, ';
      const { problems } = await check(`storage: { gcs: { ${bucket}${line} } }\n`);
      expect(problems).toHaveLength(1);
    },
  );

  it.each(['sources_prefix', 'artifacts_prefix'])('do not read storage.gcs.%s', async (key) => {
    expect((await check(`storage: { gcs: { bucket: b-1, ${key}: x/ } }\n`)).problems).toEqual([
      `goldfish.yaml:2:32 "${key}" arrives in a later version. Remove it for now.`,
    ]);
  });
});

describe('the backend gce', () => {
  it('is refused where it is named and not configured, with the keys to set', async () => {
    const { problems } = await check('defaults: { backend: gce }\nprofiles: { big: { backend: gce } }\n');
    const hint =
      'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.';
    expect(problems).toEqual([
      `goldfish.yaml:2:22 "defaults.backend" is gce, and there is no section "gce". ${hint}`,
      `goldfish.yaml:3:29 "profiles.big.backend" is gce, and there is no section "gce". ${hint}`,
    ]);
    expect((await check(`${RENTED}defaults: { backend: gce }\n`)).config?.defaults.backend).toBe('gce');
  });

  it.each([
    ['launch_timeout_seconds: 899', 899, 600],
    ['capacity_wait_seconds: 2401', 2700, 2401],
    ['capacity_wait_seconds: 0, launch_timeout_seconds: 299', 299, 0],
  ])('needs time to find a machine and to boot it: %s', async (line, launch, wait) => {
    const { problems } = await check(`${RENTED}defaults: { ${line} }\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(
      `"defaults.launch_timeout_seconds" (${launch}) must be at least "defaults.capacity_wait_seconds" (${wait}) and 300 s for a machine to boot. Set defaults.launch_timeout_seconds to ${wait + 300} or more, or look for a machine for a shorter time.`,
    );
    expect(problems[0]).toMatch(/^goldfish\.yaml:10:/);
    expect((await check(`defaults: { ${line} }\n`)).problems).toEqual([]);
  });

  it('has time enough with exactly that much', async () => {
    const line = 'capacity_wait_seconds: 0, launch_timeout_seconds: 300';
    expect((await check(`${RENTED}defaults: { ${line} }\n`)).problems).toEqual([]);
  });

  it('runs a profile without a machine of its own on that of cpu-small', async () => {
    const { config } = await overrides('mine: { machine_type: n2-standard-8 }');
    const profiles = { profiles: config?.gce?.profiles ?? {} };
    const names = ['mine', 'h100-spot', 'default', 'other', 'constructor'];
    expect(names.map((name) => machineProfileOf(profiles, name))).toEqual([
      'mine',
      'h100-spot',
      'cpu-small',
      'cpu-small',
      'cpu-small',
    ]);
  });

  it('is not moved to another project or bucket while it is in use', async () => {
    const before = (await check(RENTED)).settings;
    const moved = async (text: string) =>
      movesState(changesBetween(before, (await check(text)).settings)).map(({ key }) => key);
    expect(await moved(RENTED.replace('my-bucket', 'b-2'))).toEqual(['storage.gcs.bucket']);
    expect(await moved(RENTED.replace('project_id: my-gcp', 'project_id: other'))).toEqual([
      'gce.project_id',
    ]);
    expect(await moved('')).toEqual(['storage.gcs.bucket', 'storage.gcs.prefix', 'gce.project_id']);
    expect(await moved(`${RENTED}  max_parallel: 9\n`)).toEqual([]);
    const none = (await check('')).settings;
    expect(movesState(changesBetween(none, before))).toEqual([]);
  });
});

describe('profile_overrides', () => {
  it('change what they say of a built-in profile, and nothing else', async () => {
    const { config } = await overrides(
      'h100-spot: { boot_disk: { size_gb: 500 }, preflight: [[nvidia-smi]] }',
    );
    const built = GCE_PROFILES['h100-spot'];
    expect(config?.gce?.profiles).toEqual({
      ...GCE_PROFILES,
      'h100-spot': { ...built, bootDisk: { ...built?.bootDisk, sizeGb: 500 }, preflight: [['nvidia-smi']] },
    });
  });

  it('give a built-in profile another machine, with the GPUs and disks of that', async () => {
    const { config } = await overrides('cpu-large: { machine_type: a2-highgpu-4g }');
    expect(config?.gce?.profiles['cpu-large']).toMatchObject({
      description: 'A rented machine of the type a2-highgpu-4g',
      machineType: 'a2-highgpu-4g',
      gpus: 4,
      models: ['standard'],
      bootDisk: { sizeGb: 200, type: 'pd-ssd' },
    });
  });

  it('name new ones, which need no more than a machine type', async () => {
    const { config } = await overrides('mine: { machine_type: n2-standard-8 }');
    expect(config?.gce?.profiles['mine']).toEqual({
      description: 'A rented machine of the type n2-standard-8',
      machineType: 'n2-standard-8',
      accelerators: null,
      gpus: 0,
      models: ['standard'],
      bootDisk: {
        image: 'projects/debian-cloud/global/images/family/debian-12',
        sizeGb: 50,
        type: 'pd-balanced',
      },
      dataDisks: [],
      pricePerHour: { spot: null, standard: null },
      preflight: [],
    });
  });

  it.each([
    ['a3-highgpu-2g', 2, ['spot'], 'pd-ssd'],
    ['a3-highgpu-8g', 8, ['standard'], 'pd-ssd'],
    ['a2-megagpu-16g', 16, ['standard'], 'pd-ssd'],
    ['g2-standard-24', 2, ['standard'], 'pd-ssd'],
    ['a4-highgpu-8g', 8, ['standard'], 'hyperdisk-balanced'],
    ['c4-highcpu-8', 0, ['standard'], 'hyperdisk-balanced'],
    ['g1-small', 0, ['standard'], 'pd-balanced'],
    ['custom-4-16384', 0, ['standard'], 'pd-balanced'],
  ])('know of %s what its name says', async (type, gpus, models, disk) => {
    const { config } = await overrides(`mine: { machine_type: ${type} }`);
    expect(config?.gce?.profiles['mine']).toMatchObject({ gpus, models, bootDisk: { type: disk } });
  });

  it.each([
    [
      'mine: {}',
      '11:5 "machine_type" is missing: "mine" is no built-in profile. Name one such as n2-standard-8, or change one of cpu-small, cpu-large, h100-spot, h100-on-demand, a100-spot, a100-on-demand.',
    ],
    [
      'default: { machine_type: n2-standard-8 }',
      '11:5 The profile "default" is "cpu-small" on a rented machine. Change "cpu-small", or take another name.',
    ],
    [
      'a100-spot: { accelerators: { type: nvidia-tesla-a100 } }',
      '11:32 A machine of the type a2-highgpu-1g has its GPUs built in and takes no accelerators. Remove "accelerators".',
    ],
    [
      'cpu-small: { accelerators: { type: nvidia-tesla-t4 } }',
      '11:32 A machine of the type n2-standard-4 takes no accelerators. Take a type of the series n1, or one with GPUs built in.',
    ],
    [
      'h100-spot: { machine_type: a3-highgpu-8g, gpus: 1 }',
      '11:53 "gpus" is 1, and a machine of the type a3-highgpu-8g has 8. Remove "gpus", or take a machine type with that many.',
    ],
    [
      'cpu-small: { gpus: 1 }',
      '11:24 "gpus" is 1, and a machine of the type n2-standard-4 has none. Remove "gpus", or take a machine type with that many.',
    ],
    [
      'mine: { machine_type: n1-standard-4, gpus: 1, accelerators: { type: nvidia-tesla-t4, count: 4 } }',
      '11:48 "gpus" is 1, and a machine of the type n1-standard-4 has 4. Remove "gpus", or take a machine type with that many.',
    ],
    [
      'mine: { machine_type: g4-standard-48 }',
      '11:27 The name of the type g4-standard-48 does not tell how many GPUs it has. Say it with "gpus".',
    ],
    [
      'h100-spot: { provisioning: [spot, standard] }',
      '11:32 A machine of the type a3-highgpu-1g is for rent at the spot price only. Set provisioning: [spot].',
    ],
    [
      'h100-on-demand: { machine_type: a3-highgpu-1g }',
      '11:37 A machine of the type a3-highgpu-1g is for rent at the spot price only. Set provisioning: [spot].',
    ],
  ])('are refused for what nobody could rent, or would pay for and not use: %s', async (line, problem) => {
    expect((await overrides(line)).problems).toEqual([`goldfish.yaml:${problem}`]);
  });

  it.each([
    ['Mine: { machine_type: n2-standard-8 }', 'must have names of lowercase letters'],
    [
      'cpu-small: { provisioning: [] }',
      'must be a list of spot and standard, in the order to try, each once',
    ],
    ['cpu-small: { provisioning: [spot, spot] }', 'must be a list of spot and standard'],
    ['cpu-small: { provisioning: [flex] }', 'must be one of spot, standard, not "flex".'],
    ['cpu-small: { machine_type: big }', 'must be a type of machine such as n2-standard-8, not "big".'],
    [
      'cpu-small: { boot_disk: { size_gb: 5 } }',
      'must be a whole number of gigabytes from 10 to 65536, not 5.',
    ],
    ['cpu-small: { boot_disk: { image: debian } }', 'must be an image such as projects/debian-cloud'],
    ['cpu-small: { data_disks: [{ name: boot, size_gb: 10, mount: /mnt/a }] }', 'other than boot'],
    ['cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: /etc }] }', 'must be a folder below /mnt'],
    ['cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: /mnt/../etc }] }', 'must be a folder below'],
    [
      'cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: /mnt/a }, { name: b, size_gb: 10, mount: /mnt/a }] }',
      'must name each disk and each folder once',
    ],
    [
      'cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: /mnt/a/b }, { name: b, size_gb: 10, mount: /mnt/a }] }',
      'must name each disk and each folder once, and no folder inside another',
    ],
    [
      'cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: /mnt/a }, { name: a, size_gb: 10, mount: /mnt/b }] }',
      'must name each disk and each folder once',
    ],
    ['cpu-small: { preflight: [nvidia-smi] }', 'must be a list of 1 to 100 words, not "nvidia-smi".'],
    ['cpu-small: { preflight: [[]] }', 'must be a list of 1 to 100 words'],
    ['cpu-small: { machine_typ: n2-standard-8 }', 'Unknown key "machine_typ". Did you mean "machine_type"?'],
  ])('are refused for what is no such value: %s', async (line, message) => {
    const { problems } = await overrides(line);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(message);
  });

  it.each([
    ...['/', '/etc', '/proc', '/mnt', '/opt/goldfish', '/opt/goldfish/node', '/mnt/outputs/model'],
    ...Object.values(PLACES),
  ])('lay no disk over what a stage needs: %s', async (mount) => {
    const { problems } = await overrides(
      `cpu-small: { data_disks: [{ name: a, size_gb: 10, mount: ${mount} }] }`,
    );
    expect(problems).toEqual([
      expect.stringMatching(
        /^goldfish\.yaml:11:62 "gce\.profile_overrides\.cpu-small\.data_disks\[0\]\.mount" must be a folder (below \/mnt|apart from what every stage has)/,
      ),
    ]);
  });

  it('take a disk for a folder beside those of a stage', async () => {
    const disks = '{ name: a, size_gb: 10, mount: /mnt/inputs2 }, { name: b, size_gb: 10, mount: /mnt/in }';
    const { config, problems } = await overrides(`cpu-small: { data_disks: [${disks}] }`);
    expect(problems).toEqual([]);
    expect(config?.gce?.profiles['cpu-small']?.dataDisks.map(({ mount }) => mount)).toEqual([
      '/mnt/inputs2',
      '/mnt/in',
    ]);
  });
});

describe('a connection to rented machines from the environment', () => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the syntax of the file
  const REFERRING = RENTED.replace('my-gcp-project\n', '"${env:PROJECT}"\n').replace(
    'my-bucket',
    '"${env:BUCKET}"',
  );

  it('is the value of that name, and is shown as its name', async () => {
    const { config, settings } = await check(REFERRING, { PROJECT: 'from-outside', BUCKET: 'their-bucket' });
    expect(config?.gce).toMatchObject({ projectId: 'from-outside' });
    expect(config?.gce).not.toHaveProperty('problem');
    expect(config?.storage.gcs?.bucket).toBe('their-bucket');
    expect(JSON.stringify(settings)).not.toMatch(/from-outside|their-bucket/);
  });

  it.each([
    [{ PROJECT: 'from-outside' }, 'storage.gcs.bucket names BUCKET, which is not set'],
    [{ BUCKET: 'their-bucket' }, 'gce.project_id names PROJECT, which is not set'],
    [
      { BUCKET: 's3cret value', PROJECT: 'from-outside' },
      'storage.gcs.bucket names BUCKET, whose value must be the name of a bucket, without gs://',
    ],
  ])(
    'is none where a name is not set or holds something else, and says so: %j',
    async (environment, problem) => {
      const { config } = await check(REFERRING, environment);
      expect(config?.gce?.problem).toBe(problem);
    },
  );

  it('falls back to no public address where that of an emulator is not set', async () => {
    const { config } = await check(`${RENTED}  api_endpoint: "\${env:EMULATOR}"\n`);
    expect(config?.gce).toMatchObject({
      apiEndpoint: '',
      problem: 'gce.api_endpoint names EMULATOR, which is not set',
    });
  });

  it.each([
    ['  zones: ["${env:ZONE}"]\n', 'is not possible here'],
    ['  network: "x-${env:NET}"\n', 'is "${env:NAME}" and nothing else'],
  ])('is no list and no part of a value: %s', async (line, message) => {
    const [key = ''] = line.split(':');
    const others = RENTED.split('\n').filter((other) => !other.startsWith(key));
    const { problems } = await check(`${others.join('\n')}${line}`);
    expect(problems.join('\n')).toContain(message);
  });
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: the syntax of the file
});
