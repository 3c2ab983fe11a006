import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { penguinsCsv, readPenguins } from '../../../scripts/vendor-penguins.ts';
import type { FileReader } from '../../../src/pipeline/file-reader.ts';
import { validateWorkspace } from '../../../src/pipeline/validate-project.ts';
import { type Executed, runByHand } from './by-hand.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PENGUINS = join(ROOT, 'examples/penguins');
const LANGUAGES = join(ROOT, 'examples/three-languages');
const MINIMAL = join(ROOT, 'templates/minimal');
/** Eight stages of Python one after the other, on a machine that may be busy. */
const PATIENCE = 60_000;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-examples-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the penguins example', () => {
  let plain: Promise<Executed> | undefined;
  /** As it is committed; several tests compare with it. */
  const unchanged = (): Promise<Executed> => {
    plain ??= run('unchanged', { environment: { PYTHONHASHSEED: '1' } });
    return plain;
  };
  const run = (name: string, more: Partial<Parameters<typeof runByHand>[0]> = {}): Promise<Executed> =>
    runByHand({ workspace: PENGUINS, folder: join(folder, name), ...more });

  it('has the table that its script makes from the package', async () => {
    const committed = await readFile(join(PENGUINS, 'data/penguins.csv'), 'utf8');
    expect(committed).toBe(penguinsCsv(await readPenguins()));
    expect(committed.split('\n')).toHaveLength(344 + 2);
  });

  it('states the source and the licence of the data as they are', async () => {
    const source = await readFile(join(ROOT, 'node_modules/vega-datasets/data/penguins.json'));
    const licence = await readFile(join(PENGUINS, 'DATA-LICENSE'), 'utf8');
    const blob = createHash('sha1').update(`blob ${source.length}\0`).update(source).digest('hex');
    expect(licence).toContain(`git blob ${blob}`);
    expect(licence).toContain('CC0 1.0 Universal');
  });

  it(
    'gives the same bytes again, whatever the seed of hashing',
    async () => {
      const first = await unchanged();
      const second = await run('seed-2', { environment: { PYTHONHASHSEED: '2' } });
      expect(second.hashes).toEqual(first.hashes);
      expect(second.metrics).toEqual(first.metrics);
      expect(Object.keys(first.hashes)).toEqual([
        'preprocess/features.npy',
        'preprocess/scaling.json',
        'preprocess/split.csv',
        'train_logistic/model.json',
        'train_knn/model.json',
        'evaluate/confusion.csv',
        'evaluate/report.json',
      ]);
      expect(JSON.parse(await first.output('evaluate/report.json'))).toEqual({
        holdout_rows: 87,
        accuracy: { logistic: 0.8161, knn: 0.6667 },
        best: 'logistic',
      });
    },
    PATIENCE,
  );

  it(
    'shows a change of one parameter in that model and the evaluation, and nowhere else',
    async () => {
      const before = await unchanged();
      const neighbours = await run('k', { overrides: { train_knn: { k: 7 } } });
      expect(changed(before, neighbours)).toEqual([
        'train_knn/model.json',
        'evaluate/confusion.csv',
        'evaluate/report.json',
      ]);
      expect(neighbours.metrics).toMatchObject({
        'evaluate/knn_accuracy': 0.8391,
        'evaluate/logistic_accuracy': 0.8161,
        'evaluate/best_accuracy': 0.8391,
      });

      const faster = await run('rate', { overrides: { train_logistic: { learning_rate: 0.5 } } });
      expect(changed(before, faster)).toContain('train_logistic/model.json');
      expect(faster.metrics['train_logistic/loss']).toBeLessThan(before.metrics['train_logistic/loss'] ?? 0);
    },
    PATIENCE,
  );

  it('holds nothing that a machine leaves behind', () => expect(strayFiles(PENGUINS)).resolves.toEqual([]));
});

describe('the example in three languages', () => {
  it(
    'goes from a shell script through Node to Python, and gives the same bytes again',
    async () => {
      const first = await runByHand({ workspace: LANGUAGES, folder: join(folder, 'languages-1') });
      const second = await runByHand({ workspace: LANGUAGES, folder: join(folder, 'languages-2') });
      expect(first.hashes).toEqual(second.hashes);
      expect(Object.keys(first.hashes)).toEqual([
        'collect/readings.csv',
        'average/hours.npy',
        'average/sensors.json',
        'judge/report.json',
      ]);
      expect(JSON.parse(await first.output('judge/report.json'))).toEqual({
        change: { 'bed-a': 7.9, 'bed-b': 15.05, cellar: 1.55 },
        needs_shade: ['bed-b'],
      });
      expect(first.metrics).toEqual({
        'collect/silent': 4,
        'average/bed-a/warmest': 20.9,
        'average/bed-b/warmest': 27,
        'average/cellar/warmest': 11.8,
        'judge/needs_shade': 1,
      });
    },
    PATIENCE,
  );

  it(
    'shades another bed where less change is too much',
    async () => {
      const overrides = { judge: { most_change: 7 } };
      const strict = await runByHand({
        workspace: LANGUAGES,
        folder: join(folder, 'languages-3'),
        overrides,
      });
      expect(strict.metrics['judge/needs_shade']).toBe(2);
    },
    PATIENCE,
  );

  it('holds nothing that a machine leaves behind', () => expect(strayFiles(LANGUAGES)).resolves.toEqual([]));
});

describe('the template of a new workspace', () => {
  it(
    'runs as it is and gives the same bytes again',
    async () => {
      const first = await runByHand({ workspace: MINIMAL, folder: join(folder, 'minimal-1') });
      const second = await runByHand({ workspace: MINIMAL, folder: join(folder, 'minimal-2') });
      expect(first.hashes).toEqual(second.hashes);
      expect(await first.output('summarize/summary.json')).toBe(
        '{\n  "count": 200,\n  "mean": 10.1118,\n  "deviation": 1.9351\n}\n',
      );
      expect(first.metrics).toEqual({
        'generate/count': 200,
        'summarize/mean': 10.1118,
        'summarize/deviation': 1.9351,
      });
    },
    PATIENCE,
  );

  it('holds nothing that a machine leaves behind, and no file that npm would leave out', async () => {
    expect(await strayFiles(MINIMAL)).toEqual([]);
    // npm drops every .gitignore from a package; .goldfishignore has the same syntax and stays.
    expect(await readdir(MINIMAL)).not.toContain('.gitignore');
  });
});

describe.each([
  ['the penguins example', PENGUINS],
  ['the example in three languages', LANGUAGES],
  ['the template of a new workspace', MINIMAL],
])('%s', (_, workspace) => {
  it('has no problem that validate would find', async () => {
    expect(await validateWorkspace({ files: folderReader(workspace) })).toEqual([]);
  });
});

function folderReader(folder: string): FileReader {
  return {
    list: async () => {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
    },
    read: (path) => readFile(join(folder, path), 'utf8').catch(() => null),
  };
}

function changed(before: Executed, after: Executed): string[] {
  return Object.keys(before.hashes).filter((path) => before.hashes[path] !== after.hashes[path]);
}

async function strayFiles(workspace: string): Promise<string[]> {
  const files = await readdir(workspace, { recursive: true });
  return files.filter((file) => /__pycache__|\.pyc$|~$|\.DS_Store/.test(file));
}
