import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { collectGarbage } from '../../src/data/gc.ts';
import { cacheCandidates } from '../../src/data/gc-caches.ts';
import { objectCandidates } from '../../src/data/gc-objects.ts';
import { runCandidates } from '../../src/data/gc-runs.ts';
import { objectKey } from '../../src/data/object-keys.ts';
import { addVersion, registerSource, type SourceDeps } from '../../src/data/register-source.ts';
import { storeFile, storeFolder } from '../../src/data/store-content.ts';
import { withLock } from '../../src/store/lock.ts';
import { deleteSourceVersions } from '../../src/store/sources.ts';
import { createTestClock } from '../support/test-clock.ts';
import { createDataProject, type DataProject } from './data-project.ts';

const DAY = 86_400_000;
const HEX = 'a'.repeat(64);
const TREE = 'b'.repeat(40);

let starts = 0;
let project: DataProject;
let clock: ReturnType<typeof createTestClock>;
beforeEach(async () => {
  // What the kernel dates now is old to this clock, and no test begins before another ended: times of objects never
  // go back within a process.
  starts += 1;
  clock = createTestClock(systemClock.now() + starts * 1_000 * DAY);
  project = await createDataProject({ clock: clock.clock });
  project.db.prepare("INSERT INTO workspaces (name, goal, created_at) VALUES ('w', 'g', '2026')").run();
  project.db
    .prepare(`INSERT INTO workspace_versions VALUES ('w', 1, 's', '${TREE}', 'run', 'm', '2026', NULL)`)
    .run();
});
afterEach(() => project.dispose());

const state = (path: string): string => join(project.deps.layout.stateDir, path);
const write = (path: string, content = 'x'): string => project.write(state(path), content);
const there = (path: string): boolean => existsSync(state(path));
const keepOf = (keep: Partial<SourceDeps['config']['storage']['keep']>) => ({
  ...project.deps,
  config: { storage: { keep: { ...project.deps.config.storage.keep, ...keep } } },
});
const collect = (keep: Parameters<typeof keepOf>[0] = {}, dryRun = false) =>
  collectGarbage(keepOf(keep), { dryRun });

/** A run of the environment HEX and the version TREE; open where it has no end. */
function addRun(id: string, ended: { state: string; daysAgo: number } | null, input?: string): void {
  const { db } = project;
  const at = ended && new Date(clock.clock.now() - ended.daysAgo * DAY).toISOString();
  db.prepare(
    "INSERT INTO pipeline_runs VALUES (?, 'w', 1, 'p', 'k', 'running', 'r', '{}', NULL, '0', '2026', NULL, NULL, NULL)",
  ).run(`prun-${id}`);
  db.prepare(
    `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause, backend_type,
       profile, plan_json, created_at, ended_at) VALUES (?, ?, 0, 'w', 1, 's', ?, ?, 'process', 'default', ?, '2026', ?)`,
  ).run(
    `stage-${id}`,
    `prun-${id}`,
    ended?.state ?? 'pending',
    ended && 'user',
    JSON.stringify({ environmentKey: `sha256:${HEX}` }),
    at,
  );
  if (input === undefined) return;
  db.prepare("INSERT INTO run_inputs (run_id, name, signal_type, hash) VALUES (?, 'in', 'file', ?)").run(
    `stage-${id}`,
    input,
  );
}

