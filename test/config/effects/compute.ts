import { join } from 'node:path';
import { expect } from 'vitest';
import type { RunBackend } from '../../../src/backends/port.ts';
import { admitRuns, waitsFor } from '../../../src/runs/admit.ts';
import { createLoop } from '../../../src/supervisor/loop.ts';
import { createTestClock } from '../../support/test-clock.ts';
import { type Effects, effect } from './kit.ts';

const GIB = 1024 ** 3;

/** That a key of `section` gives a stage that says nothing the value it should, on an engine that is there. */
function gives(section: 'defaults' | 'docker', line: string, expected: object, title: string) {
  return effect(title, async (kit) => {
    const { host } = await kit.engine();
    const lines =
      section === 'docker'
        ? `docker: { ${host}, ${line} }\n`
        : `docker: { ${host} }\ndefaults: { ${line} }\nprofiles: { mine: { cpus: 3 } }\n`;
    expect(await kit.given(lines, { backend: 'docker' })).toMatchObject(expected);
  });
}

function ofProfile(line: string, expected: object, title: string) {
  return effect(title, async (kit) => {
    const { host } = await kit.engine();
    const text = `docker: { ${host}, images: { mine: "other:1" } }\nprofiles: { mine: { ${line} } }\n`;
    const found = await kit.profile(text, { backend: 'docker', name: 'mine' });
    expect({ ...found, ...found.given?.compute, image: found.given?.image }).toMatchObject(expected);
  });
}

/** How many of two stages are claimed at once, and what the other one says. */
function admits(config: string, blockedBy: string, title: string) {
  return effect(title, async (kit) => {
    const ctx = await kit.open(config);
    const { runs } = await kit.submit(ctx);
    expect(admitRuns(ctx.runsDeps)).toHaveLength(1);
    const waiting = runs.map(({ id }) => ctx.runs.inspect(id)).find(({ run }) => run.state === 'pending');
    expect(waiting?.blockedBy).toBe(blockedBy);
  });
}

/** A run as it waits, of a stage that asks for nothing. */
const PLANNED: Parameters<typeof waitsFor>[1] = {
  id: 'stage-1',
  pipelineRunId: 'prun-1',
  backend: 'docker',
  profile: 'default',
  attempt: 1,
  notBefore: null,
  plan: {
    stage: 'a',
    command: ['run'],
    config: {},
    compute: {
      backend: 'docker',
      profile: 'default',
      nodes: 1,
      timeoutSeconds: 60,
      stopGraceSeconds: 1,
      memoryBytes: null,
      cpus: null,
      gpus: 0,
      pidsLimit: null,
      network: false,
      heartbeatTimeoutSeconds: null,
    },
    environment: {},
    secrets: {},
    image: null,
    inputs: [],
    outputs: [],
    needs: [],
    cache: true,
    codeHash: 'sha256:c',
    environmentKey: 'sha256:e',
  },
};

const PROCESS = 'defaults: { backend: process }\n';

