import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { waitsFor } from '../../src/runs/admit.ts';
import { listProfiles } from '../../src/runs/list-profiles.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { previewRun } from '../../src/runs/plan-preview.ts';
import { validateStages } from '../../src/runs/validate-stages.ts';
import { toPlanRow } from '../../src/tools/run-plan.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { twoBackends } from '../support/two-backends.ts';

const GIB = 1024 ** 3;
let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({
    config: `docker: { memory: 3g }
profiles:
  big: { memory: 8g, cpus: 8, network: bridge }
  gpu: { gpus: 1, description: One GPU, price_per_hour: 2.5 }
  own: { image: my/own:1 }
`,
    files: {
      'pipeline.yaml': 'stages:\n  - name: one\n    outputs: { a: json }\n  - name: two\n',
      'modules/one.py': 'pass\n',
      'modules/two.py': 'pass\n',
    },
  });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open();
  project.deps.backends = twoBackends(project.deps.backends, project.fake);
});
afterEach(() => project.dispose());

const plan = async (request: Partial<RunRequest> = {}) => {
  const asked = {
    workspace: 'exp',
    reason: 'A look before the run',
    useCache: true,
    stages: ['one'],
    ...request,
  };
  const { stages } = await previewRun(project.deps, asked);
  const [first] = stages;
  if (!first) throw new Error('no stage was planned');
  return first.plan;
};
const refusal = async (request: Partial<RunRequest>) => {
  const error: unknown = await plan(request).catch((thrown: unknown) => thrown);
  if (!isGoldfishError(error)) throw error;
  const { code, message, hint } = error;
  return { code, message, hint };
};
const compute = (values: object): Partial<RunRequest> => ({
  configOverride: { one: { compute: { ...values } } },
});

/** From now on `boxes` has machines that have to be found first. */
function boxesWait(): void {
  const { backends } = project.deps;
  project.deps.backends = {
    ...backends,
    get: async (name) => {
      const backend = await backends.get(name);
      const capabilities = { ...backend.capabilities, hasLaunchDelay: name === 'boxes' };
      return { ...backend, capabilities };
    },
  };
}