describe('while others are at work', () => {
  it('leaves what a run came to need after it was looked at', async () => {
    write(`environments/${HEX}/ready.json`);
    write(`code/${TREE}/main.py`);
    write(`folders/${HEX}/file`);
    const found = await cacheCandidates(project.deps, project.deps.config.storage.keep);
    expect(found.map(({ kind, due }) => [kind, due])).toEqual([
      ['environments', true],
      ['checkouts', true],
      ['folders', true],
    ]);
    addRun('1', null, `sha256:${HEX}`);
    expect(await Promise.all(found.map((candidate) => candidate.free()))).toEqual([false, false, false]);
    expect(there(`environments/${HEX}/ready.json`)).toBe(true);
    expect(there(`code/${TREE}/main.py`)).toBe(true);
    expect(there(`folders/${HEX}/file`)).toBe(true);
  });

  it('leaves the folders of a run that was tagged after it was looked at', async () => {
    addRun('1', { state: 'failed', daysAgo: 50 });
    write('runs/stage-1/1/log/0.log');
    const [found] = await runCandidates(project.deps, project.deps.config.storage.keep);
    project.db.prepare("INSERT INTO tags VALUES ('w', 'baseline', 1, NULL, '2026')").run();
    expect(await found?.free()).toBe(false);
    expect(there('runs/stage-1/1/log/0.log')).toBe(true);
  });

  it('leaves content that is stored again after it was looked at', async () => {
    const file = project.write('file', 'content');
    const { storageLocation } = await storeFile(project.deps, file);
    clock.advance(2 * DAY);
    const [found] = await objectCandidates(project.deps);
    expect(found?.what).toBe(`content ${storageLocation.slice(-64, -52)}`);
    await storeFile(project.deps, file);
    expect(await found?.free()).toBe(false);
    expect(await project.deps.storage.stat(storageLocation)).toMatchObject({ size: 7 });
  });

  it('loses nothing that is stored and named while it goes on', async () => {
    const file = project.write('file', 'content');
    for (let round = 0; round < 25; round += 1) {
      const stored = await storeFile(project.deps, file);
      clock.advance(2 * DAY);
      const name = `source-${round}`;
      const register = async (): Promise<void> => {
        const content = await storeFile(project.deps, file);
        const told = { uri: 'file', description: 'd', fingerprint: 'full', metadata: {} } as const;
        addVersion(project.deps, { name, content, ...told });
      };
      await Promise.all([collect(), register()]);
      const kept = await project.deps.storage.stat(stored.storageLocation);
      expect(kept, `round ${round}`).toMatchObject({ size: 7 });
      deleteSourceVersions(project.db, { name, at: '2026-01-01T00:00:00.000Z' });
    }
  });

  it('is done by one at a time', async () => {
    let done: (() => void) | undefined;
    const held = new Promise<void>((resolve) => {
      done = resolve;
    });
    const holding = withLock(project.deps.layout.gcLock, { clock: systemClock, what: 'x' }, () => held);
    await expect(collect()).rejects.toMatchObject({ code: 'CONFLICT', retryable: true });
    done?.();
    await holding;
    await expect(collect()).resolves.toMatchObject({ problems: [] });
  });
});

describe('content', () => {
  it('of a source stays with it, a day longer, and for ever where a run has read it', async () => {
    project.write('set/a', 'a');
    project.write('lone', 'b');
    const set = await registerSource(project.deps, { name: 'set', uri: 'set', description: 'd' });
    const lone = await registerSource(project.deps, { name: 'lone', uri: 'lone', description: 'd' });
    addRun('1', { state: 'completed', daysAgo: 0 });
    project.db
      .prepare(
        `INSERT INTO run_inputs (run_id, name, signal_type, hash, from_source, from_source_version)
         VALUES ('stage-1', 'in', 'dataset', ?, 'set', 1)`,
      )
      .run(set.source.hash);
    const left = async (): Promise<number> => (await project.deps.storage.list('sha256/')).objects.length;
    clock.advance(90 * DAY);
    await collect();
    expect(await left()).toBe(3);
    for (const name of ['set', 'lone']) {
      deleteSourceVersions(project.db, { name, at: new Date(clock.clock.now()).toISOString() });
    }
    await collect();
    expect(await left()).toBe(3);
    clock.advance(2 * DAY);
    await collect();
    expect(await left()).toBe(2);
    expect(await project.deps.storage.stat(lone.source.storageLocation)).toBeUndefined();
  });

  it('stays whole where the files of one folder cannot be told, and the rest is freed all the same', async () => {
    project.write('set/a', 'a');
    const { source } = await registerSource(project.deps, { name: 'set', uri: 'set', description: 'd' });
    const lone = await storeFile(project.deps, project.write('lone', 'b'));
    await project.deps.storage.put(source.storageLocation, Buffer.from('nonsense'));
    write(`environments/${HEX}/ready.json`);
    clock.advance(90 * DAY);
    const report = await collect();
    expect(report.problems).toEqual([{ kind: 'objects', message: 'folder manifest line is malformed' }]);
    expect(report.freed.map(({ kind }) => kind)).toEqual(['environments']);
    expect(await project.deps.storage.stat(lone.storageLocation)).toMatchObject({ size: 1 });
  });

  it('of a folder that nothing names goes with its files, but not with those that others share', async () => {
    project.write('set/own', 'own');
    project.write('set/shared', 'shared');
    await storeFolder(project.deps, join(project.root, 'set'));
    const shared = await registerSource(project.deps, {
      name: 'shared',
      uri: 'set/shared',
      description: 'd',
    });
    clock.advance(2 * DAY);
    const report = await collect();
    expect(report.freed.filter(({ kind }) => kind === 'objects')).toHaveLength(2);
    const { objects } = await project.deps.storage.list('sha256/');
    expect(objects.map(({ key }) => key)).toEqual([objectKey(shared.source.hash)]);
  });
});

