import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { jobDocument } from '../../../src/backends/gce/job-content.ts';
import { jobSchema } from '../../../src/backends/gce/job-document.ts';
import { jobRequest, limitOf, profileOf } from '../../../src/backends/gce/job-request.ts';
import { diskFolder, MACHINE } from '../../../src/backends/gce/machine-places.ts';
import type { RunSpec } from '../../../src/backends/port.ts';
import { GCE_PROFILES } from '../../../src/config/gce-profiles.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { createRentedRig } from './rented-rig.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

const SPEC: RunSpec = {
  runId: 'stage-0123456789ab',
  attempt: 2,
  workspace: 'exp',
  version: 'v3',
  stage: 'train',
  profile: 'cpu-small',
  command: ['python', '-m', 'modules.train', '$(touch /tmp/x); "quoted"'],
  codeDir: '/nowhere/code',
  attemptDir: '/nowhere/attempt',
  checkpointsDir: '/nowhere/checkpoints',
  config: { text: '$HOME `id` \n' },
  environment: { MODE: '$(id)' },
  secrets: { TOKEN: 'hush-hush-hush' },
  inputs: [],
  outputs: [
    { name: 'model', type: 'directory', fileName: 'model' },
    { name: 'report', type: 'json', fileName: 'report.json' },
  ],
  resources: { nodes: 1, memoryBytes: null, cpus: 8, gpus: 0, pidsLimit: 100, network: false },
  runtime: { key: 'k', description: 'an image', data: {} },
  timeoutSeconds: 60,
  stopGraceSeconds: 10,
  wakeSocket: '/nowhere/socket',
};

const STORED = { object: 'objects/x', sha256: 'ab'.repeat(32), size: 1 };

function documentOf(change: Partial<RunSpec> = {}) {
  const spec = { ...SPEC, ...change };
  return jobDocument({
    spec,
    prefix: 'runs/stage-0123456789ab/2/',
    profile: {
      name: 'cpu-small',
      profile: { ...GCE_PROFILES['cpu-small']!, preflight: [['nvidia-smi', '-L']] },
    },
    runtime: {
      image: DIGEST,
      python: true,
      pythonPath: '',
      reference: `europe-docker.pkg.dev/p/r/goldfish@${DIGEST}`,
    },
    program: 'cd'.repeat(32),
    code: STORED,
    inputs: [{ ...STORED, fileName: 'x.csv', kind: 'file' }],
    checkpoints: [],
    syncSeconds: 10,
    user: '1000:1001',
    projectMark: 'gf-1',
  });
}

it('says all of a job in one document that the worker program takes', () => {
  const document = jobSchema.parse(documentOf());
  expect(document).toMatchObject({
    limitSeconds: limitOf(SPEC),
    image: { reference: `europe-docker.pkg.dev/p/r/goldfish@${DIGEST}`, login: 'metadata' },
    user: { uid: 1000, gid: 1001 },
    folders: ['attempt/outputs', 'attempt/control', 'attempt/tmp', 'attempt/outputs/model'],
    preflight: [['nvidia-smi', '-L']],
    secrets: true,
    outputs: [
      { path: 'attempt/outputs/model', kind: 'folder' },
      { path: 'attempt/outputs/report.json', kind: 'file' },
    ],
  });
});

it('holds no secret, and words of a command as they are', () => {
  const document = documentOf();
  expect(JSON.stringify(document)).not.toContain('hush');
  const [container] = document.containers;
  expect(container?.body['Cmd']).toContain('$(touch /tmp/x); "quoted"');
  expect(container?.body['Env']).toContain('MODE=$(id)');
  expect(container?.body['Env']).toContain('GOLDFISH_KEPT=wait');
});

it('shuts the container in as the docker backend does, on paths of the machine', () => {
  const { HostConfig: host, User: user } = documentOf().containers[0]!.body as Record<string, unknown>;
  expect(user).toBe('1000:1001');
  expect(host).toMatchObject({
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: ['no-new-privileges:true'],
    NetworkMode: 'none',
    PidsLimit: 101,
    // The machine has four: more would be refused by its engine.
    NanoCpus: 4e9,
  });
  const sources = (host as { Mounts: { Source: string }[] }).Mounts.map(({ Source }) => Source);
  expect(sources.every((source) => source.startsWith('/var/lib/goldfish/'))).toBe(true);
});

it('signs in to registries of Google only', () => {
  const login = (reference: string): string =>
    jobDocument({ ...partsOf(), runtime: { ...partsOf().runtime, reference } }).image.login;
  expect(login(`europe-docker.pkg.dev/p/r/goldfish@${DIGEST}`)).toBe('metadata');
  expect(login(`gcr.io/p/goldfish@${DIGEST}`)).toBe('metadata');
  expect(login(`127.0.0.1:5000/goldfish@${DIGEST}`)).toBe('none');
  expect(login(`pkg.dev.example.com/goldfish@${DIGEST}`)).toBe('none');
});

