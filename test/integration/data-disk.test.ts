import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openContext } from '../../src/context.ts';
import { collectGarbage } from '../../src/data/gc.ts';
import { createTestProject, mountStages, type TestProject, until, waitOver } from '../support/project.ts';

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const needs = canMount ? '' : ' (needs the right to mount: run as root)';

/** A project whose state lies on a small disk of its own, of which 32 MB are held back. */
describe.skipIf(!canMount)('a disk that fills up', () => {
  let disk: string;
  let project: TestProject;
  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), 'goldfish-disk-'));
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'none', disk]).status).toBe(0);
    project = createTestProject({
      at: disk,
      config: 'storage: { keep: { min_free_gb: 0.03125, days_failed_runs: 0 } }\n',
    });
  });
  afterEach(async () => {
    await project.dispose();
    // A supervisor that was only just started, and finds another at work, takes a moment to end.
    await until(() => spawnSync('umount', [disk]).status === 0, 20_000, 'the end of all that uses the disk');
    rmSync(disk, { recursive: true, force: true });
  });

  const REASON = 'A test of a disk that fills up';
  const PIPELINE = `name: two
stages:
  - name: one
    outputs: { made: file }
  - name: two
    inputs: { made: { from_stage: one, signal: made } }
    outputs: { also: file }
`;
  const write = (output: string, megabytes: number): string =>
    `import os, goldfish\nopen(goldfish.output_path('${output}'), 'wb').write(os.urandom(${megabytes} << 20))\n`;

  it(`gets no new work, says what can go, and takes work again when it has${needs}`, async () => {
    const { client, slot } = await mountStages(project, {
      pipeline: PIPELINE,
      modules: { one: `${write('made', 1)}raise SystemExit(3)\n`, two: write('also', 1) },
    });
    const failed = await client.call('run', { workspace: 'exp', reason: REASON });
    await waitOver(client, String(failed['pipeline_run_id']));
    const ballast = join(project.outside, 'ballast');
    writeFileSync(ballast, Buffer.alloc(70 << 20, 'x'));

    const refused = await client.call('run', { workspace: 'exp', reason: REASON, use_cache: false }).then(
      () => undefined,
      (error: unknown) => (error as { error: Record<string, unknown> }).error,
    );
    expect(refused).toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringMatching(/^New work waits for room on the disk: \d+ MB are free/),
      hint: expect.stringMatching(/^`goldfish gc` frees 1(\.\d)? MB: attempts 1(\.\d)? MB/),
    });
    expect((await client.call('status'))['disk']).toMatchObject({ low: true });
    // A dry run costs nothing and stays possible.
    const plan = await client.call('run', { workspace: 'exp', reason: REASON, dry_run: true });
    expect(plan['plan']).toHaveLength(2);

    const [run] = project.rows<{ id: string }>("SELECT id FROM stage_runs WHERE stage_name = 'one'");
    const ctx = await openContext({ root: project.root });
    const report = await collectGarbage(ctx, { dryRun: false });
    await ctx.close();
    expect(report.freed).toMatchObject([{ kind: 'attempts', what: `attempt 1 of ${run?.id}` }]);
    expect(existsSync(join(project.root, '.goldfish/runs', `${run?.id}`))).toBe(false);

    rmSync(ballast);
    expect((await client.call('status'))['disk']).toMatchObject({ low: false });
    project.write(`${slot}/modules/one.py`, write('made', 1));
    const again = await client.call('run', { workspace: 'exp', reason: REASON });
    await waitOver(client, String(again['pipeline_run_id']));
    const { state } = await client.call('inspect_run', {
      run_id: (again['runs'] as { run_id: string }[])[1]?.run_id,
    });
    expect(state).toBe('completed');
  }, 120_000);

  it(`lets a run that is not started yet wait, and says for what${needs}`, async () => {
    const { client } = await mountStages(project, {
      pipeline: PIPELINE,
      modules: { one: write('made', 68), two: write('also', 1) },
    });
    const submitted = await client.call('run', { workspace: 'exp', reason: REASON });
    const [one, two] = (submitted['runs'] as { run_id: string }[]).map(({ run_id }) => run_id);
    const inspect = (id: string | undefined) => client.call('inspect_run', { run_id: id });
    await until(async () => (await inspect(one))['state'] === 'completed', 60_000);
    await until(
      async () => String((await inspect(two))['blocked_by']).startsWith('room on the disk'),
      20_000,
    );
    expect(await inspect(two)).toMatchObject({ state: 'pending' });

    expect(spawnSync('mount', ['-o', 'remount,size=256m', disk]).status).toBe(0);
    await waitOver(client, String(submitted['pipeline_run_id']));
    expect(await inspect(two)).toMatchObject({ state: 'completed' });
  }, 120_000);
});
