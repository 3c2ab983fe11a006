import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { checkConfig } from '../../../src/config/load-config.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { collectGarbage } from '../../../src/data/gc.ts';
import { createTestClock } from '../../support/test-clock.ts';
import { type Effects, effect, type Kit } from './kit.ts';

const DAY = 86_400_000;
const DAYS = [
  'days_failed_runs',
  'days_stage_checkpoints',
  'days_unused_environments',
  'days_unused_checkouts',
];

/** The kinds that gc would free of a project with one thing of each kind, unused for ten days. */
async function freed(kit: Kit, rules: Record<string, number>): Promise<string[]> {
  const clock = createTestClock(systemClock.now() + 10 * DAY).clock;
  const keep = { ...Object.fromEntries(DAYS.map((key) => [key, null])), ...rules };
  const ctx = await kit.open(`storage: { keep: ${JSON.stringify(keep)} }\n`, clock);
  const state = (path: string): string => kit.write(join('.goldfish', path), 'x'.repeat(100_000));
  state(`environments/${'a'.repeat(64)}/ready.json`);
  state(`code/${'b'.repeat(40)}/main.py`);
  state('runs/stage-1/1/outputs/rest');
  state('runs/stage-1/checkpoints/step-1');
  const { db } = ctx;
  db.prepare("INSERT INTO workspaces (name, goal, created_at) VALUES ('w', 'g', '2026')").run();
  db.prepare("INSERT INTO workspace_versions VALUES ('w', 1, 's', 'c', 'run', 'm', '2026', NULL)").run();
  db.prepare(
    `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason, request_json,
       goldfish_version, created_at) VALUES ('prun-1', 'w', 1, 'p', 'k', 'failed', 'r', '{}', '0', '2026')`,
  ).run();
  db.prepare(
    `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause,
       backend_type, profile, plan_json, created_at, ended_at)
     VALUES ('stage-1', 'prun-1', 0, 'w', 1, 's', 'failed', 'user', 'process', 'default', '{}', '2026', ?)`,
  ).run(new Date(clock.now() - 10 * DAY).toISOString());
  const report = await collectGarbage(ctx.runsDeps, { dryRun: true });
  expect(report.problems).toEqual([]);
  return report.freed.map(({ kind }) => kind).toSorted();
}

/** `keep` lets a kind go after five days and not after twenty. */
function days(key: string, kind: string) {
  return effect(`lets gc take ${kind} that old`, async (kit) => {
    expect(await freed(kit, { [key]: 5 })).toEqual([kind]);
    expect(await freed(kit, { [key]: 20 })).toEqual([]);
  });
}

/** Of what is kept, where, and for how long. */
export const STORAGE_EFFECTS: Effects = {
  'storage.backend': effect('keeps outputs as plain files; others are not built yet', async (kit) => {
    const { storage } = await kit.open('storage: { backend: local }\n');
    await storage.put('sha256/abc', { file: kit.write('output', 'bytes') });
    expect(existsSync(join(kit.root(), '.goldfish/objects/sha256/abc'))).toBe(true);
    kit.write('goldfish.yaml', 'project_name: effects\nstorage: { backend: gcs }\n');
    const { problems } = await checkConfig({ root: kit.root() });
    expect(problems[0]?.hint).toContain('not built yet');
  }),
  'storage.local.path': effect('is where outputs lie', async (kit) => {
    const { storage } = await kit.open('storage: { local: { path: kept } }\n');
    await storage.put('sha256/abc', { file: kit.write('output', 'bytes') });
    expect(existsSync(join(kit.root(), 'kept/sha256/abc'))).toBe(true);
  }),
  'storage.keep.days_failed_runs': days('days_failed_runs', 'attempts'),
  'storage.keep.days_stage_checkpoints': days('days_stage_checkpoints', 'stage checkpoints'),
  'storage.keep.days_unused_environments': days('days_unused_environments', 'environments'),
  'storage.keep.days_unused_checkouts': days('days_unused_checkouts', 'checkouts'),
  'storage.keep.max_gb': effect('lets gc take what may go while the state is larger', async (kit) => {
    expect(await freed(kit, { max_gb: 0.000_01 })).toHaveLength(DAYS.length);
    expect(await freed(kit, { max_gb: 1 })).toEqual([]);
  }),
  'storage.keep.min_free_gb': effect('refuses new data while less is free', async (kit) => {
    const full = await kit.open('storage: { keep: { min_free_gb: 1000000 } }\n');
    kit.write('digits.csv', 'a,b\n');
    await expect(full.sources.fromPath('digits.csv')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
    const free = await kit.open('storage: { keep: { min_free_gb: 0 } }\n');
    kit.write('digits.csv', 'a,b\n');
    expect(await free.sources.fromPath('digits.csv')).toMatchObject({ version: 1 });
  }),
};
