import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import { TEST_IMAGE } from '../../scripts/setup/test-image.ts';
import type { DemoReport } from '../../src/cli/demo/report.ts';
import { until } from '../contracts/backend-harness.ts';
import { goldfish } from '../integration/cli-program.ts';

const folders: string[] = [];

/** Ends the supervisors of the projects that were made here, and removes them. */
export async function endDemos(): Promise<void> {
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
}

/** Rows of a project's database. */
export function ask<Row>(folder: string, sql: string): Row[] {
  const db = new Database(join(folder, '.goldfish', 'goldfish.db'), { readonly: true });
  try {
    return db.prepare<[], Row>(sql).all();
  } finally {
    db.close();
  }
}

/** The demo in a project of its own, every run on that backend. `sections`: further ones of goldfish.yaml. */
export async function demoOn(
  backend: string,
  { sections = '', maxParallel = null }: { sections?: string; maxParallel?: number | null } = {},
): Promise<DemoReport> {
  const folder = await mkdtemp(join(tmpdir(), `goldfish-demo-${backend}-`));
  folders.push(folder);
  const defaults = `defaults: { backend: ${backend}, max_parallel: ${maxParallel} }`;
  const docker = `docker: { base_image: '${TEST_IMAGE}' }`;
  await writeFile(join(folder, 'goldfish.yaml'), `project_name: demo\n${defaults}\n${docker}\n${sections}`);
  const { code, out, err } = await goldfish(['demo', '--folder', folder, '--json'], { cwd: folder });
  expect({ code, err }).toMatchObject({ code: 0 });
  expect(ask(folder, 'SELECT DISTINCT backend_type AS name FROM stage_runs')).toEqual([{ name: backend }]);
  return JSON.parse(out) as DemoReport;
}

/** What every run made, by content. */
export function outputsOf(report: DemoReport) {
  return report.runs.map(({ stage, cause, outputs: made }) => ({ stage, cause, made }));
}
