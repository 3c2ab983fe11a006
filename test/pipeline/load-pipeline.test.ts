import { describe, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { loadPipeline, requirePipeline } from '../../src/pipeline/load-pipeline.ts';
import { LOOKUPS, memoryFiles, problemsOf, RUN } from './memory-files.ts';

describe('a pipeline', () => {
  it('is read with its stages, signals and configs', async () => {
    const files = memoryFiles({
      'pipeline.yaml': `name: digits
description: How to tell digits apart
stages:
  - name: preprocess
    kind: task
    outputs: { features: { type: npy }, split: csv }
  - name: train
    description: one model
    command: [python, tools/train.py, --fast]
    image: my/torch:2
    inputs:
      raw: { type: dataset, dataset: digits }
      old: { dataset: digits@v1 }
      features: { from_stage: preprocess, signal: features }
      split: { from_stage: preprocess, type: csv }
    outputs: { features: directory }
    cache: false
`,
      'modules/preprocess.py': '',
      'configs/train.yaml': 'k: 3\ncompute: { memory: 1g }\n',
    });
    const { pipeline, problems } = await loadPipeline({ files, lookups: LOOKUPS });
    expect(problems).toEqual([]);
    expect(pipeline?.locate('train', ['command'])).toEqual({ file: 'pipeline.yaml', line: 9, column: 14 });
    expect({
      ...pipeline,
      locate: null,
      configs: Object.fromEntries([...(pipeline?.configs ?? [])].map(([k, v]) => [k, v.value])),
    }).toEqual({
      name: 'digits',
      file: 'pipeline.yaml',
      description: 'How to tell digits apart',
      locate: null,
      configs: { train: { k: 3, compute: { memory: '1g' } } },
      stages: [
        {
          name: 'preprocess',
          description: null,
          command: ['python', '-m', 'modules.preprocess'],
          image: null,
          inputs: [],
          outputs: [
            { name: 'features', type: 'npy' },
            { name: 'split', type: 'csv' },
          ],
          cache: true,
          retries: { maxRestarts: null, on: null },
        },
        {
          name: 'train',
          description: 'one model',
          command: ['python', 'tools/train.py', '--fast'],
          image: 'my/torch:2',
          inputs: [
            { name: 'raw', type: 'dataset', from: { dataset: 'digits', version: null } },
            { name: 'old', type: 'dataset', from: { dataset: 'digits', version: 1 } },
            { name: 'features', type: 'npy', from: { stage: 'preprocess', signal: 'features' } },
            { name: 'split', type: 'csv', from: { stage: 'preprocess', signal: 'split' } },
          ],
          outputs: [{ name: 'features', type: 'directory' }],
          cache: false,
          retries: { maxRestarts: null, on: null },
        },
      ],
    });
  });

  it('is called as its file where it has no name', async () => {
    const files = memoryFiles({ 'pipelines/fast.yaml': `stages: [{ name: a, ${RUN} }]` });
    expect((await requirePipeline({ files, pipeline: 'fast' })).name).toBe('fast');
  });

  it('may be named, beside a default one', async () => {
    const files = memoryFiles({
      'pipeline.yaml': `stages: [{ name: a, ${RUN} }]`,
      'pipelines/second.yaml': `stages: [{ name: b, ${RUN} }]`,
    });
    expect((await requirePipeline({ files })).stages[0]?.name).toBe('a');
    expect((await requirePipeline({ files, pipeline: 'pipeline' })).stages[0]?.name).toBe('a');
    expect((await requirePipeline({ files, pipeline: 'second' })).stages[0]?.name).toBe('b');
  });

  it.each(['secnd', '../second', 'pipelines/second', '', 'second.yaml'])(
    'is not found as %j',
    async (pipeline) => {
      const files = memoryFiles({ 'pipelines/second.yaml': '', 'second.yaml': '' });
      const error: unknown = await loadPipeline({ files, pipeline }).catch((thrown: unknown) => thrown);
      expect(isGoldfishError(error) && error.code).toBe('INVALID_ARGUMENT');
      expect(isGoldfishError(error) && error.hint).toBeTruthy();
    },
  );

  it.each([
    [{ 'README.md': '' }, 'The workspace has no pipeline.'],
    [{ 'pipeline.yml': '' }, 'There is no pipeline.yaml.'],
    [
      { 'pipelines/a.yaml': '', 'sub/pipeline.yaml': '' },
      'There is no pipeline.yaml, only pipelines with names.',
    ],
  ])('that is not there is a problem with a hint: %j', async (files, message) => {
    const { problems } = await loadPipeline({ files: memoryFiles(files) });
    expect(problems).toMatchObject([{ file: 'pipeline.yaml', message, hint: expect.any(String) }]);
  });

  it('with problems becomes one error that carries them all', async () => {
    const files = memoryFiles({
      'pipeline.yaml': 'stages:\n  - nam: a\n  - name: b\n    cache: 1\n    command: [x]\n',
    });
    const error: unknown = await requirePipeline({ files }).catch((thrown: unknown) => thrown);
    if (!isGoldfishError(error)) throw error;
    expect(error.code).toBe('INVALID_PIPELINE');
    expect(error.message).toBe('pipeline.yaml:2:5: "name" is missing. (and 2 more problems)');
    expect(error.details['problems']).toHaveLength(3);
  });
});

describe('the file', { timeout: 60_000 }, () => {
  it.each([
    ['', '1:1 The pipeline is empty.'],
    ['# only a comment\n', '1:1 The pipeline is empty.'],
    ['- a\n- b\n', '1:1 "the file" must be a mapping with the keys name and stages, not a list.'],
    ['just text', '1:1 "the file" must be a mapping with the keys name and stages, not "just text".'],
    ['name: x\n', '1:1 "stages" is missing.'],
    ['stages:\n', '1:1 "stages" must be a list of stages, not empty.'],
    ['stages: []\n', '1:9 "stages" must list at least one stage.'],
    ['stages: { a: {} }\n', '1:9 "stages" must be a list of stages, not a mapping.'],
    ['stages:\n\t- name: a\n', '2:1 This is not valid YAML: Tabs are not allowed as indentation.'],
    [
      'stages: [{ name: a, command: [x] }]\nname: a b\n',
      '2:7 "name" must be a name: up to 64 letters, digits, "-" or "_", starting with a letter or digit, and no reserved word, not "a b".',
    ],
    ['stages: [{ name: a, command: [x] }]\nversion: 2\n', '2:1 Unknown key "version".'],
  ])('is refused as %j', async (text, expected) => {
    const { problems } = await loadPipeline({ files: memoryFiles({ 'pipeline.yaml': text }) });
    expect(problems.map(({ line, column, message }) => `${line}:${column} ${message}`)).toEqual([expected]);
  });

  it('is refused with more than a thousand stages', async () => {
    const stages = Array.from({ length: 1001 }, (_, i) => `  - { name: s${i}, ${RUN} }\n`).join('');
    expect(await problemsOf(stages)).toEqual(['pipeline.yaml:2 «-» "stages" must list at most 1000 stages.']);
  });

  it('of a thousand stages in a row, last one first, is read', async () => {
    const stage = (i: number) =>
      `  - { name: s${i}, ${RUN}, outputs: { x: csv }${i === 0 ? '' : `, inputs: { x: { from_stage: s${i - 1} } }`} }\n`;
    const stages = Array.from({ length: 1000 }, (_, i) => stage(999 - i)).join('');
    expect(await problemsOf(stages)).toEqual([]);
  });
});

describe('a stage', () => {
  it.each([
    ['  - 3\n', ['2 «3» "stages[0]" must be a mapping with the keys name, inputs and outputs, not 3.']],
    ['  -\n', ['2 «» "stages[0]" must be a mapping with the keys name, inputs and outputs, not empty.']],
    [`  - { ${RUN} }\n`, ['2 «{» "name" is missing.']],
    [`  - { name: 7, ${RUN} }\n`, ['2 «7» "name" must be a name, not 7.']],
    [
      `  - { name: ../../x, ${RUN} }\n`,
      [
        '2 «../../x» "name" must be a name: up to 64 letters, digits, "-" or "_", starting with a letter or digit, and no reserved word, not "../../x".',
      ],
    ],
    [
      `  - { name: con, ${RUN} }\n`,
      [
        '2 «con» "name" must be a name: up to 64 letters, digits, "-" or "_", starting with a letter or digit, and no reserved word, not "con".',
      ],
    ],
    [
      `  - { name: a, ${RUN} }\n  - { name: a, ${RUN} }\n`,
      ['3 «a» There is already a stage "a", on line 2.'],
    ],
    [
      `  - { name: a, ${RUN}, kind: map }\n`,
      ['2 «map» The stage kind "map" is reserved for a later version.'],
    ],
    [
      `  - { name: a, ${RUN}, kind: service }\n`,
      ['2 «service» The stage kind "service" is reserved for a later version.'],
    ],
    [`  - { name: a, ${RUN}, kind: taks }\n`, ['2 «taks» Unknown stage kind "taks".']],
    [
      `  - { name: a, ${RUN}, image: "--privileged" }\n`,
      [
        '2 «"--privileged"» "image" must be the name of an image such as python:3.12-slim, not "--privileged".',
      ],
    ],
    [
      `  - { name: a, ${RUN}, retries: { max_restarts: -1 } }\n`,
      ['2 «-1» "retries.max_restarts" must be a whole number from 0 to 100, not -1.'],
    ],
    [
      `  - { name: a, ${RUN}, retries: { on: [timeout] } }\n`,
      [
        '2 «timeout]» "retries.on[0]" must be one of exit_nonzero, output_missing, preflight_failed, launch_failed, heartbeat_lost, oom, preempted, worker_lost, upload_failed, not "timeout".',
      ],
    ],
    [`  - { name: a, ${RUN}, output: {} }\n`, ['2 «output» Unknown key "output".']],
    [`  - { name: a, ${RUN}, cache: "no" }\n`, ['2 «"no"» "cache" must be true or false, not "no".']],
    ['  - { name: a, command: run it }\n', ['2 «run» "command" must be a list of texts, not "run it".']],
    ['  - { name: a, command: [] }\n', ['2 «[]» "command" must name a program.']],
    ['  - { name: a, command: [""] }\n', ['2 «[""]» "command" must name a program.']],
    [
      '  - { name: a, command: [run, 3, "a\\0b"] }\n',
      [
        '2 «3» "command[1]" must be text, not 3.',
        '2 «"a\\0b"]» "command[2]" must not contain a null character, not "a b".',
      ],
    ],
    ['  - name: a\n', ['2 «a» The module modules/a.py is missing.']],
    [
      '  - { name: a, command: [python, -m, modules.b] }\n',
      ['2 «[python» The module modules/b.py is missing.'],
    ],
    [
      `  - { name: a, ${RUN}, outputs: csv }\n`,
      ['2 «csv» "outputs" must be a mapping from names to signals, not "csv".'],
    ],
    [
      `  - { name: a, ${RUN}, inputs: [] }\n`,
      ['2 «[]» "inputs" must be a mapping from names to signals, not a list.'],
    ],
  ])('is refused: %j', async (stages, expected) => {
    expect(await problemsOf(stages)).toEqual(expected.map((problem) => `pipeline.yaml:${problem}`));
  });

  it('may leave inputs and outputs empty', async () => {
    expect(await problemsOf(`  - name: a\n    ${RUN}\n    inputs:\n    outputs:\n`)).toEqual([]);
  });

  it('runs a module that is a file or a folder', async () => {
    const stages = '  - name: a\n  - name: b\n  - { name: c, command: [python, -m, modules.d.e] }\n';
    const modules = { 'modules/a.py': '', 'modules/b/__main__.py': '', 'modules/d/e.py': '' };
    expect(await problemsOf(stages, modules)).toEqual([]);
  });

  it('is told which module may have been meant', async () => {
    const files = memoryFiles({ 'pipeline.yaml': 'stages: [{ name: train }]', 'modules/trian.py': '' });
    const { problems } = await loadPipeline({ files });
    expect(problems[0]?.hint).toBe('Write modules/train.py, or rename modules/trian.py.');
  });
});
