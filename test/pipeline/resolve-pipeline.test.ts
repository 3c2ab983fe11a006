import { describe, expect, it } from 'vitest';
import { RESTARTABLE } from '../../src/core/causes.ts';
import { isGoldfishError } from '../../src/core/errors.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { BUILT_IN_MONITORS } from '../../src/core/monitors.ts';
import { requirePipeline } from '../../src/pipeline/load-pipeline.ts';
import { type ResolveRequest, resolvePipeline } from '../../src/pipeline/resolve-pipeline.ts';
import { LOOKUPS, memoryFiles } from './memory-files.ts';

const FILES = {
  'pipeline.yaml': `stages:
  - name: evaluate
    command: [python, -m, tools.evaluate]
    inputs:
      left: { from_stage: train, signal: model }
      right: { from_stage: train, signal: model }
      split: { from_stage: preprocess }
    cache: false
  - name: train
    inputs: { split: { from_stage: preprocess } }
    outputs: { model: directory }
  - name: preprocess
    outputs: { split: csv }
`,
  'modules/train.py': '',
  'modules/preprocess.py': '',
  'configs/train.yaml': `lr: 0.1
layers: { sizes: [4, 4], kind: relu }
compute:
  memory: 1g
  timeout_seconds: 60
environment: { MODE: fast, LEVEL: 3, DEBUG: true, EMPTY: "" }
`,
};
const DEFAULTS: ResolveRequest['defaults'] = {
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
  monitors: BUILT_IN_MONITORS,
};

async function resolve(request: Omit<Partial<ResolveRequest>, 'pipeline'> = {}) {
  const pipeline = await requirePipeline({ files: memoryFiles(FILES), lookups: LOOKUPS });
  return resolvePipeline({ pipeline, defaults: DEFAULTS, lookups: LOOKUPS, ...request });
}

async function refusal(request: Omit<Partial<ResolveRequest>, 'pipeline'>) {
  const error: unknown = await resolve(request).catch((thrown: unknown) => thrown);
  if (!isGoldfishError(error)) throw error;
  return error;
}

async function trainWith(train: JsonObject) {
  const [stage] = await resolve({ stages: ['train'], configOverride: { train } });
  return stage;
}

