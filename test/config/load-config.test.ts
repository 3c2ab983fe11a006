import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConfig, loadConfig } from '../../src/config/load-config.ts';
import { renderNewConfig } from '../../src/config/new-config.ts';
import { formatPlace } from '../../src/config/problem.ts';
import { configKeys } from '../../src/config/schema.ts';
import { isGoldfishError } from '../../src/core/errors.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-config-'));
});
afterEach(() => rm(root, { recursive: true }));

async function load(text: string) {
  await writeFile(join(root, 'goldfish.yaml'), text);
  return loadConfig({ root, cpus: 4 });
}

async function problemsOf(text: string): Promise<string[]> {
  await writeFile(join(root, 'goldfish.yaml'), text);
  const { loaded, problems } = await checkConfig({ root });
  expect(loaded).toBeNull();
  return problems.map((problem) => `${formatPlace(problem)} ${problem.message} ${problem.hint}`);
}

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isGoldfishError(error)) throw new Error('expected a GoldfishError', { cause: error });
  return error;
}

describe('goldfish.yaml', () => {
  it('needs a name and nothing else', async () => {
    const { config } = await load('project_name: digits\n');
    expect(config).toEqual({
      projectName: 'digits',
      slots: ['w1', 'w2', 'w3'],
      stateDir: join(root, '.goldfish'),
      dataRoots: [],
      versions: { maxFileBytes: 50 * 1024 * 1024 },
      mcp: { toolsets: ['default'], readOnly: false, maxWaitSeconds: 50 },
      defaults: {
        backend: 'auto',
        profile: 'default',
        timeoutSeconds: 3600,
        heartbeatTimeoutSeconds: null,
        stopGraceSeconds: 10,
        maxParallel: null,
        maxRestarts: 0,
        launchTimeoutSeconds: 2700,
        capacityWaitSeconds: 600,
        logSyncSeconds: 10,
        monitors: {
          stall: { action: 'warn', afterSeconds: null },
          nonFinite: { action: 'warn', metrics: null },
          divergence: { action: 'off', metric: null, factor: 10, points: 5 },
        },
      },
      storage: {
        backend: 'local',
        local: { path: join(root, '.goldfish', 'objects') },
        gcs: null,
        keep: {
          daysFailedRuns: 30,
          daysStageCheckpoints: 14,
          daysUnusedEnvironments: 30,
          daysUnusedCheckouts: 7,
          maxBytes: null,
          minFreeBytes: 1024 ** 3,
        },
      },
      process: { sandbox: 'auto', python: 'python3', maxParallel: 4 },
      docker: {
        host: null,
        hostProblem: null,
        baseImage: 'python:3.12-slim',
        images: {},
        network: 'none',
        memoryBytes: 4 * 1024 ** 3,
        cpus: 2,
        pidsLimit: 100,
        user: '1000:1000',
        maxParallel: 4,
        gpus: 'auto',
      },
      gce: null,
      profiles: {},
      audit: { minReasonLength: 15 },
    });
  });

  it('sets what each key says', async () => {
    const { config } = await load(`project_name: p
slots: [left, right]
state_dir: /var/tmp/goldfish-state
data_roots: [/data, ../raw]
versions: { max_file_mb: 0.5 }
mcp: { toolsets: [core, all], read_only: true, max_wait_seconds: 5 }
defaults:
  { backend: process, profile: big, timeout_seconds: 1.5, heartbeat_timeout_seconds: 90, stop_grace_seconds: 0,
    max_parallel: 1, capacity_wait_seconds: 0, log_sync_interval: 2.5,
    monitors: { stall: { action: stop, after_seconds: 600 }, non_finite: { action: off, metrics: [loss, val/loss] },
                divergence: { action: warn, metric: loss, factor: 2.5, points: 3 } } }
storage:
  backend: local
  local: { path: outputs }
  gcs: { bucket: my-bucket, prefix: team, api_endpoint: "http://127.0.0.1:9/" }
  keep:
    { days_failed_runs: 0, days_stage_checkpoints: null, days_unused_environments: 1.5, days_unused_checkouts: 2,
      max_gb: 0.5, min_free_gb: 0 }
process: { sandbox: none, python: /usr/bin/python3, max_parallel: 1 }
docker:
  { host: tcp://127.0.0.1:2375, base_image: my/python:3, images: { big: my/torch@sha256:${'0a'.repeat(32)} }, network: bridge,
    memory: 512m, cpus: 0.5, pids_limit: 50, user: 500:600, max_parallel: 3, gpus: 2 }
profiles:
  big: { description: All of it, backend: docker, memory: 1g, cpus: 8, gpus: 1, pids_limit: 500, network: bridge,
         image: my/big, price_per_hour: 1.25 }
  small:
audit: { min_reason_length: 0 }
`);
    expect(config).toEqual({
      projectName: 'p',
      slots: ['left', 'right'],
      stateDir: '/var/tmp/goldfish-state',
      dataRoots: ['/data', join(root, '..', 'raw')],
      versions: { maxFileBytes: 512 * 1024 },
      mcp: { toolsets: ['core', 'all'], readOnly: true, maxWaitSeconds: 5 },
      defaults: {
        backend: 'process',
        profile: 'big',
        timeoutSeconds: 1.5,
        heartbeatTimeoutSeconds: 90,
        stopGraceSeconds: 0,
        maxParallel: 1,
        maxRestarts: 0,
        launchTimeoutSeconds: 2700,
        capacityWaitSeconds: 0,
        logSyncSeconds: 2.5,
        monitors: {
          stall: { action: 'stop', afterSeconds: 600 },
          nonFinite: { action: 'off', metrics: ['loss', 'val/loss'] },
          divergence: { action: 'warn', metric: 'loss', factor: 2.5, points: 3 },
        },
      },
      storage: {
        backend: 'local',
        local: { path: join(root, 'outputs') },
        gcs: { bucket: 'my-bucket', prefix: 'team/', apiEndpoint: 'http://127.0.0.1:9' },
        keep: {
          daysFailedRuns: 0,
          daysStageCheckpoints: null,
          daysUnusedEnvironments: 1.5,
          daysUnusedCheckouts: 2,
          maxBytes: 512 * 1024 ** 2,
          minFreeBytes: 0,
        },
      },
      process: { sandbox: 'none', python: '/usr/bin/python3', maxParallel: 1 },
      docker: {
        host: 'tcp://127.0.0.1:2375',
        hostProblem: null,
        baseImage: 'my/python:3',
        images: { big: `my/torch@sha256:${'0a'.repeat(32)}` },
        network: 'bridge',
        memoryBytes: 512 * 1024 ** 2,
        cpus: 0.5,
        pidsLimit: 50,
        user: '500:600',
        maxParallel: 3,
        gpus: 2,
      },
      gce: null,
      profiles: {
        big: {
          description: 'All of it',
          backend: 'docker',
          memoryBytes: 1024 ** 3,
          cpus: 8,
          gpus: 1,
          pidsLimit: 500,
          network: 'bridge',
          image: 'my/big',
          pricePerHour: 1.25,
        },
        small: {
          description: null,
          backend: null,
          memoryBytes: null,
          cpus: null,
          gpus: null,
          pidsLimit: null,
          network: null,
          image: null,
          pricePerHour: null,
        },
      },
      audit: { minReasonLength: 0 },
    });
  });

  it('makes a number of slots into names', async () => {
    expect((await load('project_name: p\nslots: 2\n')).config.slots).toEqual(['w1', 'w2']);
  });

  it('runs at least two stages at once on a machine with one processor', async () => {
    await writeFile(join(root, 'goldfish.yaml'), 'project_name: p\n');
    const { process, docker } = (await loadConfig({ root, cpus: 1 })).config;
    expect([process.maxParallel, docker.maxParallel]).toEqual([2, 2]);
  });

  it('keeps the objects in a state folder that moved', async () => {
    const { config } = await load('project_name: p\nstate_dir: ../elsewhere\n');
    expect(config.storage.local.path).toBe(join(root, '..', 'elsewhere', 'objects'));
  });

  it('allows a section with every key commented out', async () => {
    expect(
      (await load('project_name: p\ndefaults:\n  # timeout_seconds: 5\nstorage:\n  local:\n')).config.defaults
        .timeoutSeconds,
    ).toBe(3600);
  });

  it('knows where each value comes from', async () => {
    const { settings } = await load('project_name: p\n\ndefaults:\n  timeout_seconds: 60\n');
    const found = (key: string) => settings.find((setting) => setting.key === key);
    expect(found('defaults.timeout_seconds')).toEqual({
      key: 'defaults.timeout_seconds',
      value: 60,
      origin: 'goldfish.yaml:4',
    });
    expect(found('slots')).toEqual({ key: 'slots', value: ['w1', 'w2', 'w3'], origin: 'built-in' });
    expect(found('process.max_parallel')).toEqual({
      key: 'process.max_parallel',
      value: 4,
      origin: 'built-in',
    });
    expect(settings.map(({ key }) => key)).toEqual(configKeys().filter((key) => !key.includes('*')));
  });

  it('knows where each value of a profile and of a map of images comes from', async () => {
    const { settings } = await load(`project_name: p
docker:
  images:
    big: my/torch
profiles:
  big:
    gpus: 1
  small:
`);
    expect(settings.filter(({ key }) => /\.(big|small)/.test(key))).toEqual([
      { key: 'docker.images.big', value: 'my/torch', origin: 'goldfish.yaml:4' },
      { key: 'profiles.big.gpus', value: 1, origin: 'goldfish.yaml:7' },
    ]);
  });

  it('finds every problem at once', async () => {
    const found = await problemsOf(`project_nam: x
slots: [a, ../x, A]
mcp:
  toolsets: [core, al]
  http: {}
defaults:
  timeout_seconds: 1h
  backend: doker
  max_parallel: 0
experiments:
storage: { backend: gcs, local: { path: "\${env:X}" } }
process: { python: true, sandbox: bubblewarp }
audit: none
`);
    expect(found.toSorted()).toMatchInlineSnapshot(`
      [
        "goldfish.yaml:10:1 "experiments" arrives in a later version. Remove it for now.",
        "goldfish.yaml:11:21 "storage.backend" must be local, not "gcs". "gcs" is not built yet; use local.",
        "goldfish.yaml:11:41 A value from the environment ("\${env:…}") is not possible here. It may stand under "environment" of a stage config, and in settings of a connection such as docker.host.",
        "goldfish.yaml:12:20 "process.python" must be a path, not true. Put it in quotes.",
        "goldfish.yaml:12:35 "process.sandbox" must be one of auto, bubblewrap, none, not "bubblewarp". Did you mean "bubblewrap"?",
        "goldfish.yaml:13:8 "audit" must be a mapping, not "none". goldfish.example.yaml in the package shows every key with its default.",
        "goldfish.yaml:1:1 "project_name" is missing. It must be a name.",
        "goldfish.yaml:1:1 Unknown key "project_nam". Did you mean "project_name"?",
        "goldfish.yaml:2:12 "slots[1]" must be a name of up to 64 letters, digits, "-" or "_" that is no reserved word, not "../x". goldfish.example.yaml in the package shows every key with its default.",
        "goldfish.yaml:2:8 "slots" must name each slot once. goldfish.example.yaml in the package shows every key with its default.",
        "goldfish.yaml:4:20 "mcp.toolsets[1]" must be one of core, default, all, not "al". Did you mean "all"?",
        "goldfish.yaml:5:3 "http" arrives in a later version. Remove it for now.",
        "goldfish.yaml:7:20 "defaults.timeout_seconds" must be a number of seconds above 0 and at most a year, not "1h". Write the number alone, without a unit and without quotes.",
        "goldfish.yaml:8:12 "defaults.backend" must be one of auto, process, docker, gce, not "doker". Did you mean "docker"?",
        "goldfish.yaml:9:17 "defaults.max_parallel" must be a whole number from 1, or null for no limit, not 0. goldfish.example.yaml in the package shows every key with its default.",
      ]
    `);
  });

  it.each(['slots: 0', 'slots: 65', 'slots: 1.5', 'slots: []', 'slots: [a, A]', 'slots: {}', 'slots: [con]'])(
    'refuses %s',
    async (line) => {
      expect(await problemsOf(`project_name: p\n${line}\n`)).toHaveLength(1);
    },
  );

  it.each(['.', '..', '/', 'workspaces', 'workspaces/w1/.state', '~/state', '""', '"a\\0b"'])(
    'refuses the state folder %s',
    async (path) => {
      const [problem, ...more] = await problemsOf(`project_name: p\nstate_dir: ${path}\n`);
      expect(problem).toMatch(/^goldfish\.yaml:2:12 "state_dir" must /);
      expect(more).toEqual([]);
    },
  );

  it.each(['-x', '../x', 'con', '""', '7', 'a b', 'ü', 'x'.repeat(65)])(
    'refuses the project name %s',
    async (name) => {
      const [problem, ...more] = await problemsOf(`project_name: ${name}\n`);
      expect(problem).toMatch(/^goldfish\.yaml:1:15 "project_name" must be a name/);
      expect(more).toEqual([]);
    },
  );

  it.each(['[a, b]', 'text', '3'])('refuses a file that holds %s instead of keys', async (text) => {
    expect(await problemsOf(text)).toEqual([
      expect.stringMatching(/^goldfish\.yaml:1:1 "the file" must be a mapping of keys/),
    ]);
  });

  it.each([
    ['data_roots: [.goldfish/runs]', '2:14 "data_roots[0]" must not lie in the private state.'],
    ['data_roots: [/data, .goldfish]', '2:21 "data_roots[1]" must not lie in the private state.'],
    ['defaults: { profile: bigg }\nprofiles: { big: {} }', '2:22 Unknown profile "bigg".'],
    ['docker: { images: { cpu-smal: x } }', '2:21 Unknown profile "cpu-smal".'],
    [
      'defaults: { profile: h100-spot }',
      '2:22 The profile "h100-spot" needs a rented machine, and the backend "gce" is not configured.',
    ],
    ['profiles: { "a b": {} }', '2:11 "profiles" must have profile names for keys.'],
    ['profiles: { big: { memry: 1g } }', '2:20 Unknown key "memry".'],
    ['docker: { user: "0:0" }', '2:17 "docker.user" must be "user:group" as two numbers above 0'],
    ['docker: { host: "tcp://me:pass@host:1" }', '2:17 "docker.host" must be an address such as'],
    ['docker: { base_image: "-v" }', '2:23 "docker.base_image" must be the name of an image'],
    ['docker: { gpus: some }', '2:17 "docker.gpus" must be auto or a whole number from 0 to 64, not "some".'],
  ])('refuses %s', async (line, message) => {
    const found = await problemsOf(`project_name: p\n${line}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`goldfish.yaml:${message}`);
  });

  it('may name a profile of its own that has the name of a rented one', async () => {
    const { config } = await load(
      'project_name: p\ndefaults: { profile: h100-spot }\nprofiles: { h100-spot: { gpus: 1 } }\n',
    );
    expect(config.profiles['h100-spot']?.gpus).toBe(1);
  });

  it('names the first problem in the error and carries all of them', async () => {
    const error = await errorOf(load('project_name: p\nslot: 3\ndefault: {}\n'));
    expect(error.code).toBe('INVALID_CONFIG');
    expect(error.message).toBe('goldfish.yaml:2:1: Unknown key "slot". (and 1 more problem)');
    expect(error.hint).toBe('Did you mean "slots"?');
    expect(error.details['problems']).toHaveLength(2);
  });

  it('says how to make a project where there is none', async () => {
    const error = await errorOf(loadConfig({ root }));
    expect(error.code).toBe('PROJECT_NOT_FOUND');
    expect(error.fix?.tool).toBe('initialize_project');
  });

  it('refuses a folder or bytes that are no text in its place', async () => {
    await mkdir(join(root, 'goldfish.yaml'));
    expect((await errorOf(loadConfig({ root }))).message).toBe('goldfish.yaml: It is not a file.');
    await rm(join(root, 'goldfish.yaml'), { recursive: true });
    await writeFile(join(root, 'goldfish.yaml'), Buffer.from([0x70, 0xff, 0xfe]));
    expect((await errorOf(loadConfig({ root }))).message).toBe('goldfish.yaml: It is not UTF-8 text.');
  });
});

describe('the goldfish.yaml of a new project', () => {
  it.each(['digits', '007', 'null', '1e3', 'true', 'a-b_c'])('loads with the name %s', async (name) => {
    expect((await load(renderNewConfig(name))).config.projectName).toBe(name);
  });

  it('still loads with every comment made into a key', async () => {
    const text = renderNewConfig('p')
      .replaceAll(/^# (?=[a-z_]+:)/gm, '')
      .replaceAll(/^# {3}/gm, '  ');
    const { settings } = await load(text);
    expect(settings.filter(({ origin }) => origin !== 'built-in').map(({ key }) => key)).toEqual([
      'project_name',
      'slots',
      'defaults.timeout_seconds',
      'process.python',
    ]);
  });

  it.each(["x'\ny: 1", '../x', ''])('is refused for the name %j', (name) => {
    expect(() => renderNewConfig(name)).toThrow('is not a valid project name');
  });
});