describe('the rules of storage.keep', () => {
  it('keep for ever where they name no days', async () => {
    addRun('1', { state: 'failed', daysAgo: 500 });
    write('runs/stage-1/1/log/0.log');
    write('runs/stage-1/checkpoints/1');
    write(`environments/${HEX}/ready.json`);
    const never = {
      daysFailedRuns: null,
      daysStageCheckpoints: null,
      daysUnusedEnvironments: null,
      daysUnusedCheckouts: null,
    };
    const report = await collect(never);
    expect(report.freed).toEqual([]);
    expect(report.laterBytes).toBeGreaterThan(0);
    expect((await collect()).freed).toHaveLength(3);
    expect(there('runs/stage-1')).toBe(false);
  });

  it('count days from the last use', async () => {
    write(`environments/${HEX}/ready.json`);
    addRun('1', { state: 'completed', daysAgo: 20 });
    expect((await collect({ daysUnusedEnvironments: 21 })).freed).toEqual([]);
    expect((await collect({ daysUnusedEnvironments: 20 })).freed).toHaveLength(1);
  });

  it('take the oldest first while everything together is too large, and never what is needed', async () => {
    const big = 'x'.repeat(200_000);
    addRun('1', { state: 'failed', daysAgo: 3 });
    addRun('2', { state: 'failed', daysAgo: 5 });
    addRun('3', { state: 'failed', daysAgo: 1 });
    addRun('4', null);
    for (const id of [1, 2, 3, 4]) write(`runs/stage-${id}/1/outputs/big`, big);
    const { stateBytes } = await collect({}, true);
    const report = await collect({ maxBytes: stateBytes - 250_000 });
    expect(report.freed.map(({ what, why }) => [what, why])).toEqual([
      ['attempt 1 of stage-2', 'size'],
      ['attempt 1 of stage-1', 'size'],
    ]);
    expect(report.freedBytes).toBeGreaterThanOrEqual(400_000);
    const all = await collect({ maxBytes: 1 });
    expect(all.freed.map(({ what }) => what)).toEqual(['attempt 1 of stage-3']);
    expect(readFileSync(state('runs/stage-4/1/outputs/big'), 'utf8')).toBe(big);
  });

  it('do not count as freed what stays by another name', async () => {
    addRun('1', { state: 'failed', daysAgo: 50 });
    const output = write('runs/stage-1/1/outputs/big', 'x'.repeat(500_000));
    await project.deps.storage.put('sha256/elsewhere', { file: output });
    const report = await collect();
    expect(report.freed).toHaveLength(1);
    expect(report.freedBytes).toBeLessThan(100_000);
  });
});

describe('what deaths have left', () => {
  it('goes once nothing was written to it for a day', async () => {
    const young = write('scratch/source-1/copy/deep/file');
    const old = write('scratch/source-2/copy/deep/file');
    const unfinished = write('objects/.goldfish-tmp/0123456789abcdef');
    const then = new Date(clock.clock.now() - 1000);
    utimesSync(young, then, then);
    await collect();
    expect([young, old, unfinished].map((path) => existsSync(path))).toEqual([true, false, false]);
  });

  it('is left alone while it may be at work', async () => {
    const now = { ...project.deps, clock: systemClock };
    const paths = [
      write('scratch/look-1/index'),
      write(`code/.${TREE}.making/main.py`),
      write(`folders/${HEX}.01234567/file`),
      write('objects/.goldfish-tmp/0123456789abcdef'),
    ];
    expect((await collectGarbage(now, { dryRun: false })).freed).toEqual([]);
    expect(paths.every((path) => existsSync(path))).toBe(true);
  });
});