describe('resolving a pipeline', () => {
  it('orders the stages so that each stands after what it needs', async () => {
    expect((await resolve()).map(({ name, needs }) => [name, needs])).toEqual([
      ['preprocess', []],
      ['train', ['preprocess']],
      ['evaluate', ['train', 'preprocess']],
    ]);
  });

  it('decides every setting of a stage', async () => {
    const [, train] = await resolve();
    expect(train).toEqual({
      name: 'train',
      command: ['python', '-m', 'modules.train'],
      config: { lr: 0.1, layers: { sizes: [4, 4], kind: 'relu' } },
      compute: {
        profile: { value: 'default', origin: 'built-in' },
        backend: { value: 'auto', origin: 'built-in' },
        nodes: { value: 1, origin: 'built-in' },
        timeoutSeconds: { value: 60, origin: 'configs/train.yaml:5' },
        heartbeatTimeoutSeconds: { value: null, origin: 'built-in' },
        stopGraceSeconds: { value: 10, origin: 'built-in' },
        capacityWaitSeconds: { value: 600, origin: 'built-in' },
        launchTimeoutSeconds: { value: 2700, origin: 'built-in' },
        gpus: { value: 0, origin: 'built-in' },
        memoryBytes: { value: 1024 ** 3, origin: 'configs/train.yaml:4' },
        cpus: undefined,
        pidsLimit: undefined,
        network: undefined,
        image: undefined,
        monitors: { settings: BUILT_IN_MONITORS, origins: {} },
      },
      environment: { MODE: 'fast', LEVEL: '3', DEBUG: 'true', EMPTY: '' },
      secrets: {},
      inputs: [
        {
          name: 'split',
          type: 'csv',
          from: { stage: 'preprocess', signal: 'split' },
          inCall: true,
          overridden: false,
        },
      ],
      outputs: [{ name: 'model', type: 'directory' }],
      cache: true,
      retries: { maxRestarts: 0, on: RESTARTABLE },
      needs: ['preprocess'],
    });
  });

  it('takes exactly the stages that are named, each once', async () => {
    expect(
      (await resolve({ stages: ['evaluate', 'preprocess', 'evaluate'] })).map(({ name }) => name),
    ).toEqual(['preprocess', 'evaluate']);
  });

  it('says which inputs have their producer in the call', async () => {
    const [, evaluate] = await resolve({ stages: ['evaluate', 'preprocess'] });
    expect(evaluate?.inputs.map(({ name, inCall }) => [name, inCall])).toEqual([
      ['left', false],
      ['right', false],
      ['split', true],
    ]);
    expect(evaluate?.needs).toEqual(['preprocess']);
  });

  it('knows the origin of defaults in goldfish.yaml', async () => {
    const settings = [{ key: 'defaults.timeout_seconds', value: 5, origin: 'goldfish.yaml:7' }];
    const [preprocess] = await resolve({ settings, defaults: { ...DEFAULTS, timeoutSeconds: 5 } });
    expect(preprocess?.compute.timeoutSeconds).toEqual({ value: 5, origin: 'goldfish.yaml:7' });
  });

  it.each([
    [['trian'], 'Unknown stage "trian".', 'Did you mean "train"?'],
    [['../x'], 'Unknown stage "../x".', 'Known: evaluate, train, preprocess.'],
    [['__proto__'], 'Unknown stage "__proto__".', 'Known: evaluate, train, preprocess.'],
    [[], 'The list of stages is empty.', 'Name at least one stage, or leave "stages" out to run all.'],
  ])('refuses the stages %j', async (stages, message, hint) => {
    const error = await refusal({ stages });
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message, hint });
    expect(error.details).toEqual({ field: 'stages', allowed: ['evaluate', 'train', 'preprocess'] });
  });
});

