import { describe, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { requirePipeline } from '../../src/pipeline/load-pipeline.ts';
import { type ResolveRequest, resolvePipeline } from '../../src/pipeline/resolve-pipeline.ts';
import { LOOKUPS, memoryFiles, RUN } from './memory-files.ts';

const DEFAULTS: ResolveRequest['defaults'] = {
  backend: 'process',
  profile: 'default',
  timeoutSeconds: 3600,
  heartbeatTimeoutSeconds: null,
  stopGraceSeconds: 10,
  maxParallel: null,
  maxRestarts: 0,
  launchTimeoutSeconds: 2700,
};

/** What is decided for a stage `train` with this `compute`, as `value (origin)`. */
async function decide(
  compute: string,
  request: Partial<Pick<ResolveRequest, 'profile' | 'backend' | 'configOverride' | 'settings'>> & {
    defaults?: Partial<ResolveRequest['defaults']>;
    stage?: string;
  } = {},
): Promise<Record<string, string | undefined>> {
  const { stage = '', defaults, ...rest } = request;
  const files = memoryFiles({
    'pipeline.yaml': `stages:\n  - name: train\n    ${RUN}\n${stage}`,
    'configs/train.yaml': `compute: ${compute}\n`,
  });
  const pipeline = await requirePipeline({ files, lookups: LOOKUPS });
  const all = { ...DEFAULTS, ...defaults };
  const [resolved] = resolvePipeline({ pipeline, lookups: LOOKUPS, defaults: all, ...rest });
  return Object.fromEntries(
    Object.entries(resolved?.compute ?? {}).map(([key, item]) => [
      key,
      item && `${item.value} (${item.origin})`,
    ]),
  );
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
      '{ profile: big, backend: process, nodes: 2, memory: 1g, cpus: 1, gpus: 0, timeout_seconds: 5, heartbeat_timeout_seconds: 7 }';
    expect(await decide(compute, { stage: '    image: own:1\n' })).toEqual({
      profile: 'big (configs/train.yaml:1)',
      backend: 'process (configs/train.yaml:1)',
      nodes: '2 (configs/train.yaml:1)',
      timeoutSeconds: '5 (configs/train.yaml:1)',
      heartbeatTimeoutSeconds: '7 (configs/train.yaml:1)',
      stopGraceSeconds: '10 (built-in)',
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
