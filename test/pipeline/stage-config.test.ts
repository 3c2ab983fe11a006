import { describe, expect, it } from 'vitest';
import { loadPipeline } from '../../src/pipeline/load-pipeline.ts';
import { memoryFiles, problemsOf, RUN } from './memory-files.ts';

describe('a stage config', () => {
  const stages = `  - { name: a, ${RUN} }\n`;

  it.each([
    ['- 1\n', ['1 «-» A stage config must be a mapping of keys, not a list.']],
    ['text\n', ['1 «text» A stage config must be a mapping of keys, not "text".']],
    ['x: 1\nx: 2\n', ['2 «x» The key "x" stands here a second time; the first is on line 1.']],
    ['compute: 3\n', ['1 «3» "compute" must be a mapping, not 3.']],
    ['compute:\n  timeout_second: 3\n', ['2 «timeout_second» Unknown key "timeout_second".']],
    [
      'compute:\n  capacity_wait_seconds: -1\n',
      ['2 «-1» "capacity_wait_seconds" must be a number of seconds from 0 to a year, not -1.'],
    ],
    ['compute:\n  backend: gce\n', ['2 «gce» "backend" must be one of auto, process, docker, not "gce".']],
    [
      'compute:\n  backend: local\n',
      ['2 «local» "backend" must be one of auto, process, docker, not "local".'],
    ],
    ['compute:\n  profile: 3\n', ['2 «3» "profile" must be the name of a profile, not 3.']],
    ['compute:\n  profile: bog\n', ['2 «bog» Unknown profile "bog".']],
    [
      'compute:\n  profile: h100-spot\n',
      [
        '2 «h100-spot» The profile "h100-spot" needs a rented machine, and the backend "gce" is not configured.',
      ],
    ],
    [
      'compute:\n  nodes: 1.5\n  cpus: 0\n  gpus: -1\n  heartbeat_timeout_seconds: 0.5\n',
      [
        '2 «1.5» "nodes" must be a whole number of ranks from 1 to 1024, not 1.5.',
        '3 «0» "cpus" must be a number of processors above 0 and at most 1024, not 0.',
        '4 «-1» "gpus" must be a whole number of GPUs from 0 to 64, not -1.',
        '5 «0.5» "heartbeat_timeout_seconds" must be a number of seconds from 1 to a year, not 0.5.',
      ],
    ],
    [
      'compute:\n  timeout_seconds: 0\n',
      ['2 «0» "timeout_seconds" must be a number of seconds above 0 and at most a year, not 0.'],
    ],
    [
      'compute:\n  memory: 4 gigs\n',
      [
        '2 «4» "memory" must be an amount of memory such as 512m or 4g, or a number of bytes, and at least 16m, not "4 gigs".',
      ],
    ],
    [
      'compute:\n  memory: 1m\n',
      [
        '2 «1m» "memory" must be an amount of memory such as 512m or 4g, or a number of bytes, and at least 16m, not "1m".',
      ],
    ],
    ['metrics: {}\n', ['1 «metrics» "metrics" is reserved for a later version.']],
    [
      `lr: \${env:LR}\nlist: [1, "x\${env:Y}"]\n`,
      [
        `1 «\${env» A value from the environment ("\${env:…}") is not possible here.`,
        `2 «"x\${env» A value from the environment ("\${env:…}") is not possible here.`,
      ],
    ],
    ['environment: [A]\n', ['1 «[A]» "environment" must be a mapping from names to values, not a list.']],
    [
      'environment:\n  lower: 1\n  9A: 1\n  "A=B": 1\n',
      [
        '2 «lower» "lower" is not a valid environment name.',
        '3 «9A» "9A" is not a valid environment name.',
        '4 «"A=B"» "A=B" is not a valid environment name.',
      ],
    ],
    [
      'environment:\n  GOLDFISH_X: 1\n',
      ['2 «GOLDFISH_X» "GOLDFISH_X" is reserved: names with GOLDFISH_ are set by Goldfish.'],
    ],
    [
      'environment:\n  A: [1]\n  B:\n',
      ['2 «[1]» The value of A is no single value.', '3 «B» The value of B is empty.'],
    ],
    [
      'environment:\n  A: 010\n  B: True\n  C: 1.0\n',
      [
        '2 «010» The value of A would change when read as a number, true or false.',
        '3 «True» The value of B would change when read as a number, true or false.',
        '4 «1.0» The value of C would change when read as a number, true or false.',
      ],
    ],
    [
      `environment:\n  A: "Bearer \${env:TOKEN}"\n  B: \${env:token}\n  GOLDFISH_C: \${env:C}\n`,
      [
        `2 «"Bearer» A value from the environment is "\${env:NAME}" and nothing else.`,
        `3 «\${env» A value from the environment is "\${env:NAME}" and nothing else.`,
        `4 «GOLDFISH_C» "GOLDFISH_C" is reserved: names with GOLDFISH_ are set by Goldfish.`,
      ],
    ],
    [
      `compute: { profile: "\${env:PROFILE}" }\n`,
      [
        `1 «"\${env» A value from the environment ("\${env:…}") is not possible here.`,
        `1 «"\${env» Unknown profile "\${env:PROFILE}".`,
      ],
    ],
    ['environment:\n  A: "x\\0y"\n', ['2 «"x\\0y"» The value of A has a null character in it.']],
    [
      `environment:\n  A: ${'x'.repeat(70_000)}\n`,
      [`2 «${'x'.repeat(70_000)}» The value of A is longer than 65536 bytes.`],
    ],
  ])('is refused: %j', async (text, expected) => {
    const found = await problemsOf(stages, { 'configs/a.yaml': text });
    expect(found).toEqual(expected.map((problem) => `configs/a.yaml:${problem}`));
  });

  it('never shows a value of the environment, which may be a secret', async () => {
    const { problems } = await loadPipeline({
      files: memoryFiles({
        'pipeline.yaml': `stages:\n${stages}`,
        'configs/a.yaml': `environment:\n  GOLDFISH_T: hunter2\n  bad: hunter2\n  A: [hunter2]\n  B: "hunter2\\0"\n  C: "\${env:hunter2}"\n`,
      }),
    });
    expect(problems.length).toBeGreaterThan(4);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });

  it.each([
    '',
    '# nothing yet\n',
    'compute:\nenvironment:\n',
    'compute: { memory: 268435456, timeout_seconds: 0.5, backend: process }\n',
    'compute: { capacity_wait_seconds: 0 }\n',
    'compute: { profile: big, nodes: 4, cpus: 0.5, gpus: 0, heartbeat_timeout_seconds: 60, backend: docker }\n',
    'compute: { profile: cpu-small, nodes: null, cpus: null, gpus: null, heartbeat_timeout_seconds: null }\n',
    `environment: { TOKEN: "\${env:MY_TOKEN}", PLAIN: x }\n`,
    'constructor: 1\ntoString: 2\n',
  ])('is accepted: %j', async (text) => {
    expect(await problemsOf(stages, { 'configs/a.yaml': text })).toEqual([]);
  });

  it('of a stage that does not exist is reported, with the stage that may be meant', async () => {
    const files = memoryFiles({
      'pipeline.yaml': `stages:\n  - { name: train, ${RUN} }\n`,
      'configs/trian.yaml': '',
      'configs/notes.md': '',
      'configs/old/x.yaml': '',
    });
    const { problems } = await loadPipeline({ files });
    expect(problems).toEqual([
      {
        file: 'configs/trian.yaml',
        line: 1,
        column: 1,
        message: 'There is no stage "trian".',
        hint: 'Did you mean configs/train.yaml?',
        allowed: ['train'],
      },
    ]);
  });

  it('may belong to a stage of another pipeline', async () => {
    const other = { 'pipelines/other.yaml': `stages: [{ name: b, ${RUN} }]`, 'configs/b.yaml': '' };
    expect(await problemsOf(stages, other)).toEqual([]);
    // Nobody knows the stages of a pipeline that cannot be read.
    expect(await problemsOf(stages, { ...other, 'pipelines/other.yaml': 'stages: [' })).toEqual([]);
  });

  it('is not said to belong to no stage while a stage has no readable name', async () => {
    const found = await problemsOf(`  - { name: a b, ${RUN} }\n`, { 'configs/ab.yaml': '' });
    expect(found).toEqual([expect.stringContaining('"name" must be a name')]);
  });

  it('is read only with the ending .yaml, and says so', async () => {
    expect(await problemsOf(stages, { 'configs/a.yml': 'x: 1\n' })).toEqual([
      'configs/a.yml:1 «x» Only configs that end in .yaml are read.',
    ]);
  });
});
