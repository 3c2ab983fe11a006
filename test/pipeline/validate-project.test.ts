import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/load-config.ts';
import { formatPlace, type Problem, sortProblems } from '../../src/config/problem.ts';
import { validateWorkspace } from '../../src/pipeline/validate-project.ts';
import { memoryFiles, pointed } from './memory-files.ts';

const PIPELINE = `name: digits
stages:
  - name: preprocess
    kind: task
    ouputs: { x: csv }
    outputs:
      features: numpy
      split: csv
  - name: train
    command: [python, -m, modules.train, --epochs, 3]
    inputs:
      features: { from_stage: preproces, signal: features }
      split: { from_stage: preprocess, signal: splits }
    outputs: { model: directory, report: { type: json, schema: { rank: 0 } } }
  - name: train
    command: [python, other.py]
    cache: yes
  - name: evaluate
    kind: map
    inputs:
      model: { from_stage: train, signal: model, type: npy }
      again: { from_stage: summarize, signal: text }
    outputs: { result: json }
  - name: summarize
    inputs: { result: { from_stage: evaluate, signal: result } }
    outputs: { text: file }
`;
const CONFIG = 'project_name: p\nslot: 4\ndefaults:\n  timeout_seconds: -1\n';
const TRAIN = `learning_rate: 0.1
compute:
  timeout_second: 5
  memory: lots
environment:
  lower_case: 1
  GOLDFISH_RUN_ID: x
  ZIP: 01234
learning_rate: 0.2
`;
const WORKSPACE = {
  'pipeline.yaml': PIPELINE,
  'configs/train.yaml': TRAIN,
  'configs/evaluat.yaml': 'k: 3\n',
  'modules/preprocess.py': '',
  'modules/train.py': '',
  'modules/evaluate.py': '',
};

describe('validation of a project', () => {
  let root: string;
  /** Both halves, as the tool puts them together. */
  async function validate(files: Record<string, string>): Promise<Problem[]> {
    const { problems } = await checkConfig({ root });
    return sortProblems([...problems, ...(await validateWorkspace({ files: memoryFiles(files) }))]);
  }

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'goldfish-validate-'));
    await writeFile(join(root, 'goldfish.yaml'), CONFIG);
  });
  afterEach(() => rm(root, { recursive: true }));

  it('finds 21 planted mistakes at once, each with its line, column and a hint', async () => {
    const problems = await validate(WORKSPACE);
    expect(
      problems.map((problem) => `${formatPlace(problem)} ${problem.message} ${problem.hint}`),
    ).toMatchInlineSnapshot(`
      [
        "goldfish.yaml:2:1 Unknown key "slot". Did you mean "slots"?",
        "goldfish.yaml:4:20 "defaults.timeout_seconds" must be a number of seconds above 0 and at most a year, not -1. goldfish.example.yaml in the package shows every key with its default.",
        "configs/evaluat.yaml:1:1 There is no stage "evaluat". Did you mean configs/evaluate.yaml?",
        "configs/train.yaml:3:3 Unknown key "timeout_second". Did you mean "timeout_seconds"?",
        "configs/train.yaml:4:11 "memory" must be an amount of memory such as 512m or 4g, or a number of bytes, and at least 16m, not "lots". Change the value, or remove the key for its default.",
        "configs/train.yaml:6:3 "lower_case" is not a valid environment name. Use capital letters, digits and "_", not starting with a digit.",
        "configs/train.yaml:7:3 "GOLDFISH_RUN_ID" is reserved: names with GOLDFISH_ are set by Goldfish. Use another name.",
        "configs/train.yaml:8:8 The value of ZIP would change when read as a number, true or false. Put it in quotes.",
        "configs/train.yaml:9:1 The key "learning_rate" stands here a second time; the first is on line 1. Keep one of the two.",
        "pipeline.yaml:5:5 Unknown key "ouputs". Did you mean "outputs"?",
        "pipeline.yaml:7:17 "features" must be one of npy, npz, csv, parquet, json, file, directory, not "numpy". The types are npy, npz, csv, parquet, json, file, directory.",
        "pipeline.yaml:10:52 "command[4]" must be text, not 3. Put it in quotes.",
        "pipeline.yaml:12:31 Unknown stage "preproces". Did you mean "preprocess"?",
        "pipeline.yaml:13:48 The stage "preprocess" has no output "splits". Did you mean "split"?",
        "pipeline.yaml:14:56 "schema" arrives in a later version. Remove it for now.",
        "pipeline.yaml:15:11 There is already a stage "train", on line 9. Give each stage a name of its own.",
        "pipeline.yaml:17:12 "cache" must be true or false, not "yes". Write true or false, without quotes.",
        "pipeline.yaml:19:11 The stage kind "map" is reserved for a later version. Use "kind: task", or leave the key out.",
        "pipeline.yaml:21:56 "train" makes "model" as directory, not as npy. Leave the type out: it is that of the producer.",
        "pipeline.yaml:22:28 The stages need each other in a circle: evaluate → summarize → evaluate. Take one of these inputs away, or split a stage in two.",
        "pipeline.yaml:24:11 The module modules/summarize.py is missing. Write modules/summarize.py, or give the stage another command.",
      ]
    `);
  });

  it('points exactly at the text that is wrong', async () => {
    const problems = await validate(WORKSPACE);
    const texts = { ...WORKSPACE, 'goldfish.yaml': CONFIG };
    expect(problems.map((problem) => pointed(problem, texts).split(' ')[1])).toEqual([
      ...[
        '«slot»',
        '«-1»',
        '«k»',
        '«timeout_second»',
        '«lots»',
        '«lower_case»',
        '«GOLDFISH_RUN_ID»',
        '«01234»',
      ],
      ...['«learning_rate»', '«ouputs»', '«numpy»', '«3]»', '«preproces»', '«splits»', '«schema»', '«train»'],
      ...['«yes»', '«map»', '«npy»', '«summarize»', '«summarize»'],
    ]);
  });

  it('says nothing about a project without mistakes', async () => {
    await writeFile(join(root, 'goldfish.yaml'), 'project_name: p\n');
    expect(await validate({ 'pipeline.yaml': 'stages:\n  - name: a\n', 'modules/a.py': '' })).toEqual([]);
  });
});

describe('validation of a workspace', () => {
  it('looks at every pipeline, and reports a config they share once', async () => {
    const files = memoryFiles({
      'pipeline.yaml': 'stages:\n  - name: a\n',
      'pipelines/second.yaml': 'stages:\n  - name: a\n  - name: b\n',
      'modules/a.py': '',
      'configs/a.yaml': 'compute: 3\n',
      'configs/b.yaml': 'x: 1\n',
    });
    const problems = await validateWorkspace({ files });
    expect(problems.map(formatPlace)).toEqual(['configs/a.yaml:1:10', 'pipelines/second.yaml:3:11']);
  });

  it('says that there is no pipeline', async () => {
    const problems = await validateWorkspace({ files: memoryFiles({ 'README.md': '' }) });
    expect(problems).toEqual([
      {
        file: 'pipeline.yaml',
        line: 0,
        column: 0,
        message: 'The workspace has no pipeline.',
        hint: 'Write pipeline.yaml at the top of the slot, with the stages and the signals between them.',
      },
    ]);
  });
});
