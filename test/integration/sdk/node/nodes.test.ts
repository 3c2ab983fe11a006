import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { goldfish, LIBRARY, openStage, type Stage } from './stage.ts';

/** Every Node on the PATH that the library is for, newest version of each first: `v24.1.0` → its program. */
function nodes(): Map<string, string> {
  const found = new Map<string, string>();
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  for (const program of [process.execPath, ...folders.map((folder) => join(folder, 'node'))]) {
    try {
      accessSync(program, constants.X_OK);
      const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
      if (!found.has(version) && Number(/\d+/.exec(version)?.[0]) >= 18) found.set(version, program);
    } catch {
      // Not a Node.
    }
  }
  return found;
}

const PROGRAM = `
import { createRequire } from 'node:module';
import goldfish, { loadInput, saveOutput, NdArray } from 'goldfish';
if (createRequire(import.meta.url)('goldfish') !== goldfish) throw new Error('two libraries');
const rows = loadInput('c');
saveOutput('n', NdArray.from(rows.map((row) => [row.a, row.b]), 'int32'));
saveOutput('z', { a: [1, 2], b: ['ü'] });
saveOutput('j', { rows: rows.length, columns: rows.columns });
goldfish.logMetrics({ rows: rows.length, nan: NaN }, 1);
goldfish.progress(1, 'done');
goldfish.saveCheckpoint('state', { best: Infinity, seed: 2n ** 80n }, { step: 1, keep: 1 });
console.log(goldfish.loadCheckpoint(), goldfish.shouldStop(), goldfish.config());
try { goldfish.saveOutput('none', 1); } catch (error) { console.log(error.name + ': ' + error.message); }`;

describe('the library for Node', { timeout: 60_000 }, () => {
  let stage: Stage;
  beforeEach(() => {
    stage = openStage({
      config: { rate: 0.5 },
      inputs: { c: 'csv' },
      outputs: { n: 'npy', z: 'npz', j: 'json' },
    });
    stage.input('c.csv', 'a,b\n1,2\n3,4\n');
  });
  afterEach(() => stage.dispose());

  it('does what its README shows', async () => {
    const readme = readFileSync(join(LIBRARY, 'README.md'), 'utf8');
    const [, program = ''] = /```js\n([^`]*)```/.exec(readme) ?? [];
    const shown = stage.next({ config: { steps: 3 }, inputs: { split: 'csv' }, outputs: { model: 'json' } });
    shown.input('split.csv', 'a\n1\n2\n');
    await shown.node(`${program}\nfunction train(rows, step) { return rows.length / (step + 1); }`);
    expect(JSON.parse(readFileSync(shown.output('model.json'), 'utf8'))).toEqual({ loss: 2 / 3 });
    expect(goldfish.listCheckpoints().map(({ step }) => step)).toEqual([0, 1, 2]);
    const calls = [...readme.matchAll(/`(\w+)\([^`]*\)`/g)].map(([, name = '']) => name);
    const promised = Object.keys(goldfish).filter((name) => !['GoldfishError', 'NdArray'].includes(name));
    expect(promised.filter((name) => !calls.includes(name))).toEqual([]);
  });

  it.each([...nodes()])('does the same on Node %s', async (_, node) => {
    expect(await stage.node(PROGRAM, { node })).toEqual({
      stdout:
        '{ best: Infinity, seed: 1208925819614629174706176n } false { rate: 0.5 }\n' +
        'GoldfishError: This stage has no output "none": Known: j, n, z\n',
      stderr: '',
    });
    const hashes = ['n.npy', 'z.npz', 'j.json'].map((name) =>
      readFileSync(stage.output(name)).toString('base64'),
    );
    await stage.node(PROGRAM);
    expect(
      ['n.npy', 'z.npz', 'j.json'].map((name) => readFileSync(stage.output(name)).toString('base64')),
    ).toEqual(hashes);
  });
});
