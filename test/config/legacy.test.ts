import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/load-config.ts';
import { formatPlace, type Problem } from '../../src/config/problem.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-config-'));
});
afterEach(() => rm(root, { recursive: true }));

async function check(text: string) {
  await writeFile(join(root, 'goldfish.yaml'), `project_name: p\n${text}`);
  const { loaded, problems, notes } = await checkConfig({ root, cpus: 4, environment: {} });
  return { config: loaded?.config, settings: loaded?.settings, problems: said(problems), notes: said(notes) };
}

function said(problems: readonly Problem[]): string[] {
  return problems.map((problem) => `${formatPlace(problem)} ${problem.message} ${problem.hint}`);
}

describe('a config of the earlier system', () => {
  it('may call containers on this machine "local"', async () => {
    const { config, settings, problems, notes } = await check(
      'defaults: { backend: local }\nprofiles: { big: { backend: local } }\n',
    );
    expect(problems).toEqual([]);
    expect(config?.defaults.backend).toBe('docker');
    expect(config?.profiles['big']?.backend).toBe('docker');
    expect(settings?.find(({ key }) => key === 'defaults.backend')).toEqual({
      key: 'defaults.backend',
      value: 'docker',
      origin: 'goldfish.yaml:2',
    });
    expect(notes).toEqual([
      'goldfish.yaml:2:22 The backend "local" is called "docker" now, and is read as that. Write docker, or process for stages without containers.',
      'goldfish.yaml:3:29 The backend "local" is called "docker" now, and is read as that. Write docker, or process for stages without containers.',
    ]);
  });

  it('keeps the effect of what moved from "jobs", each with a sentence about its place', async () => {
    const { config, settings, problems, notes } = await check(`jobs:
  backend: local
  container_memory: 8g
  container_cpus: "1.5"
  container_pids: 200
  infra_path: ../infra
  experiments_dir: experiments
`);
    expect(problems).toEqual([]);
    expect(config?.defaults.backend).toBe('docker');
    expect(config?.docker).toMatchObject({ memoryBytes: 8 * 1024 ** 3, cpus: 1.5, pidsLimit: 200 });
    expect(settings?.find(({ key }) => key === 'docker.cpus')).toEqual({
      key: 'docker.cpus',
      value: 1.5,
      origin: 'goldfish.yaml:5',
    });
    expect(notes.toSorted()).toMatchInlineSnapshot(`
      [
        "goldfish.yaml:3:12 The backend "local" is called "docker" now, and is read as that. Write docker, or process for stages without containers.",
        "goldfish.yaml:3:3 "jobs.backend" is "defaults.backend" now. Move it to "defaults.backend".",
        "goldfish.yaml:4:3 "jobs.container_memory" is "docker.memory" now. Move it to "docker.memory".",
        "goldfish.yaml:5:3 "jobs.container_cpus" is "docker.cpus" now. Move it to "docker.cpus".",
        "goldfish.yaml:6:3 "jobs.container_pids" is "docker.pids_limit" now. Move it to "docker.pids_limit".",
        "goldfish.yaml:7:3 "jobs.infra_path" is not read any more. It is not needed: nothing is started through scripts. Remove it.",
        "goldfish.yaml:8:3 "jobs.experiments_dir" is not read any more. It is not needed: outputs are kept under storage.local.path. Remove it.",
      ]
    `);
  });

  it('is told what became of the sections without a counterpart, and loads', async () => {
    const { config, problems, notes } = await check(`dev_repo_path: ../dev
workspaces_dir: workspaces
state_md: { path: STATE.md }
svs: { enabled: true }
pre_run_review: { enabled: false }
local:
  storage: { root: .local_gcs }
  compute: { docker_socket: /var/run/docker.sock }
  signaling: {}
  other: 1
jobs:
`);
    expect(problems).toEqual([]);
    expect(config?.defaults.backend).toBe('auto');
    expect(notes.toSorted()).toMatchInlineSnapshot(`
      [
        "goldfish.yaml:10:3 "local.signaling" is not read any more. It is not needed: nothing is simulated any more. Remove it.",
        "goldfish.yaml:11:3 "local.other" is not read any more. It has no counterpart. Remove it.",
        "goldfish.yaml:2:1 "dev_repo_path" is not read any more. It is not needed: versions lie in the hidden store of the project. Remove it.",
        "goldfish.yaml:3:1 "workspaces_dir" is not read any more. It is not needed: the slots are always below workspaces/. Remove it.",
        "goldfish.yaml:4:1 "state_md" is not read any more. STATE.md arrives in a later version. Remove it.",
        "goldfish.yaml:5:1 "svs" is not read any more. It is "validation" now, which arrives in a later version. Remove it.",
        "goldfish.yaml:6:1 "pre_run_review" is not read any more. It is "validation.review" now, which arrives in a later version. Remove it.",
        "goldfish.yaml:8:3 "local.storage" is not read any more. It is not needed: storage.local.path says where outputs are kept. Remove it.",
        "goldfish.yaml:9:3 "local.compute" is not read any more. Its docker_socket is "docker.host" now, as unix:///…; nothing is simulated any more. Remove it.",
      ]
    `);
  });

  it('names the bucket of rented machines with a top-level "gcs", and is told that outputs stay here', async () => {
    const { config, settings, problems, notes } = await check(
      'gcs: { bucket: my-bucket, sources_prefix: s/, artifacts_prefix: a/ }\n',
    );
    expect(problems).toEqual([]);
    expect(config?.storage).toMatchObject({
      backend: 'local',
      gcs: { bucket: 'my-bucket', prefix: '', apiEndpoint: null },
    });
    expect(settings?.find(({ key }) => key === 'storage.gcs.bucket')).toEqual({
      key: 'storage.gcs.bucket',
      value: 'my-bucket',
      origin: 'goldfish.yaml:2',
    });
    expect(notes.toSorted()).toEqual([
      'goldfish.yaml:2:1 "gcs" is "storage.gcs" now, the bucket of rented machines. Outputs are kept on this machine. Move it to "storage.gcs".',
      'goldfish.yaml:2:27 "gcs.sources_prefix" is not read: sources and outputs are kept on this machine. Remove it.',
      'goldfish.yaml:2:47 "gcs.artifacts_prefix" is not read: sources and outputs are kept on this machine. Remove it.',
    ]);
  });

  it('is told where a bucket that it names wrongly stands', async () => {
    expect((await check('gcs: { bucket: "gs://b" }\n')).problems).toEqual([
      expect.stringMatching(
        /^goldfish\.yaml:2:16 "storage\.gcs\.bucket" must be the name of a bucket, without gs:/,
      ),
    ]);
    expect((await check('gcs: {}\n')).problems).toEqual([
      'goldfish.yaml:2:1 "storage.gcs.bucket" is missing. It must be the name of a bucket, without gs://.',
    ]);
  });

  it('keeps outputs where "storage" says, whatever a top-level "gcs" says', async () => {
    const { config, problems, notes } = await check('gcs: { bucket: b }\nstorage: { backend: local }\n');
    expect(problems).toEqual([]);
    expect(config?.storage.backend).toBe('local');
    expect(notes).toEqual([
      'goldfish.yaml:2:1 "gcs" is not read: "storage" says where outputs are kept. Remove it.',
    ]);
  });

  it.each([
    ['storage: { backend: s3 }', 'storage.backend', 's3', 'local'],
    ['storage: { backend: azure }', 'storage.backend', 'azure', 'local'],
    ['storage: { backend: gcs }', 'storage.backend', 'gcs', 'local'],
    [
      'defaults: { backend: kubernetes }',
      'defaults.backend',
      'kubernetes',
      'auto or process or docker or gce',
    ],
  ])('is refused, as not built yet, with %s', async (line, key, word, instead) => {
    const { problems } = await check(`${line}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`"${key}" must be `);
    expect(problems[0]).toContain(`not "${word}". "${word}" is not built yet; use ${instead}.`);
  });

  it('runs on rented machines where it says so, once they are configured', async () => {
    const backend = 'jobs: { backend: gce }\n';
    expect((await check(backend)).problems).toEqual([
      'goldfish.yaml:2:18 "defaults.backend" is gce, and there is no section "gce". Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.',
    ]);
    const sections = `gcs: { bucket: my-bucket }
gce:
  { project_id: my-project, zones: [us-east1-b], service_account: default,
    artifact_registry: us-docker.pkg.dev/my-project/images }
`;
    const { config, problems } = await check(`${backend}${sections}`);
    expect(problems).toEqual([]);
    expect(config?.defaults.backend).toBe('gce');
    expect(config?.gce?.projectId).toBe('my-project');
  });

  it('cannot say a thing in the old and in the new place', async () => {
    const { problems } = await check('jobs: { backend: local }\ndefaults: { backend: process }\n');
    expect(problems).toEqual([
      'goldfish.yaml:2:9 "jobs.backend" is "defaults.backend" now, which stands in this file too. Remove "jobs.backend".',
    ]);
  });

  it('is refused where a section it moves to is none', async () => {
    const { problems } = await check('jobs: { container_pids: 200 }\ndocker: 7\n');
    expect(problems).toEqual([
      expect.stringMatching(/^goldfish\.yaml:3:9 "docker" must be a mapping, not 7\./),
    ]);
  });
});