/** Of what stages run in and on. */
export const COMPUTE_EFFECTS: Effects = {
  'defaults.backend': effect('runs stages that name none', async (kit) => {
    const { host } = await kit.engine();
    const docker = `docker: { ${host} }\ndefaults: { backend: docker }\n`;
    expect(await kit.given(docker)).toMatchObject({ backend: 'docker' });
    const process = `docker: { ${host} }\nprocess: { sandbox: none }\n${PROCESS}`;
    expect(await kit.given(process)).toMatchObject({ backend: 'process' });
  }),
  'defaults.profile': gives(
    'defaults',
    'profile: mine',
    { profile: 'mine', cpus: 3 },
    'is that of stages that name none',
  ),
  'defaults.timeout_seconds': gives(
    'defaults',
    'timeout_seconds: 5',
    { timeoutSeconds: 5 },
    'is how long a stage may run',
  ),
  'defaults.launch_timeout_seconds': effect('is how long a run may take to begin', async (kit) => {
    const ctx = await kit.open('defaults: { backend: process, launch_timeout_seconds: 5 }\n');
    await kit.submit(ctx);
    const { clock, advance } = createTestClock();
    const [run] = admitRuns(ctx.runsDeps);
    // Building is never done; each look takes a second.
    const build: RunBackend['build'] = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        if (signal?.aborted) reject(signal.reason);
        else signal?.addEventListener('abort', () => reject(signal.reason));
      });
    const get = async (name: string) => ({ ...(await ctx.runsDeps.backends.get(name)), build });
    const deps = { ...ctx.runsDeps, clock, backends: { ...ctx.runsDeps.backends, get } };
    const options = { wakeSocket: null, signal: AbortSignal.timeout(30_000), wake: () => undefined };
    const loop = createLoop(deps, options);
    // However slow the machine is that prepares it meanwhile.
    const limit = performance.now() + 25_000;
    while (performance.now() < limit && ctx.runs.inspect(run?.id ?? '').run.endedAt === null) {
      await loop.tick();
      await new Promise((resolve) => setTimeout(resolve, 50));
      advance(1_000);
    }
    expect(ctx.runs.inspect(run?.id ?? '').run).toMatchObject({
      cause: 'launch_failed',
      errorMessage: 'It did not begin within 5 s (defaults.launch_timeout_seconds).',
    });
  }),
  'defaults.heartbeat_timeout_seconds': gives(
    'defaults',
    'heartbeat_timeout_seconds: 90',
    { heartbeatTimeoutSeconds: 90 },
    'is how long a stage may be silent',
  ),
  'defaults.stop_grace_seconds': gives(
    'defaults',
    'stop_grace_seconds: 3',
    { stopGraceSeconds: 3 },
    'is how long a stage may take to stop',
  ),
  'defaults.max_restarts': effect('is how often a run is started anew by itself', async (kit) => {
    const ctx = await kit.open('defaults: { backend: process, max_restarts: 2 }\n');
    const { runs } = await kit.submit(ctx);
    expect(runs[0]?.plan.retries).toMatchObject({ maxRestarts: 2 });
  }),
  'defaults.max_parallel': admits(
    'defaults: { backend: process, max_parallel: 1 }\nprocess: { max_parallel: 4 }\n',
    'max_parallel: 1 runs of this pipeline run are active',
    'is how many stages of a call run at once',
  ),
  'process.sandbox': effect('shuts stages in, or not', async (kit) => {
    const { backends } = await kit.open('process: { sandbox: none }\n');
    expect((await backends.get('process')).capabilities.isolation).toBe('none');
    expect((await backends.choose('process')).why).toContain('process.sandbox is none');
  }),
  'process.python': effect('is the interpreter behind the word python', async (kit) => {
    const { backends } = await kit.open('process: { python: /nowhere/python3, sandbox: none }\n');
    await expect(backends.choose('process')).rejects.toThrow('/nowhere/python3');
  }),
  'process.max_parallel': admits(
    `process: { max_parallel: 1 }\n${PROCESS}`,
    'backend process: 1 of 1 slots busy',
    'is how many stages run at once without containers',
  ),
  'docker.host': effect('is the engine that is asked', async (kit) => {
    const { host, asked } = await kit.engine();
    const { backends } = await kit.open(`docker: { ${host} }\n`);
    expect(await backends.choose('docker')).toMatchObject({ name: 'docker' });
    expect(asked).toContain('GET /_ping');
  }),
  'docker.base_image': effect('is the image of stages that name none', async (kit) => {
    const { host, asked } = await kit.engine();
    const { backends } = await kit.open(`docker: { ${host}, base_image: "my/base:7" }\n`);
    await backends.choose('docker');
    expect(asked).toContain('GET /images/my/base:7/json');
  }),
  'docker.images.*': ofProfile(
    '',
    { image: 'other:1' },
    'is the image of stages of that profile that name none',
  ),
  'docker.network': gives(
    'docker',
    'network: bridge',
    { network: true },
    'lets containers reach the network',
  ),
  'docker.memory': gives('docker', 'memory: 1g', { memoryBytes: GIB }, 'is the memory of a container'),
  'docker.cpus': gives('docker', 'cpus: 1.5', { cpus: 1.5 }, 'are the processors of a container'),
  'docker.pids_limit': gives(
    'docker',
    'pids_limit: 30',
    { pidsLimit: 30 },
    'is how many processes a container may have',
  ),
  'docker.user': effect('is who a stage runs as, where Goldfish is root and may choose', async (kit) => {
    const { host, created } = await kit.engine();
    const { backends } = await kit.open(`docker: { ${host}, user: "500:600" }\n`);
    kit.write('code/main.py');
    const files = { list: async () => ['main.py'], read: async () => null };
    const codeHash = 'sha256:c';
    const key = await backends.environmentKey('docker', { files, codeHash, image: null });
    const request = { key, codeDir: join(kit.root(), 'code'), codeHash, image: null };
    const backend = await backends.get('docker');
    await backend.build(request, { onLine: () => undefined }).catch(() => undefined);
    const own = `${process.geteuid?.()}:${process.getegid?.()}`;
    expect(created.map(({ User }) => User)).toEqual([own === '0:0' ? '500:600' : own]);
  }),
  'docker.max_parallel': effect('is how many containers run at once', async (kit) => {
    const { backends } = await kit.open('docker: { max_parallel: 3 }\nprocess: { max_parallel: 5 }\n');
    expect([backends.capacity('docker'), backends.capacity('process')]).toEqual([3, 5]);
  }),
  'docker.gpus': effect('is how many GPUs runs hold at once', async (kit) => {
    const { runsDeps } = await kit.open(`docker: { gpus: 1 }\n`);
    const { plan } = PLANNED;
    const wanting = (gpus: number) => {
      const compute = { ...plan.compute, gpus };
      return waitsFor(runsDeps, { ...PLANNED, plan: { ...plan, compute } });
    };
    expect([wanting(1), wanting(2)]).toEqual([null, 'backend docker: 0 of 1 GPUs busy']);
  }),
  'profiles.*.description': ofProfile('description: Mine', { description: 'Mine' }, 'says what it is'),
  'profiles.*.backend': effect('runs its stages', async (kit) => {
    const text = `process: { sandbox: none }\ndefaults: { backend: docker }\nprofiles: { mine: { backend: process } }\n`;
    expect(await kit.given(text, { name: 'mine' })).toMatchObject({ backend: 'process' });
  }),
  'profiles.*.memory': ofProfile('memory: 1g', { memoryBytes: GIB }, 'is the memory of its stages'),
  'profiles.*.cpus': ofProfile('cpus: 0.5', { cpus: 0.5 }, 'are the processors of its stages'),
  'profiles.*.gpus': ofProfile('gpus: 63', { available: false, gpus: 63 }, 'are the GPUs of its stages'),
  'profiles.*.pids_limit': ofProfile(
    'pids_limit: 50',
    { pidsLimit: 50 },
    'is how many processes its stages may have',
  ),
  'profiles.*.network': ofProfile('network: bridge', { network: true }, 'lets its stages reach the network'),
  'profiles.*.image': ofProfile('image: "my/own:3"', { image: 'my/own:3' }, 'is the image of its stages'),
  'profiles.*.price_per_hour': ofProfile('price_per_hour: 2.5', { pricePerHour: 2.5 }, 'is what it costs'),
};
