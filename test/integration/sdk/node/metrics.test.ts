import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readMetrics } from '../../../../src/runs/metrics-file.ts';
import { goldfish, openStage, refuses, type Stage } from './stage.ts';

const { logMetric, logMetrics, progress } = goldfish;
const NOW = '2026-01-01T00:00:00.000Z';

let stage: Stage;
beforeEach(() => {
  stage = openStage();
});
afterEach(() => stage.dispose());

const file = (): string => join(stage.control, 'metrics.jsonl');
const lines = (): string[] => readFileSync(file(), 'utf8').trimEnd().split('\n');

describe('metrics of a Node stage', { timeout: 60_000 }, () => {
  it('come through to the server with every name, value, step and message', async () => {
    logMetric('loss', 0.1, 1);
    logMetrics(
      { nan: Number.NaN, up: Number.POSITIVE_INFINITY, down: Number.NEGATIVE_INFINITY },
      { step: 2.5 },
    );
    logMetric('🐧'.repeat(64), -7);
    logMetric('truth', true);
    logMetric('large', 2n ** 70n, null);
    logMetric('small', 5e-324, { step: 0 });
    logMetric('minus', -0, undefined);
    logMetric('__proto__', 3);
    progress(0.25, 'first');
    progress(7, 'x'.repeat(500));
    const batch = await readMetrics(file(), 0, { now: NOW });
    expect(batch.points.map(({ name, value, step }) => [name, value, step])).toEqual([
      ['loss', 0.1, 1],
      ['nan', Number.NaN, 2.5],
      ['up', Number.POSITIVE_INFINITY, 2.5],
      ['down', Number.NEGATIVE_INFINITY, 2.5],
      ['🐧'.repeat(64), -7, null],
      ['truth', 1, null],
      ['large', 2 ** 70, null],
      ['small', 5e-324, 0],
      ['minus', -0, null],
      ['__proto__', 3, null],
    ]);
    expect(batch.points.every(({ loggedAt }) => loggedAt !== NOW && loggedAt.endsWith('Z'))).toBe(true);
    expect(batch).toMatchObject({ progress: 1, message: 'x'.repeat(200), ignored: 0, more: false });
  });

  it('are the lines that Python writes for the same calls, but for the time', async () => {
    logMetrics({ 'train/loss': 0.25, n: 3, 'ü"\\': Number.NaN }, 4);
    const own = lines();
    await stage.python(
      'import goldfish; goldfish.log_metrics({"train/loss": 0.25, "n": 3, "ü\\"\\\\": float("nan")}, step=4)',
    );
    const timeless = (line: string): unknown => ({ ...JSON.parse(line), time: typeof JSON.parse(line).time });
    expect(own.map(timeless)).toEqual(lines().slice(3).map(timeless));
    expect(Object.keys(JSON.parse(own[0] ?? ''))).toEqual(Object.keys(JSON.parse(lines()[3] ?? '')));
  });

  it('are all of one call or none, where one is wrong', () => {
    refuses(
      // @ts-expect-error: text is no number
      () => logMetrics({ good: 1, bad: '2' }),
      'Metric bad must be a number, not "2".',
    );
    refuses(() => logMetric('a', 1, Number.NaN), 'The step must be a finite number, not NaN.');
    refuses(
      // @ts-expect-error: a misspelt option
      () => logMetric('a', 1, { stop: 1 }),
      'A metric has no option "stop": did you mean "step"? Known: step',
    );
    // @ts-expect-error: not by name
    refuses(() => logMetrics([1]), 'logMetrics takes an object of numbers by name, not [ 1 ].');
    for (const name of ['', ' ', 'a\nb', 'x'.repeat(129), '\u202e', '\ud83d']) {
      refuses(() => logMetric(name, 1), "A metric's name is 1 to 128 printable characters, not …");
    }
    refuses(
      // @ts-expect-error: what a program without types may do
      () => logMetric(undefined, 1),
      "A metric's name is 1 to 128 printable characters, not undefined.",
    );
    refuses(() => progress(Number.NaN), 'The fraction must be a finite number, not NaN.');
    expect(() => readFileSync(file())).toThrow('ENOENT');
  });

  it('of several processes and threads at once are whole lines, each there once', async () => {
    const program = `
import { Worker, isMainThread, threadId } from 'node:worker_threads';
import { logMetric, logMetrics } from 'goldfish';
if (isMainThread) for (let n = 0; n < 2; n += 1) new Worker(new URL(import.meta.url));
for (let step = 0; step < 200; step += 1) logMetrics({ [process.pid + '/' + threadId + '/a']: step, ['b'.repeat(100)]: step }, step);`;
    await Promise.all([stage.node(program), stage.node(program)]);
    const batch = await readMetrics(file(), 0, { now: NOW });
    expect(batch).toMatchObject({ ignored: 0, more: false });
    const writers = new Set(batch.points.map(({ name }) => name));
    expect([writers.size, batch.points.length]).toEqual([6 + 1, 6 * 200 * 2]);
  });

  it('that the disk refuses are an error of one line', () => {
    process.env['GOLDFISH_CONTROL'] = join(stage.root, 'gone');
    refuses(() => logMetric('a', 1), 'The metric cannot be written: no such file or directory.');
  });
});