describe('a planned stage', () => {
  it('has what its backend gives where nobody says anything, each with its origin', async () => {
    const { compute: given, origins, image, environmentKey } = await plan({ backend: 'boxes' });
    expect(given).toEqual({
      profile: 'default',
      backend: 'boxes',
      nodes: 1,
      timeoutSeconds: 3600,
      heartbeatTimeoutSeconds: null,
      stopGraceSeconds: 10,
      memoryBytes: 4 * GIB,
      cpus: 2,
      gpus: 0,
      pidsLimit: 100,
      network: false,
    });
    expect(origins).toEqual({
      profile: 'built-in',
      backend: 'call',
      nodes: 'built-in',
      timeout_seconds: 'built-in',
      heartbeat_timeout_seconds: 'built-in',
      stop_grace_seconds: 'built-in',
      memory: 'goldfish.yaml:2',
      cpus: 'built-in',
      gpus: 'built-in',
      pids_limit: 'built-in',
      network: 'built-in',
      image: 'built-in',
    });
    expect([image, environmentKey]).toEqual([null, 'sha256:boxes:base']);
  });

  it('has no limits on a backend that gives none', async () => {
    expect((await plan()).compute).toMatchObject({
      backend: 'process',
      memoryBytes: null,
      cpus: null,
      pidsLimit: null,
      network: true,
    });
  });

  it('has what its profile says, and what the backend gives for the rest', async () => {
    const {
      compute: given,
      origins,
      image,
      environmentKey,
    } = await plan({ backend: 'boxes', profile: 'big' });
    expect(given).toMatchObject({
      profile: 'big',
      memoryBytes: 8 * GIB,
      cpus: 8,
      network: true,
      pidsLimit: 100,
    });
    expect(origins).toMatchObject({ profile: 'call', memory: 'profile big', pids_limit: 'built-in' });
    expect([image, environmentKey]).toEqual(['my/big:1', 'sha256:boxes:my/big:1']);
  });

  it('runs in the image it names before that of its profile', async () => {
    project.write('pipeline.yaml', 'stages:\n  - name: one\n    image: its/own:2\n');
    const own = await plan({ backend: 'boxes', profile: 'own' });
    expect([own.image, own.environmentKey, own.origins?.['image']]).toEqual([
      'its/own:2',
      'sha256:boxes:its/own:2',
      'pipeline.yaml:3',
    ]);
    project.write('pipeline.yaml', 'stages:\n  - name: one\n');
    expect((await plan({ backend: 'boxes', profile: 'own' })).image).toBe('my/own:1');
  });

  it('is the plan that is stored, whatever its limits', async () => {
    const request = { backend: 'boxes', profile: 'big', ...compute({ nodes: 2, gpus: 1 }), stages: ['one'] };
    const { runs, pipelineRun } = await project.submit(request);
    expect(runs[0]).toMatchObject({ backend: 'boxes', profile: 'big', plan: await plan(request) });
    expect(await project.submit(request)).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: pipelineRun.id },
    });
  });

  it.each<[string, Partial<RunRequest>]>([
    ['profile', { profile: 'big' }],
    ['backend', { backend: 'boxes' }],
    ['memory', compute({ memory: '1g' })],
    ['ranks', { backend: 'boxes', ...compute({ nodes: 2 }) }],
    ['monitor', compute({ monitors: { non_finite: { action: 'stop' } } })],
  ])('makes another call with another %s', async (_, request) => {
    expect(await project.submit(request)).toMatchObject({ deduplicated: false });
  });

  it('says nothing of monitors where they are what is built in, also by words, and is the same call then', async () => {
    const byWords = compute({ monitors: { stall: { action: 'warn' }, divergence: { factor: 10 } } });
    expect((await plan(byWords)).compute).toEqual((await plan()).compute);
    expect((await plan()).compute).not.toHaveProperty('monitors');
    const first = await project.submit({ stages: ['one'] });
    expect(await project.submit({ stages: ['one'], ...byWords })).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: first.pipelineRun.id },
    });
  });

  it('says how long a place for its machine is looked for only where there is one to look for', async () => {
    const here = (await plan({ backend: 'boxes', ...compute({ capacity_wait_seconds: 5 }) })).compute;
    expect(here).toEqual((await plan({ backend: 'boxes' })).compute);
    expect(here).not.toHaveProperty('capacityWaitSeconds');
    boxesWait();
    const usual = await plan({ backend: 'boxes' });
    expect([usual.compute.capacityWaitSeconds, usual.origins?.['capacity_wait_seconds']]).toEqual([
      600,
      'built-in',
    ]);
    const own = await plan({ backend: 'boxes', ...compute({ capacity_wait_seconds: 0 }) });
    expect([own.compute.capacityWaitSeconds, own.origins?.['capacity_wait_seconds']]).toEqual([
      0,
      'config_override',
    ]);
    const first = await project.submit({ backend: 'boxes' });
    const again = compute({ capacity_wait_seconds: 600 });
    expect(await project.submit({ backend: 'boxes', ...again })).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: first.pipelineRun.id },
    });
  });

  it('shows, in a dry run, the monitors that differ from what is built in, and what says so', async () => {
    const monitors = { stall: { after_seconds: 60 }, non_finite: { action: 'warn' } };
    const { stages } = await previewRun(project.deps, {
      workspace: 'exp',
      reason: 'A look before the run',
      useCache: true,
      stages: ['one'],
      ...compute({ monitors }),
    });
    expect(stages.map(toPlanRow)).toMatchObject([
      {
        monitors: { stall: { action: 'warn', after_seconds: 60 } },
        origins: { 'monitors.stall.after_seconds': 'config_override' },
      },
    ]);
    expect(Object.keys(stages.map(toPlanRow)[0]?.monitors ?? {})).toEqual(['stall']);
  });

  it('is the same result with other limits, and another one in another image', async () => {
    await project.tick();
    await project.complete(project.runOf(prepared.first, 'one').id);
    const reason = async (request: Partial<RunRequest>) => {
      const asked = { workspace: 'exp', reason: 'A look before the run', useCache: true, stages: ['one'] };
      const { stages } = await previewRun(project.deps, { ...asked, ...request });
      return stages.map(({ action, reason }) => `${action}: ${reason}`).join();
    };
    expect(await reason({ ...compute({ memory: '1g', cpus: 1 }) })).toMatch(/^reuse: /);
    expect(await reason({ ...compute({ monitors: { stall: { after_seconds: 60 } } }) })).toMatch(/^reuse: /);
    expect(await reason({ profile: 'big' })).toMatch(/^reuse: /);
    expect(await reason({ backend: 'boxes' })).toMatch(/^run: changed since stage-\w+: image$/);
  });
});

