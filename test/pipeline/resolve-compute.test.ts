import { describe, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { BUILT_IN_MONITORS } from '../../src/core/monitors.ts';
import { requirePipeline } from '../../src/pipeline/load-pipeline.ts';
import {
  type ResolvedStage,
  type ResolveRequest,
  resolvePipeline,
} from '../../src/pipeline/resolve-pipeline.ts';
import { LOOKUPS, memoryFiles, problemsOf, RUN } from './memory-files.ts';

const DEFAULTS: ResolveRequest['defaults'] = {
  backend: 'process',
  profile: 'default',
  timeoutSeconds: 3600,
  heartbeatTimeoutSeconds: null,
  stopGraceSeconds: 10,
  maxParallel: null,
  maxRestarts: 0,
  launchTimeoutSeconds: 2700,
  capacityWaitSeconds: 600,
  logSyncSeconds: 10,
  monitors: BUILT_IN_MONITORS,
};

/** What is decided for a stage `train` with this `compute`, as `value (origin)`. */
async function decide(
  compute: string,
  request: Partial<Pick<ResolveRequest, 'profile' | 'backend' | 'configOverride' | 'settings'>> & {
    defaults?: Partial<ResolveRequest['defaults']>;
    stage?: string;
  } = {},
): Promise<Record<string, string | undefined>> {
  const resolved = await resolve(compute, request);
  const { monitors: _, ...asked } = resolved.compute;
  return Object.fromEntries(
    Object.entries(asked).map(([key, item]) => [key, item && `${item.value} (${item.origin})`]),
  );
}

async function resolve(compute: string, request: Parameters<typeof decide>[1] = {}): Promise<ResolvedStage> {
  const { stage = '', defaults, ...rest } = request;
  const files = memoryFiles({
    'pipeline.yaml': `stages:\n  - name: train\n    ${RUN}\n${stage}`,
    'configs/train.yaml': `compute: ${compute}\n`,
  });
  const all = { ...DEFAULTS, ...defaults };
  const lookups = { ...LOOKUPS, monitors: all.monitors };
  const pipeline = await requirePipeline({ files, lookups });
  const [resolved] = resolvePipeline({ pipeline, lookups, defaults: all, ...rest });
  if (!resolved) throw new Error('no stage was resolved');
  return resolved;
}

describe('what a stage computes with', () => {
  it('comes from the defaults where nobody says anything', async () => {
    const settings = [{ key: 'defaults.profile', value: 'default', origin: 'goldfish.yaml:9' }];
    expect(await decide('{}', { settings })).toEqual({
      profile: 'default (goldfish.yaml:9)',
      backend: 'process (built-in)',
      nodes: '1 (built-in)',
      timeoutSeconds: '3600 (built-in)',
      heartbeatTimeoutSeconds: 'null (built-in)',
      stopGraceSeconds: '10 (built-in)',
      capacityWaitSeconds: '600 (built-in)',
      launchTimeoutSeconds: '2700 (built-in)',
      gpus: '0 (built-in)',
      memoryBytes: undefined,
      cpus: undefined,
      pidsLimit: undefined,
      network: undefined,
      image: undefined,
    });
  });

  it('comes from its profile before the defaults', async () => {
    expect(await decide('{ profile: big }')).toMatchObject({
      profile: 'big (configs/train.yaml:1)',
      backend: 'docker (profile big)',
      memoryBytes: `${8 * 1024 ** 3} (profile big)`,
      cpus: '8 (profile big)',
      gpus: '1 (profile big)',
      pidsLimit: '500 (profile big)',
      network: 'true (profile big)',
      image: 'my/big (profile big)',
      timeoutSeconds: '3600 (built-in)',
    });
    expect(await decide('{}', { defaults: { profile: 'big' } })).toMatchObject({
      profile: 'big (built-in)',
      backend: 'docker (profile big)',
    });
  });

  it('comes from the stage before its profile', async () => {
    const compute =
      '{ profile: big, backend: process, nodes: 2, memory: 1g, cpus: 1, gpus: 0, timeout_seconds: 5, heartbeat_timeout_seconds: 7, capacity_wait_seconds: 0 }';
    expect(await decide(compute, { stage: '    image: own:1\n' })).toEqual({
      profile: 'big (configs/train.yaml:1)',
      backend: 'process (configs/train.yaml:1)',
      nodes: '2 (configs/train.yaml:1)',
      timeoutSeconds: '5 (configs/train.yaml:1)',
      heartbeatTimeoutSeconds: '7 (configs/train.yaml:1)',
      stopGraceSeconds: '10 (built-in)',
      capacityWaitSeconds: '0 (configs/train.yaml:1)',
      launchTimeoutSeconds: '2700 (built-in)',
      memoryBytes: `${1024 ** 3} (configs/train.yaml:1)`,
      cpus: '1 (configs/train.yaml:1)',
      gpus: '0 (configs/train.yaml:1)',
      pidsLimit: '500 (profile big)',
      network: 'true (profile big)',
      image: 'own:1 (pipeline.yaml:4)',
    });
  });

  it('comes from the call before the stage, and a backend that is named beats the profile of the call', async () => {
    expect(await decide('{ profile: default }', { profile: 'big' })).toMatchObject({
      profile: 'big (call)',
      backend: 'docker (profile big)',
      cpus: '8 (profile big)',
    });
    expect(await decide('{ backend: process, cpus: 2 }', { profile: 'big' })).toMatchObject({
      backend: 'process (configs/train.yaml:1)',
      cpus: '2 (configs/train.yaml:1)',
    });
    expect(await decide('{ backend: docker }', { backend: 'process' })).toMatchObject({
      backend: 'process (call)',
    });
    const configOverride = { train: { compute: { profile: 'cpu-small', cpus: 3 } } };
    expect(await decide('{}', { configOverride })).toMatchObject({
      profile: 'cpu-small (config_override)',
      cpus: '3 (config_override)',
    });
    expect(await decide('{}', { configOverride, profile: 'big' })).toMatchObject({ profile: 'big (call)' });
  });

  it.each(['default', 'cpu-small', 'cpu-large'])(
    'leaves everything to the backend with the profile %s',
    async (name) => {
      const { profile, ...rest } = await decide(`{ profile: ${name} }`);
      expect(profile).toBe(`${name} (configs/train.yaml:1)`);
      const { profile: _, ...plain } = await decide('{}');
      expect(rest).toEqual(plain);
    },
  );

  it('is refused with a profile in config_override that is not there', async () => {
    const configOverride = { train: { compute: { profile: 'h100-spt' } } };
    const error: unknown = await decide('{}', { configOverride }).catch((thrown: unknown) => thrown);
    if (!isGoldfishError(error)) throw error;
    expect(error.message).toBe('config_override, train.compute.profile: Unknown profile "h100-spt".');
    expect(error.hint).toBe('Did you mean "h100-spot"?');
  });
});

describe('inputs_override', () => {
  const FILES = memoryFiles({
    'pipeline.yaml': `stages:
  - { name: make, ${RUN}, outputs: { x: csv } }
  - { name: use, ${RUN}, inputs: { x: { from_stage: make }, raw: { dataset: digits } } }
  - { name: lone, ${RUN} }
`,
  });

  async function resolve(inputsOverride: Record<string, Record<string, unknown>>, stages?: string[]) {
    const pipeline = await requirePipeline({ files: FILES, lookups: LOOKUPS });
    return resolvePipeline({ pipeline, lookups: LOOKUPS, defaults: DEFAULTS, inputsOverride, stages });
  }

  it('frees a stage from waiting for a producer it does not read from', async () => {
    const [, use] = await resolve({ use: { x: 'stage-abcdef' } });
    expect(use?.needs).toEqual([]);
    expect(use?.inputs.map(({ name, inCall, overridden }) => [name, inCall, overridden])).toEqual([
      ['x', false, true],
      ['raw', false, false],
    ]);
    expect((await resolve({}))[1]?.needs).toEqual(['make']);
  });

  it.each([
    [{ us: { x: 'd' } }, undefined, 'Unknown stage "us".', 'Did you mean "use"?'],
    [{ use: { xx: 'd' } }, undefined, 'The stage "use" has no input "xx".', 'Did you mean "x"?'],
    [
      { use: { constructor: 'd' } },
      undefined,
      'The stage "use" has no input "constructor".',
      'Known: x, raw.',
    ],
    [{ lone: { x: 'd' } }, undefined, 'The stage "lone" has no input "x".', '"lone" has no inputs.'],
    [
      { use: { x: 'd' } },
      ['make'],
      'inputs_override names the stage "use", which this call does not run.',
      'Add it to "stages", or remove it from inputs_override.',
    ],
  ])('is refused where nothing would read it: %j', async (override, stages, message, hint) => {
    const error: unknown = await resolve(override, stages).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message,
      hint,
      details: { field: 'inputs_override' },
    });
  });
});

