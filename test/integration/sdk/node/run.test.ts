import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { SIGNAL_TYPES } from '../../../../src/core/signals.ts';
import { goldfish, LIBRARY, leaveStage, openStage, refuses, type Stage } from './stage.ts';

let stage: Stage | undefined;
const open = (...declared: Parameters<typeof openStage>): Stage => {
  stage?.dispose();
  stage = openStage(...declared);
  return stage;
};
afterEach(() => {
  stage?.dispose();
  stage = undefined;
});

describe('what a Node stage is told', () => {
  it('is its config: a fresh plain object without the keys that speak to Goldfish', () => {
    open({ config: { k: 5, nested: { a: [1] }, compute: {}, environment: [], metrics: {} } });
    const first = goldfish.config<{ k: number; nested: { a: number[] } }>();
    expect(first).toEqual({ k: 5, nested: { a: [1] } });
    first.nested.a.push(2);
    expect(goldfish.config()).toEqual({ k: 5, nested: { a: [1] } });
  });

  it('is which run it is, with its rank', () => {
    open({ attempt: 2 });
    const one = {
      runId: 'stage-0123456789ab',
      workspace: 'birds',
      version: 'v3',
      stage: 'train',
      attempt: 2,
      rank: 0,
      worldSize: 1,
    };
    expect(goldfish.runInfo()).toEqual(one);
    Object.assign(process.env, { GOLDFISH_RANK: '3', GOLDFISH_WORLD_SIZE: '4' });
    expect(goldfish.runInfo()).toEqual({ ...one, rank: 3, worldSize: 4 });
  });

  it('is exactly the promised path for every type, and a directory is there', () => {
    const types = Object.fromEntries(SIGNAL_TYPES.map((type) => [`the_${type}`, type]));
    const { inputs, outputs } = open({ inputs: types, outputs: types });
    const names = ['the_dataset', 'the_npy.npy', 'the_npz.npz', 'the_csv.csv', 'the_parquet.parquet'];
    names.push('the_json.json', 'the_file', 'the_directory');
    expect(Object.keys(types).map(goldfish.inputPath)).toEqual(names.map((name) => join(inputs, name)));
    expect(Object.keys(types).map(goldfish.outputPath)).toEqual(names.map((name) => join(outputs, name)));
    expect(lstatSync(join(outputs, 'the_directory')).isDirectory()).toBe(true);
    expect(existsSync(join(outputs, 'the_file'))).toBe(false);
  });

  it('names the declared inputs and outputs, the nearest first, where another is asked for', () => {
    open({ inputs: { features: 'npy', split: 'csv' } });
    refuses(
      () => goldfish.loadInput('feature'),
      'This stage has no input "feature": did you mean "features"? Known: features, split',
    );
    for (const name of ['toString', '__proto__']) {
      refuses(() => goldfish.inputPath(name), `This stage has no input "${name}": Known: features, split`);
    }
    refuses(() => goldfish.saveOutput('features', 1), 'This stage has no output "features": there are none');
    // @ts-expect-error: what a program without types may do
    refuses(() => goldfish.inputPath(undefined), 'This stage has no input undefined: Known: features, split');
  });

  it('is nothing outside of a run: each call says how to start one', () => {
    leaveStage();
    const { GoldfishError, NdArray, ...calls } = goldfish;
    const outside: Record<string, unknown[]> = {
      heartbeat: [],
      logArtifact: [import.meta.filename],
      logMetric: ['a', 1],
      logMetrics: [{ a: 1 }],
      progress: [0.5],
      saveCheckpoint: ['a', {}],
      shouldStop: [],
    };
    for (const [name, call] of Object.entries<(...args: never[]) => unknown>(calls)) {
      const args = (outside[name] ?? ['name', 'value']) as never[];
      expect(() => call(...args), name).toThrow(GoldfishError);
      expect(() => call(...args), name).toThrow(
        /^GOLDFISH_[A-Z]+ is not set, so this program is not running as a Goldfish stage: start it with the run tool or `goldfish run WORKSPACE`\.$/,
      );
    }
    expect(new NdArray(new Float32Array(2)).shape).toEqual([2]);
  });

  it('is refused in one line where the run document is damaged', () => {
    const { variables } = open();
    const path = variables['GOLDFISH_CONFIG'] ?? '';
    process.env['GOLDFISH_CONFIG'] = `${path}.gone`;
    refuses(() => goldfish.config(), 'The run document behind GOLDFISH_CONFIG cannot be read: ENOENT…');
    process.env['GOLDFISH_CONFIG'] = join(LIBRARY, 'index.js');
    refuses(() => goldfish.config(), 'The run document behind GOLDFISH_CONFIG cannot be read: …');
  });
});

describe('the library for Node', () => {
  it('has every call of the Python library, in camel case', () => {
    const python = readFileSync(join(LIBRARY, '../python/goldfish/__init__.py'), 'utf8');
    const names = [...(/__all__ = \[([^\]]*)\]/.exec(python)?.[1] ?? '').matchAll(/"(\w+)"/g)].map(
      ([, name = '']) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    );
    expect(names.length).toBeGreaterThan(14);
    expect(Object.keys(goldfish).filter((name) => name !== 'NdArray')).toEqual(names.sort());
  });

  it('has types for all it has, and nothing else', () => {
    const types = readFileSync(join(LIBRARY, 'index.d.ts'), 'utf8');
    const declared = [...types.matchAll(/^export (?:function|class) (\w+)/gm)].map(([, name]) => name);
    expect(declared.sort()).toEqual(Object.keys(goldfish).sort());
  });

  it('imports nothing but Node itself', () => {
    const files = readdirSync(join(LIBRARY, 'lib')).map((name) => join(LIBRARY, 'lib', name));
    const required = [...files, join(LIBRARY, 'index.js')].flatMap((file) => [
      ...readFileSync(file, 'utf8').matchAll(/require\('([^']+)'\)/g),
    ]);
    expect(required.length).toBeGreaterThan(30);
    expect(required.map(([, name = '']) => name).filter((name) => !/^(node:|\.\.?\/)/.test(name))).toEqual(
      [],
    );
  });
});