describe('what a backend cannot give', () => {
  it.each<[Partial<RunRequest>, string, string]>([
    [
      compute({ nodes: 3 }),
      'one asks for 3 ranks; the backend "process" runs one rank at most.',
      'Set compute.nodes to 1 or less, or compute.backend to one that runs more.',
    ],
    [
      { backend: 'boxes', ...compute({ nodes: 5 }) },
      'one asks for 5 ranks; the backend "boxes" runs 4 ranks at most.',
      'Set compute.nodes to 4 or less, or compute.backend to one that runs more.',
    ],
    [
      { profile: 'gpu' },
      'one asks for 1 GPU; the backend "process" has none here.',
      'Set compute.gpus to 0, or compute.profile or compute.backend to one with more.',
    ],
    [
      { backend: 'boxes', ...compute({ nodes: 2, gpus: 2 }) },
      'one asks for 4 GPUs; the backend "boxes" has 2 here.',
      'Set compute.gpus to 1 or less, or compute.profile or compute.backend to one with more.',
    ],
    [
      { backend: 'boxes', ...compute({ timeout_seconds: 999_991 }) },
      'one may take 999991 s, with 10 s to stop; the backend "boxes" runs 1000000 s at most.',
      'Set compute.timeout_seconds to 999990 or less, or compute.backend to one that runs longer.',
    ],
    [
      { profile: 'own' },
      'one is to run in the image "my/own:1" of its profile own; the backend "process" runs in none.',
      'Set compute.backend to one that runs containers, or take the image away.',
    ],
  ])('is refused before anything is stored: %j', async (request, message, hint) => {
    expect(await refusal(request)).toEqual({ code: 'NOT_SUPPORTED', message, hint });
    const before = project.db.prepare<{ n: number }>('SELECT count(*) AS n FROM pipeline_runs').get();
    await expect(project.submit(request)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    expect(project.db.prepare<{ n: number }>('SELECT count(*) AS n FROM pipeline_runs').get()).toEqual(
      before,
    );
  });

  it('is no more time than it has, grace included', async () => {
    const longest = { backend: 'boxes', ...compute({ timeout_seconds: 999_990 }) };
    expect((await plan(longest)).compute.timeoutSeconds).toBe(999_990);
  });

  it('is a search for a machine that leaves no time to boot it', async () => {
    boxesWait();
    const asked = (seconds: number) => ({ backend: 'boxes', ...compute({ capacity_wait_seconds: seconds }) });
    expect((await plan(asked(2400))).compute.capacityWaitSeconds).toBe(2400);
    expect(await refusal(asked(2401))).toEqual({
      code: 'NOT_SUPPORTED',
      message:
        'one may wait 2401 s for a machine; with 300 s for its boot that is more than defaults.launch_timeout_seconds (2700).',
      hint: 'Set compute.capacity_wait_seconds to 2400 or less, or raise defaults.launch_timeout_seconds.',
    });
    project.write('configs/one.yaml', 'compute:\n  backend: boxes\n  capacity_wait_seconds: 2401\n');
    const { problems } = await validateStages(project.deps, {
      files: project.deps.workspaces.slotFiles('w1'),
    });
    expect(problems.map(({ file, line }) => `${file}:${line}`)).toEqual(['configs/one.yaml:3']);
  });

  it('is a rented machine where none are configured, which says what to set', async () => {
    expect(await refusal({ backend: 'gce' })).toEqual({
      code: 'BACKEND_UNAVAILABLE',
      message: 'The backend "gce" is not configured.',
      hint: 'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.',
    });
  });

  it('is shown by validation at the key that asks for it', async () => {
    project.write('pipeline.yaml', 'stages:\n  - name: one\n    image: its/own:2\n  - name: two\n');
    project.write('configs/two.yaml', 'k: 1\ncompute:\n  nodes: 2\n  gpus: 1\n');
    const files = project.deps.workspaces.slotFiles('w1');
    const { problems, notes } = await validateStages(project.deps, { files });
    expect(problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`)).toEqual(
      [
        'pipeline.yaml:3:12 one is to run in the image "its/own:2"; the backend "process" runs in none.',
        'configs/two.yaml:3:3 two asks for 2 ranks; the backend "process" runs one rank at most.',
        'configs/two.yaml:4:3 two asks for 2 GPUs; the backend "process" has none here.',
      ],
    );
    expect(notes).toEqual([]);
  });
});

describe('a profile', () => {
  it.each([
    ['bigg', 'PROFILE_UNKNOWN', 'Unknown profile "bigg".', 'Did you mean "big"?'],
    ['h100-spt', 'PROFILE_UNKNOWN', 'Unknown profile "h100-spt".', 'Did you mean "h100-spot"?'],
    [
      'a100-on-demand',
      'NOT_SUPPORTED',
      'The profile "a100-on-demand" needs a rented machine, and the backend "gce" is not configured.',
      'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml. Or take a local profile, or define this one under "profiles".',
    ],
  ])('%s is refused as %s', async (profile, code, message, hint) => {
    expect(await refusal({ profile })).toEqual({ code, message, hint });
  });

  it('is listed with what it means here, by the resolver that plans use', async () => {
    const listed = await listProfiles(project.deps, {});
    expect(listed.map(({ name, available }) => [name, available])).toEqual([
      ['default', true],
      ['cpu-small', true],
      ['cpu-large', true],
      ['big', true],
      ['gpu', false],
      ['own', false],
      ['h100-spot', false],
      ['h100-on-demand', false],
      ['a100-spot', false],
      ['a100-on-demand', false],
    ]);
    for (const { name, given, available } of listed) {
      if (!available || given === null) continue;
      const { compute: planned } = await plan({ configOverride: { one: { compute: { profile: name } } } });
      expect(given.compute).toEqual(planned);
    }
    expect(listed.find(({ name }) => name === 'gpu')).toMatchObject({
      description: 'One GPU',
      pricePerHour: 2.5,
      why: 'A stage of this profile asks for 1 GPU; the backend "process" has none here.',
    });
  });

  it('is listed as on another backend where one is named', async () => {
    const listed = await listProfiles(project.deps, { backend: 'boxes' });
    const gpu = listed.find(({ name }) => name === 'gpu');
    expect(gpu).toMatchObject({
      available: true,
      given: { compute: { backend: 'boxes', gpus: 1, cpus: 2 } },
    });
  });
});

describe('GPUs', () => {
  it('are counted over all ranks of all runs, and a run that finds too few free waits and says so', async () => {
    const gpus = { backend: 'boxes', useCache: false, stages: ['one'] };
    const first = await project.submit({ ...gpus, ...compute({ gpus: 1, nodes: 2 }) });
    const second = await project.submit({ ...gpus, ...compute({ gpus: 1 }) });
    await project.tick();
    const holding = project.runOf(first.pipelineRun.id, 'one');
    const waiting = project.runOf(second.pipelineRun.id, 'one');
    expect([holding.state, waiting.state]).toEqual(['launching', 'pending']);
    expect(waitsFor(project.deps, waiting)).toBe('backend boxes: 2 of 2 GPUs busy');
    await project.complete(holding.id);
    await project.tick();
    expect(project.run(waiting.id).state).toBe('launching');
  });
});
