import { describe, expect, it } from 'vitest';
import { loadPipeline } from '../../src/pipeline/load-pipeline.ts';
import { LOOKUPS, memoryFiles, problemsOf, RUN } from './memory-files.ts';

describe('a signal', () => {
  const producer = `  - { name: a, ${RUN}, outputs: { x: csv, y: json } }\n`;

  it.each([
    ['{ from_stage: b, signal: x }', ['3 «b» Unknown stage "b".']],
    ['{ from_stage: a, signal: z }', ['3 «z» The stage "a" has no output "z".']],
    ['{ from_stage: a }', ['3 «in» The stage "a" has no output "in".']],
    ['{ from_stage: a, signal: x, type: npy }', ['3 «npy» "a" makes "x" as csv, not as npy.']],
    [
      '{ from_stage: a, signal: x, type: tsv }',
      ['3 «tsv» "type" must be one of dataset, npy, npz, csv, parquet, json, file, directory, not "tsv".'],
    ],
    [
      '{ from_stge: a, signal: x }',
      ['3 «in» The input "in" does not say which stage makes it.', '3 «from_stge» Unknown key "from_stge".'],
    ],
    ['{ from_stage: a, signal: x, schema: {} }', ['3 «schema» "schema" arrives in a later version.']],
    ['{ from_stage: [a] }', ['3 «[a]» "from_stage" must be text, not a list.']],
    ['{ from_stage: a, signal: 3 }', ['3 «3» "signal" must be text, not 3.']],
    ['csv', ['3 «in» The input "in" does not say which stage makes it.']],
    ['', ['3 «in» "in" must be a mapping with the keys from_stage and signal, or dataset, not empty.']],
    ['dataset', ['3 «in» The input "in" does not say which dataset it is.']],
    ['{ type: dataset }', ['3 «in» The input "in" does not say which dataset it is.']],
    ['{ type: dataset, dataset: digts }', ['3 «digts» The dataset "digts" is not registered.']],
    ['{ dataset: digits@v3 }', ['3 «digits@v3» The dataset "digits" has no version v3.']],
    ['{ dataset: digits@3 }', ['3 «digits@3» "digits@3" is not the name of a dataset.']],
    ['{ dataset: a@v1@v2 }', ['3 «a@v1@v2» "a@v1@v2" is not the name of a dataset.']],
    ['{ dataset: ../raw }', ['3 «../raw» "../raw" is not the name of a dataset.']],
    ['{ dataset: 7 }', ['3 «7» "dataset" must be text, not 7.']],
    ['{ dataset: digits, type: csv }', ['3 «csv» A dataset is read as the type "dataset", not as "csv".']],
    [
      '{ dataset: digits, from_stage: a }',
      ['3 «from_stage» The input "in" is a dataset, so no stage makes it.'],
    ],
    ['{ from_stage: c, signal: out }', ['3 «c» The stages need each other in a circle: c → c.']],
  ])('is refused as the input %s', async (input, expected) => {
    const stages =
      `${producer}  - { name: c, command: [a], inputs: { in: ${input} }, outputs: { out: csv } }\n`
        .replace('command: [a], inputs: { ', 'inputs: { in: ')
        .replace('in: in: ', 'in: ');
    const found = await problemsOf(stages, { 'modules/c.py': '' });
    expect(found).toEqual(expected.map((problem) => `pipeline.yaml:${problem}`));
  });

  it.each([
    ['{ x: tsv }', ['2 «tsv» "x" must be one of npy, npz, csv, parquet, json, file, directory, not "tsv".']],
    [
      '{ x: { type: 3 } }',
      ['2 «3» "type" must be one of npy, npz, csv, parquet, json, file, directory, not 3.'],
    ],
    ['{ x: {} }', ['2 «x» "type" is missing.']],
    ['{ x: }', ['2 «x» "x" must be a type or a mapping with the key type, not empty.']],
    ['{ x: dataset }', ['2 «dataset» The type "dataset" stands on inputs only.']],
    ['{ x: { type: dataset } }', ['2 «dataset» The type "dataset" stands on inputs only.']],
    ['{ x: { type: json, schema: {} } }', ['2 «schema» "schema" arrives in a later version.']],
    ['{ x.csv: csv }', ['2 «x.csv» "x.csv" is not a valid signal name.']],
    ['{ "": csv }', ['2 «""» A key must be plain text.']],
    ['{ x: csv, x: json }', ['2 «x» The key "x" stands here a second time; the first is on line 2.']],
  ])('is refused as the outputs %s', async (outputs, expected) => {
    const found = await problemsOf(`  - { name: a, ${RUN}, outputs: ${outputs} }\n`);
    expect(found).toEqual(expected.map((problem) => `pipeline.yaml:${problem}`));
  });

  it('that is a dataset names the one that may be meant, or how to register one', async () => {
    const pipeline = `stages: [{ name: a, ${RUN}, inputs: { raw: { dataset: digts } } }]`;
    const files = memoryFiles({ 'pipeline.yaml': pipeline });
    const known = await loadPipeline({ files, lookups: LOOKUPS });
    expect(known.problems).toMatchObject([{ hint: 'Did you mean "digits"?', allowed: ['digits'] }]);
    const none = await loadPipeline({ files });
    expect(none.problems).toMatchObject([{ hint: 'Register it with register_source.' }]);
  });

  it('is not reported missing where its stage could not be read', async () => {
    const stages = `  - { name: a, ${RUN}, outputs: [x] }\n  - { name: b, ${RUN}, inputs: { x: { from_stage: a } } }\n`;
    expect(await problemsOf(stages)).toEqual([expect.stringContaining('"outputs" must be a mapping')]);
    const unnamed = `  - { name: a b, ${RUN} }\n  - { name: b, ${RUN}, inputs: { x: { from_stage: a b } } }\n`;
    expect(await problemsOf(unnamed)).toEqual([expect.stringContaining('"name" must be a name')]);
  });

  it('in a circle is shown as the walk, and each circle once', async () => {
    const stage = (name: string, from: string) =>
      `  - { name: ${name}, ${RUN}, inputs: { x: { from_stage: ${from} } }, outputs: { x: csv } }\n`;
    const stages =
      stage('a', 'c') +
      stage('b', 'a') +
      stage('c', 'b') +
      stage('d', 'e') +
      stage('e', 'd') +
      stage('f', 'a');
    expect(await problemsOf(stages)).toEqual([
      'pipeline.yaml:2 «c» The stages need each other in a circle: a → c → b → a.',
      'pipeline.yaml:5 «e» The stages need each other in a circle: d → e → d.',
    ]);
  });
});
