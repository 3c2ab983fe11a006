import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMetrics } from '../../../src/runs/metrics-file.ts';

const run = promisify(execFile);
const LIBRARY = join(import.meta.dirname, '../../../sdk/python');
const NOW = '2026-01-01T00:00:00.000Z';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'goldfish-metrics-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function log(program: string): Promise<void> {
  await writeFile(join(folder, 'config.json'), '{}');
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '/',
    PYTHONPATH: LIBRARY,
    PYTHONDONTWRITEBYTECODE: '1',
    GOLDFISH_CONTROL: folder,
    GOLDFISH_CONFIG: join(folder, 'config.json'),
  };
  await run('python3', ['-c', `from goldfish import *\n${program}`], { env });
}

describe('what the stage library writes, as the server reads it', () => {
  it('comes through with every name, value, step and message', async () => {
    await log(`
log_metric("loss", 0.1, step=1)
log_metrics({"nan": float("nan"), "up": float("inf"), "down": float("-inf")}, step=2.5)
log_metric("🐧" * 64, -7)
log_metric("truth", True)
log_metric("large", 2 ** 70)
log_metric("small", 5e-324)
progress(0.25, "first")
progress(0.5, "x" * 500)
`);
    const batch = await readMetrics(join(folder, 'metrics.jsonl'), 0, { now: NOW });
    expect(batch.points.map(({ name, value, step }) => [name, value, step])).toEqual([
      ['loss', 0.1, 1],
      ['nan', Number.NaN, 2.5],
      ['up', Number.POSITIVE_INFINITY, 2.5],
      ['down', Number.NEGATIVE_INFINITY, 2.5],
      ['🐧'.repeat(64), -7, null],
      ['truth', 1, null],
      ['large', 2 ** 70, null],
      ['small', 5e-324, null],
    ]);
    expect(batch.points.every(({ loggedAt }) => loggedAt !== NOW && loggedAt.endsWith('Z'))).toBe(true);
    expect(batch).toMatchObject({ progress: 0.5, message: 'x'.repeat(200), ignored: 0, more: false });
  });
});
