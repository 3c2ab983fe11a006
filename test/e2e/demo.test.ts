import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { goldfish } from '../integration/cli-program.ts';

type Report = {
  versions: string[];
  runs: { stage: string; version: string; state: string; cause: string }[];
  config: { name: string; values: unknown[] }[];
  metrics: { name: string; values: unknown[] }[];
  seconds: number;
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-demo-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the demo', () => {
  it('makes v1, v2 and v3, and eight runs of which the untouched two are reused', async () => {
    const { code, out } = await goldfish(['demo', '--folder', folder, '--json'], { cwd: folder });
    expect(code).toBe(0);
    const report = JSON.parse(out) as Report;
    expect(report.versions).toEqual(['v1', 'v2', 'v3']);
    expect(report.runs.map((run) => `${run.version} ${run.stage} ${run.state} ${run.cause}`)).toEqual([
      'v2 preprocess completed success',
      'v2 train_logistic completed success',
      'v2 train_knn completed success',
      'v2 evaluate completed success',
      'v3 preprocess completed cached',
      'v3 train_logistic completed cached',
      'v3 train_knn completed success',
      'v3 evaluate completed success',
    ]);
    expect(report.config).toEqual([{ name: 'train_knn.k', values: [1, 7] }]);
    const accuracy = report.metrics.find((metric) => metric.name === 'evaluate.knn_accuracy');
    expect(accuracy?.values[0]).not.toBe(accuracy?.values[1]);
    expect(report.seconds).toBeLessThan(60);
  });
});
