import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { DemoReport } from '../../src/cli/demo/report.ts';
import { until } from '../contracts/backend-harness.ts';
import { docker, hasEngine, NEEDS_ENGINE } from '../contracts/docker-under-test.ts';
import { goldfish } from '../integration/cli-program.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) {
    for (const { pid } of ask<{ pid: number | null }>(folder, 'SELECT pid FROM supervisor_lease')) {
      if (pid === null) continue;
      process.kill(pid, 'SIGTERM');
      await until(
        async () => ask<{ pid: number | null }>(folder, 'SELECT pid FROM supervisor_lease')[0]?.pid === null,
        'the supervisor ended',
      );
    }
    await rm(folder, { recursive: true, force: true });
  }
});

function ask<Row>(folder: string, sql: string): Row[] {
  const db = new Database(join(folder, '.goldfish', 'goldfish.db'), { readonly: true });
  try {
    return db.prepare<[], Row>(sql).all();
  } finally {
    db.close();
  }
}

async function demoOn(backend: 'process' | 'docker'): Promise<DemoReport> {
  const folder = await mkdtemp(join(tmpdir(), `goldfish-demo-${backend}-`));
  folders.push(folder);
  const config = `project_name: demo\ndefaults: { backend: ${backend} }\ndocker: { base_image: '${TEST_IMAGE}' }\n`;
  await writeFile(join(folder, 'goldfish.yaml'), config);
  const { code, out, err } = await goldfish(['demo', '--folder', folder, '--json'], { cwd: folder });
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(ask(folder, 'SELECT DISTINCT backend_type AS name FROM stage_runs')).toEqual([{ name: backend }]);
  return JSON.parse(out) as DemoReport;
}

describe.skipIf(!hasEngine)(`the demo on both local backends${NEEDS_ENGINE}`, () => {
  it('gives the same outputs, hash by hash, and the same metrics', { timeout: 240_000 }, async () => {
    const plain = await demoOn('process');
    const container = await demoOn('docker');
    const outputs = (report: DemoReport) =>
      report.runs.map(({ stage, cause, outputs: made }) => ({ stage, cause, made }));
    expect(plain.runs).toHaveLength(8);
    expect(Object.keys(plain.runs[0]!.outputs)).not.toEqual([]);
    expect(outputs(container)).toEqual(outputs(plain));
    expect(container.metrics).toEqual(plain.metrics);
    const left = await docker.listContainers({ all: true, filters: { label: ['goldfish.run'] } });
    const mine = container.runs.map((run) => run.runId);
    expect(left.filter(({ Labels }) => mine.includes(Labels['goldfish.run'] ?? ''))).toEqual([]);
  });
});