function partsOf() {
  return {
    spec: SPEC,
    prefix: 'p/',
    profile: { name: 'cpu-small', profile: GCE_PROFILES['cpu-small']! },
    runtime: { image: DIGEST, python: true, pythonPath: '', reference: '' },
    program: 'cd'.repeat(32),
    code: STORED,
    inputs: [],
    checkpoints: [],
    syncSeconds: 10,
    user: '1000:1000',
    projectMark: 'gf-1',
  };
}

it('gives each rank a container and folders of its own', () => {
  const document = documentOf({ resources: { ...SPEC.resources, nodes: 2 } });
  expect(document.containers.map(({ name }) => name)).toEqual([
    'goldfish-stage-0123456789ab-2',
    'goldfish-stage-0123456789ab-2-r1',
  ]);
  expect(document.folders).toContain('attempt/ranks/1/outputs');
  expect(document.files.map(({ path }) => path)).toEqual([
    'attempt/config.json',
    'attempt/ranks/1/config.json',
  ]);
});

it('gives each rank the data disks of its profile, where that says, to be written to', () => {
  const parts = partsOf();
  const dataDisks = [{ name: 'cache', sizeGb: 100, type: 'pd-ssd', mount: '/mnt/cache' }];
  const profile = { ...parts.profile, profile: { ...parts.profile.profile, dataDisks } };
  const spec = { ...SPEC, resources: { ...SPEC.resources, nodes: 2 } };
  const { containers } = jobDocument({ ...parts, profile, spec });
  const mounts = containers.map(
    ({ body }) => (body as { HostConfig: { Mounts: object[] } }).HostConfig.Mounts,
  );
  const disk = {
    Type: 'bind',
    Source: '/var/lib/goldfish/disks/cache/stage',
    Target: '/mnt/cache',
    ReadOnly: false,
  };
  expect(mounts.map((of) => of.at(-1))).toEqual([disk, disk]);
  const plain = jobDocument({ ...parts, spec }).containers[0]!.body as { HostConfig: { Mounts: object[] } };
  expect(mounts[0]).toEqual([...plain.HostConfig.Mounts, disk]);
});

it('names the places of a machine as the worker program has them', () => {
  const places = readFileSync(assetPath('runtime/worker/worker_places.py'), 'utf8');
  const bootstrap = readFileSync(assetPath('runtime/worker/bootstrap.py'), 'utf8');
  expect(bootstrap).toContain('"GOLDFISH_WORKER_ROOT", "/var/lib/goldfish"');
  for (const [name, below] of [
    ['JOB', 'ROOT, "job"'],
    ['ATTEMPT', 'JOB, "attempt"'],
    ['CODE', 'JOB, "code"'],
    ['INPUTS', 'JOB, "inputs"'],
    ['CHECKPOINTS', 'JOB, "checkpoints"'],
    ['DISKS', 'ROOT, "disks"'],
  ])
    expect(places).toContain(`${name} = os.path.join(${below})`);
  expect(places).toContain(`"${MACHINE.engine}"`);
  expect(MACHINE).toMatchObject({ job: '/var/lib/goldfish/job', attempt: '/var/lib/goldfish/job/attempt' });
  const disks = readFileSync(assetPath('runtime/worker/worker_disks.py'), 'utf8');
  expect(disks).toContain('os.path.join(DISKS, name, "stage")');
  expect(diskFolder('cache')).toBe('/var/lib/goldfish/disks/cache/stage');
});

it('asks for a machine of the stage’s profile, and of cpu-small where that is a local one', () => {
  const rig = createRentedRig();
  try {
    const of = (profile: string, program = 'a') => {
      const named = profileOf(rig.deps, profile);
      return jobRequest(rig.deps, { ...SPEC, profile }, { ...named, program, digest: DIGEST });
    };
    expect(of('h100-spot')).toMatchObject({ profile: 'h100-spot', models: ['spot'], images: [DIGEST] });
    expect(of('default')).toMatchObject({
      profile: 'cpu-small',
      models: ['standard'],
      capacityWaitSeconds: 600,
    });
    expect(of('default').shape).not.toBe(of('h100-spot').shape);
    // Its containers are given folders of the worker program that it was rented with.
    expect(of('default').shape).not.toBe(of('default', 'b').shape);
    expect(of('default').maxSeconds).toBe(60 + 10 + 3_600 + 900);
    const longer = jobRequest(
      rig.deps,
      { ...SPEC, capacityWaitSeconds: 7 },
      { ...profileOf(rig.deps, 'x'), program: 'a', digest: DIGEST },
    );
    expect(longer.capacityWaitSeconds).toBe(7);
  } finally {
    rig.dispose();
  }
});
