import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestProject, type TestProject } from '../support/project.ts';
import { endPrograms, goldfish } from './cli-program.ts';

const REASON = ['--reason', 'a test of the command line'];

let project: TestProject;
const at = () => ({ cwd: project.root });
const done = async (...argv: string[]): Promise<string> => {
  const { code, out, err } = await goldfish(argv, at());
  expect({ argv, code, err: code === 0 ? '' : err }).toEqual({ argv, code: 0, err: '' });
  return out;
};

beforeAll(async () => {
  project = createTestProject();
  await done('workspace', 'create', 'exp', '--goal', 'see it work', ...REASON);
  await done('mount', 'exp', ...REASON);
});
afterAll(async () => {
  endPrograms();
  await project.dispose();
});

describe('versions from the command line', { timeout: 180_000 }, () => {
  it('are made, compared, named, rolled back to, hidden and shown again', async () => {
    project.write('workspaces/w1/notes.txt', 'one\n');
    expect(await done('checkpoint', 'w1', '--message', 'With notes')).toMatch(/^exp@v2 is made /);
    const diff = await done('diff', 'exp@v2');
    expect(diff).toContain('notes.txt  added');
    expect(diff).toContain('+one');
    expect(await done('diff', 'exp@v2', 'exp@v2')).toContain('hold the same files');
    await done('tag', 'exp@v1', 'start');
    expect(await done('diff', 'w1', '@start', '--stat')).not.toContain('+one');
    project.write('workspaces/w1/notes.txt', 'two\n');
    await done('rollback', 'w1', 'v2', ...REASON);
    expect(readFileSync(join(project.root, 'workspaces/w1/notes.txt'), 'utf8')).toBe('one\n');
    project.write('workspaces/w1/notes.txt', 'three\n');
    await done('checkpoint', 'w1', '--message', 'Other notes');
    const versions = JSON.parse(await done('workspace', 'versions', 'exp', '--json')).versions;
    expect(versions.map((row: { version: string }) => row.version)).toEqual(['v4', 'v3', 'v2', 'v1']);
    expect(await done('workspace', 'prune', 'exp', 'v3', ...REASON)).toMatch(/^Pruned v3 of exp/);
    expect(await done('workspace', 'versions', 'exp')).not.toMatch(/^v3 /m);
    await done('workspace', 'prune', 'exp', 'v3', '--restore', ...REASON);
    expect(await done('workspace', 'versions', 'exp')).toMatch(/^v3 /m);
  });
});

describe('data and runs from the command line', { timeout: 180_000 }, () => {
  it('are registered, run, fetched, compared, promoted and swept', async () => {
    project.write('data/table.csv', 'a,b\n1,2\n');
    await done('sources', 'add', 'table', 'data/table.csv', '--description', 'Two numbers', ...REASON);
    expect(await done('sources', 'list')).toContain('table');
    expect(await done('sources', 'show', 'table')).toContain('data/table.csv');
    const first = (await done('run', 'exp', ...REASON, '--group', 'pair', '--wait', '--print-id')).trim();
    const second = (
      await done(
        'run',
        'exp',
        ...REASON,
        '--group',
        'pair',
        '--set',
        'generate.count=20',
        '--wait',
        '--print-id',
      )
    ).trim();
    expect(await done('compare', first, second)).toContain('generate.count');
    const { runs } = JSON.parse(await done('runs', '--group', 'pair', '--json'));
    expect(runs).toHaveLength(4);
    const made = runs.find((row: { stage: string }) => row.stage === 'generate');
    expect(await done('get', made.run_id, 'numbers')).toBe('numbers.csv\n');
    expect(readFileSync(join(project.root, 'numbers.csv'), 'utf8').split('\n').length).toBeGreaterThan(20);
    await done('sources', 'promote', made.run_id, 'numbers', 'made', '--description', 'Made here', ...REASON);
    await done('sources', 'delete', 'table', ...REASON);
    expect(await done('history', 'exp', '--group', 'pair')).toMatch(/ completed /);
    expect(await done('history', 'exp', '--group', 'other')).not.toMatch(/ completed /);
    const gc = JSON.parse(await done('gc', '--dry-run', '--json'));
    expect(gc).toMatchObject({ dry_run: true, problems: [] });
    expect(await done('gc')).toMatch(/ of .* freed; /);
    const doctor = JSON.parse(await done('doctor', '--json'));
    expect(doctor.ok).toBe(true);
  });

  it('are tried again after a failure', async () => {
    project.write('workspaces/w1/modules/summarize.py', 'raise SystemExit("not today")\n');
    const run = await goldfish(['run', 'exp', ...REASON, '--wait', '--print-id'], at());
    expect(run.code).toBe(1);
    const { runs } = JSON.parse(await done('runs', '--pipeline-run', run.out.trim(), '--json'));
    const failed = runs.find((row: { state: string }) => row.state === 'failed');
    const retried = JSON.parse(await done('retry', failed.run_id, ...REASON, '--json'));
    expect(retried.pipeline_run_id).not.toBe(run.out.trim());
    expect((await goldfish(['wait', retried.pipeline_run_id], at())).code).toBe(1);
    const none = await goldfish(['retry', failed.run_id, ...REASON, '--from-checkpoint', 'latest'], at());
    expect(none.err).toContain(`${failed.run_id} has no stage checkpoint.`);
  });
});

describe('a backup from the command line', { timeout: 180_000 }, () => {
  it('is made, listed and restored elsewhere, where the project goes on', async () => {
    const folder = (await done('backup', '--quiet')).trim();
    expect(folder.startsWith(join(project.root, 'backups'))).toBe(true);
    expect(await done('backup', '--list')).toContain(folder);
    const copy = join(project.outside, 'copy');
    const restored = JSON.parse(await done('restore', folder, '--into', copy, '--json'));
    expect(restored).toMatchObject({ project: copy, missing_objects: 0 });
    const versions = (root: string) => done('workspace', 'versions', 'exp', '--json', '--project', root);
    expect(await versions(copy)).toBe(await versions(project.root));
    const again = await goldfish(['restore', folder, '--into', copy], at());
    expect(again).toMatchObject({ code: 4, out: '' });
    expect(again.err).toContain('never over it');
  });
});