describe('the monitors of a stage', () => {
  const monitorsOf = async (...request: Parameters<typeof resolve>) =>
    (await resolve(...request)).compute.monitors;

  it('are those of the defaults, of which the stage changes what it says and the override what that says', async () => {
    const settings = [
      { key: 'defaults.monitors.stall.after_seconds', value: 600, origin: 'goldfish.yaml:4' },
    ];
    const defaults = {
      monitors: { ...BUILT_IN_MONITORS, stall: { action: 'warn' as const, afterSeconds: 600 } },
    };
    const file =
      '\n  monitors:\n    divergence: { action: warn, metric: loss, points: 3 }\n    stall: { action: warn }';
    const override = {
      train: { compute: { monitors: { divergence: { action: 'stop' }, non_finite: { metrics: ['loss'] } } } },
    };
    expect(await monitorsOf(file, { settings, defaults, configOverride: override })).toEqual({
      settings: {
        stall: { action: 'warn', afterSeconds: 600 },
        nonFinite: { action: 'warn', metrics: ['loss'] },
        divergence: { action: 'stop', metric: 'loss', factor: 10, points: 3 },
      },
      origins: {
        'monitors.stall.action': 'configs/train.yaml:4',
        'monitors.stall.after_seconds': 'goldfish.yaml:4',
        'monitors.non_finite.metrics': 'config_override',
        'monitors.divergence.action': 'config_override',
        'monitors.divergence.metric': 'configs/train.yaml:3',
        'monitors.divergence.points': 'configs/train.yaml:3',
      },
    });
  });

  it('are set back by a null to what null means, and by an empty mapping not at all', async () => {
    const monitors = {
      stall: { action: 'stop' as const, afterSeconds: 60 },
      nonFinite: { action: 'stop' as const, metrics: ['loss'] },
      divergence: { action: 'stop' as const, metric: 'loss', factor: 3, points: 2 },
    };
    const file =
      '{ monitors: { stall: { after_seconds: null }, non_finite: { metrics: null }, divergence: } }';
    expect((await monitorsOf(file, { defaults: { monitors } })).settings).toEqual({
      stall: { action: 'stop', afterSeconds: null },
      nonFinite: { action: 'stop', metrics: null },
      divergence: monitors.divergence,
    });
  });

  it.each([
    ['{ stall: { action: kill } }', '"monitors.stall.action" must be one of off, warn, stop, not "kill".'],
    [
      '{ stall: { after_seconds: 0 } }',
      '"monitors.stall.after_seconds" must be a number of seconds from 1 to a year, not 0.',
    ],
    ['{ stal: { action: warn } }', 'Unknown key "stal".'],
    [
      '{ non_finite: { metrics: [] } }',
      '"monitors.non_finite.metrics" must be a list of 1 to 100 names of metrics, or null for all.',
    ],
    [
      '{ divergence: { factor: 1 } }',
      '"monitors.divergence.factor" must be a number above 1 and at most 1e12, not 1.',
    ],
    [
      '{ divergence: { points: 1.5 } }',
      '"monitors.divergence.points" must be a whole number from 1 to 10000, not 1.5.',
    ],
    ['{ divergence: { action: stop } }', 'divergence is to stop, and no metric to watch is set.'],
    ['{ stall: { action: stop } }', 'stall is to stop, and no time to wait is set.'],
  ])('refuse %s', async (monitors, message) => {
    const files = {
      'configs/train.yaml': `compute: { monitors: ${monitors} }\n`,
    };
    const [problem] = await problemsOf(`  - name: train\n    ${RUN}\n`, files);
    expect(problem).toContain(message);
  });
});