describe('config_override', () => {
  it('is merged key by key, lists replaced', async () => {
    const train = await trainWith({ lr: 0.5, layers: { sizes: [8] }, extra: null });
    expect(train?.config).toEqual({ lr: 0.5, layers: { sizes: [8], kind: 'relu' }, extra: null });
  });

  it('changes reserved keys by the same merge, and is named as their origin', async () => {
    const train = await trainWith({ compute: { memory: '2g' }, environment: { MODE: 'slow' } });
    expect(train?.compute).toMatchObject({
      memoryBytes: { value: 2 * 1024 ** 3, origin: 'config_override' },
      timeoutSeconds: { value: 60, origin: 'configs/train.yaml:5' },
    });
    expect(train?.environment).toEqual({ MODE: 'slow', LEVEL: '3', DEBUG: 'true', EMPTY: '' });
  });

  it('goes back to the default with null', async () => {
    const train = await trainWith({ compute: { memory: null, timeout_seconds: null } });
    const byDefault = { memoryBytes: undefined, timeoutSeconds: { value: 3600, origin: 'built-in' } };
    expect(train?.compute).toMatchObject(byDefault);
    expect((await trainWith({ compute: null }))?.compute).toMatchObject(byDefault);
  });

  it('does not change the pipeline it is merged over', async () => {
    const pipeline = await requirePipeline({ files: memoryFiles(FILES), lookups: LOOKUPS });
    resolvePipeline({
      pipeline,
      defaults: DEFAULTS,
      lookups: LOOKUPS,
      configOverride: { train: { layers: { kind: 'tanh' } } },
    });
    const [, train] = resolvePipeline({ pipeline, defaults: DEFAULTS, lookups: LOOKUPS });
    expect(train?.config['layers']).toEqual({ sizes: [4, 4], kind: 'relu' });
  });

  it('works for a stage without a config file', async () => {
    const [preprocess] = await resolve({
      configOverride: { preprocess: { seed: 1, compute: { backend: 'process' } } },
    });
    expect(preprocess).toMatchObject({
      config: { seed: 1 },
      compute: { backend: { value: 'process', origin: 'config_override' } },
    });
  });

  it('names all its problems, by stage and key', async () => {
    const error = await refusal({
      configOverride: {
        train: {
          compute: { memory: 'lots', nodes: 0, backnd: 'x', profile: 'bigg', capacity_wait_seconds: -5 },
          environment: { a: 1, GOLDFISH_X: '', B: {} },
          metrics: {},
        },
        preprocess: 3,
      },
    });
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toBe(
      'config_override, preprocess: The override of a stage must be a mapping, not 3. (and 9 more)',
    );
    expect(error.details['field']).toBe('config_override');
    const problems = error.details['problems'];
    const lines = Array.isArray(problems)
      ? problems.map((one) => `${one.file}:${one.line} ${one.path} ${one.message} ${one.hint}`)
      : [];
    expect(lines).toMatchInlineSnapshot(`
      [
        "config_override:0 preprocess The override of a stage must be a mapping, not 3. Write { "<stage>": { "<key>": <value> } }.",
        "config_override:0 train.metrics "metrics" is reserved for a later version. Use another name for this parameter.",
        "config_override:0 train.compute.nodes "nodes" must be a whole number of ranks from 1 to 1024, not 0. Change the value, or remove the key for its default.",
        "config_override:0 train.compute.capacity_wait_seconds "capacity_wait_seconds" must be a number of seconds from 0 to a year, not -5. Change the value, or remove the key for its default.",
        "config_override:0 train.compute.memory "memory" must be an amount of memory such as 512m or 4g, or a number of bytes, and at least 16m, not "lots". Change the value, or remove the key for its default.",
        "config_override:0 train.compute.backnd Unknown key "backnd". Did you mean "backend"?",
        "config_override:0 train.compute.profile Unknown profile "bigg". Did you mean "big"?",
        "config_override:0 train.environment.a "a" is not a valid environment name. Use capital letters, digits and "_", not starting with a digit.",
        "config_override:0 train.environment.GOLDFISH_X "GOLDFISH_X" is reserved: names with GOLDFISH_ are set by Goldfish. Use another name.",
        "config_override:0 train.environment.B The value of B is no single value. Write one text, number, true or false.",
      ]
    `);
  });

  it.each([
    [{ trian: {} }, 'Unknown stage "trian".'],
    [{ constructor: {} }, 'Unknown stage "constructor".'],
    [JSON.parse('{"__proto__": {"x": 1}}'), 'Unknown stage "__proto__".'],
    [
      { train: JSON.parse('{"a": {"__proto__": {"x": 1}}}') },
      'config_override, train.a.__proto__: The key "__proto__" is not allowed.',
    ],
    [
      { train: { x: '$\u007benv:SECRET}' } },
      'config_override, train.x: A value from the environment ("$\u007benv:…}") is not possible here.',
    ],
    [{ train: [] }, 'config_override, train: The override of a stage must be a mapping, not a list.'],
    [{ train: null }, 'config_override, train: The override of a stage must be a mapping, not empty.'],
  ])('is refused as %j', async (configOverride, message) => {
    expect(await refusal({ configOverride })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message,
      hint: expect.any(String),
    });
  });

  it('is refused for a stage that the call does not run, where it would have no effect', async () => {
    const error = await refusal({ stages: ['train'], configOverride: { preprocess: { seed: 1 } } });
    expect(error.message).toBe('config_override names the stage "preprocess", which this call does not run.');
  });

  it('is refused when it is nested without end', async () => {
    let deep: JsonObject = {};
    for (let i = 0; i < 5000; i += 1) deep = { deep };
    expect((await refusal({ configOverride: { train: deep } })).message).toContain(
      'nested more than 50 levels deep',
    );
  });
});
