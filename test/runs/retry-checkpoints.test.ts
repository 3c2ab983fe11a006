import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StageRun } from '../../src/core/rows.ts';
import { lineageGraph } from '../../src/data/lineage.ts';
import { type RetryRequest, retryRun } from '../../src/runs/retry.ts';
import { isRunHeld, releasableRuns } from '../../src/store/garbage.ts';
import {
  type PreparedProject,
  prepareGivenVersion,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { saveStageCheckpoint } from '../support/stage-checkpoint.ts';
import { createTestClock } from '../support/test-clock.ts';
import { errorOf } from '../support/workspaces-project.ts';

const REASON = 'It went well until the machine failed';

let prepared: PreparedProject;
let project: RunsProject;
/** `one` has failed, with what it had saved. */
let failed: StageRun;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ config: 'process: { max_parallel: 4 }\n', files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());
beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  await project.tick();
  failed = project.runOf(prepared.first, 'one');
});
afterEach(() => project.dispose());

const folderOf = (runId: string): string => project.deps.layout.attempt(runId, 1).checkpoints;
const save = (number: number, name: string, more: { step?: number; content?: string } = {}) =>
  saveStageCheckpoint(folderOf(failed.id), { number, name, runId: failed.id, ...more });
const retry = (request: Partial<RetryRequest> = {}) =>
  retryRun(project.deps, { runId: failed.id, reason: REASON, ...request });

async function fail(runId = failed.id): Promise<void> {
  project.fake.end(runId, { exitCode: 1 });
  await project.tick();
}

/** Retries and launches; the run of `one`. */
async function started(request: Partial<RetryRequest>): Promise<StageRun> {
  const { pipelineRun } = await retry(request);
  await project.tick();
  return project.runOf(pipelineRun.id, 'one');
}

describe('a retry from a checkpoint', () => {
  it('finds all checkpoints of the run as its own, as a copy, and those under the name of that run', async () => {
    save(1, 'state', { step: 10 });
    save(2, 'state', { step: 20 });
    mkdirSync(join(folderOf(failed.id), '.saving-1-00000000000000000000000000000000'));
    mkdirSync(join(folderOf(failed.id), '00000003-half'));
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    expect(project.fake.launched.at(-1)).toMatchObject({ runId: run.id, checkpointsDir: folderOf(run.id) });
    const own = folderOf(run.id);
    expect(readdirSync(own).sort()).toEqual(['00000001-state', '00000002-state', 'from']);
    expect(readdirSync(join(own, 'from'))).toEqual([failed.id]);
    for (const place of [own, join(own, 'from', failed.id)]) {
      expect(readFileSync(join(place, '00000002-state/data.bin'), 'utf8')).toBe('state 2');
      expect(readFileSync(join(place, '00000002-state/manifest.json'))).toEqual(
        readFileSync(join(folderOf(failed.id), '00000002-state/manifest.json')),
      );
    }
    // What the new run does to its files is none of the old one's.
    writeFileSync(join(own, '00000002-state/data.bin'), 'spoiled');
    expect(readFileSync(join(folderOf(failed.id), '00000002-state/data.bin'), 'utf8')).toBe('state 2');
    expect(statSync(join(folderOf(failed.id), '00000002-state/data.bin')).nlink).toBe(1);
  });

  it('says in plan, answer and lineage what it starts with', async () => {
    const ids = [save(1, 'state', { step: 10 }), save(2, 'best')];
    await fail();
    const done = await retry({ fromCheckpoint: 'latest' });
    const run = project.runOf(done.pipelineRun.id, 'one');
    expect(run.plan.startFrom).toEqual(done.startFrom);
    expect(done.startFrom).toEqual({
      runId: failed.id,
      checkpoints: [
        { id: ids[0], name: 'state', step: 10, hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
        { id: ids[1], name: 'best', step: null, hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
      ],
    });
    expect(project.runOf(done.pipelineRun.id, 'two').plan.startFrom).toBeUndefined();
    const edge = { from: failed.id, to: run.id, kind: 'checkpoint', name: '00000002-best' };
    for (const [runId, direction] of [
      [run.id, 'up'],
      [failed.id, 'down'],
    ] as const) {
      const { edges } = lineageGraph(project.db, { roots: [{ kind: 'run', runId }], direction, depth: 1 });
      expect(edges).toContainEqual(edge);
    }
  });

  it('by name has the newest of that name alone, and by id that one', async () => {
    save(1, 'state');
    save(2, 'state');
    save(3, 'best');
    await fail();
    const byName = await retry({ fromCheckpoint: 'state' });
    expect(byName.startFrom?.checkpoints.map(({ id }) => id)).toEqual(['00000002-state']);
    const byId = await retry({ fromCheckpoint: '00000001-state' });
    expect(byId.startFrom?.checkpoints.map(({ id }) => id)).toEqual(['00000001-state']);
    await project.tick();
    expect(readdirSync(folderOf(project.runOf(byId.pipelineRun.id, 'one').id)).sort()).toEqual([
      '00000001-state',
      'from',
    ]);
  });

  it('is no equal call to one from elsewhere or from the beginning, and one to itself', async () => {
    save(1, 'state');
    save(2, 'state');
    await fail();
    const plain = await retry();
    const latest = await retry({ fromCheckpoint: 'latest' });
    const first = await retry({ fromCheckpoint: '00000001-state' });
    expect([plain, latest, first].map(({ deduplicated }) => deduplicated)).toEqual([false, false, false]);
    expect(await retry({ fromCheckpoint: 'latest' })).toMatchObject({
      deduplicated: true,
      pipelineRun: { id: latest.pipelineRun.id },
    });
  });

  it('makes nothing that a run from the beginning would reuse', async () => {
    save(1, 'state');
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    await project.complete(run.id);
    expect(project.run(run.id).state).toBe('completed');
    const plain = project.runOf((await retry()).pipelineRun.id, 'one');
    expect(plain).toMatchObject({ state: 'pending', cause: null });
    expect(project.run(run.id).cacheKey).not.toBe(project.run(failed.id).cacheKey);
  });

  it('keeps the checkpoint where an override plans the stage anew', async () => {
    save(1, 'state');
    await fail();
    const done = await retry({ fromCheckpoint: 'state', configOverride: { one: { k: 7 } } });
    expect(project.runOf(done.pipelineRun.id, 'one').plan).toMatchObject({
      config: { k: 7 },
      startFrom: { checkpoints: [{ id: '00000001-state' }] },
    });
  });

  it('retried itself goes on from where it did, or from what it had in the end', async () => {
    save(1, 'state');
    await fail();
    const second = await started({ fromCheckpoint: 'latest' });
    saveStageCheckpoint(folderOf(second.id), { number: 2, name: 'state', runId: second.id });
    await fail(second.id);
    const same = await retry({ runId: second.id });
    expect(same.startFrom).toEqual(second.plan.startFrom);
    const below = lineageGraph(project.db, {
      roots: [{ kind: 'run', runId: failed.id }],
      direction: 'down',
      depth: 1,
    });
    const third = project.runOf(same.pipelineRun.id, 'one').id;
    expect(below.edges.filter(({ kind }) => kind === 'checkpoint').map(({ to }) => to)).toEqual([
      second.id,
      third,
    ]);
    const on = await started({ runId: second.id, fromCheckpoint: 'latest' });
    expect(readdirSync(folderOf(on.id)).sort()).toEqual(['00000001-state', '00000002-state', 'from']);
    expect(readdirSync(join(folderOf(on.id), 'from'))).toEqual([second.id]);
  });
});

describe('the checkpoints a run is to start with', () => {
  it('are kept by gc until it has ended', async () => {
    save(1, 'state');
    await fail();
    const second = await started({ fromCheckpoint: 'latest' });
    await fail(second.id);
    expect(isRunHeld(project.db, failed.id)).toBe(false);
    expect(releasableRuns(project.db).map(({ runId }) => runId)).toContain(failed.id);
    // A retry of the retry, which starts with those of the first.
    const third = await retry({ runId: second.id });
    expect(isRunHeld(project.db, failed.id)).toBe(true);
    expect(releasableRuns(project.db).map(({ runId }) => runId)).not.toContain(failed.id);
    await project.tick();
    await fail(project.runOf(third.pipelineRun.id, 'one').id);
    expect(isRunHeld(project.db, failed.id)).toBe(false);
  });

  it('are copied to the end by the next supervisor where a kill came in between', async () => {
    save(1, 'state');
    save(2, 'state');
    await fail();
    const { pipelineRun } = await retry({ fromCheckpoint: 'latest' });
    const { id } = project.runOf(pipelineRun.id, 'one');
    const own = folderOf(id);
    mkdirSync(join(own, '.copying/00000001-state'), { recursive: true });
    writeFileSync(join(own, '.copying/00000001-state/data.bin'), 'half');
    mkdirSync(join(own, '.copying/00000009-of-another-time'));
    mkdirSync(join(own, '.linking-00000002-state'));
    saveStageCheckpoint(own, { number: 1, name: 'state', runId: failed.id });
    await project.tick();
    expect(project.fake.launched.at(-1)).toMatchObject({ runId: id });
    expect(readdirSync(own).sort()).toEqual(['00000001-state', '00000002-state', 'from']);
    expect(readFileSync(join(own, 'from', failed.id, '00000001-state/data.bin'), 'utf8')).toBe('state 1');
    expect(readdirSync(join(own, 'from', failed.id)).sort()).toEqual(['00000001-state', '00000002-state']);
  });

  it('are not given a second time to an attempt that comes after one that removed them', async () => {
    save(1, 'state');
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    rmSync(join(folderOf(run.id), '00000001-state'), { recursive: true });
    rmSync(join(folderOf(run.id), 'from'), { recursive: true });
    // As after a restart: pending again, with the row of the first attempt.
    project.db
      .prepare("UPDATE stage_runs SET state = 'pending', attempt = 2, started_at = NULL WHERE id = ?")
      .run(run.id);
    await project.newLoop().tick();
    await project.tick();
    expect(project.fake.launched.at(-1)).toMatchObject({ runId: run.id, attempt: 2 });
    expect(existsSync(join(folderOf(run.id), '00000001-state'))).toBe(false);
  });

  it('that were damaged since end the run before anything of it is started', async () => {
    save(1, 'state');
    await fail();
    writeFileSync(join(folderOf(failed.id), '00000001-state/data.bin'), 'other 1');
    const launched = project.fake.launched.length;
    const run = await started({ fromCheckpoint: 'latest' });
    expect(run).toMatchObject({
      state: 'failed',
      cause: 'input_unavailable',
      errorMessage: `Checkpoint 00000001-state of ${failed.id} is damaged: data.bin is not as it was saved.`,
    });
    expect(project.fake.launched.length).toBe(launched);
  });

  it.each([
    ['is no longer there', (folder: string) => rmSync(folder, { recursive: true })],
    ['is not what it was', (folder: string) => writeFileSync(join(folder, 'manifest.json'), '{}')],
  ])('and that %s by then end it too', async (fault, spoil) => {
    save(1, 'state');
    await fail();
    const { pipelineRun } = await retry({ fromCheckpoint: 'latest' });
    spoil(join(folderOf(failed.id), '00000001-state'));
    await project.tick();
    expect(project.runOf(pipelineRun.id, 'one')).toMatchObject({
      state: 'failed',
      cause: 'input_unavailable',
      errorMessage: `Checkpoint 00000001-state of ${failed.id} ${fault}.`,
    });
  });

  it('lead nowhere by links: they are copied as links, and what is behind them is not read', async () => {
    const secret = join(project.root, 'secret.json');
    writeFileSync(secret, JSON.stringify({ name: 'secret', step: 1, files: [] }));
    const own = folderOf(failed.id);
    const id = save(1, 'state');
    symlinkSync(secret, join(own, id, 'extra'));
    mkdirSync(join(own, '00000002-manifest'));
    symlinkSync(secret, join(own, '00000002-manifest/manifest.json'));
    symlinkSync(join(own, id), join(own, '00000003-folder'));
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    expect(run.plan.startFrom?.checkpoints.map((checkpoint) => checkpoint.id)).toEqual([id]);
    const copy = join(folderOf(run.id), id, 'extra');
    expect(lstatSync(copy).isSymbolicLink()).toBe(true);
    expect(readlinkSync(copy)).toBe(secret);
  });

  it('are not believed about files outside of their folder', async () => {
    save(1, 'state', { content: 'the same' });
    const id = save(2, 'state', { content: 'the same' });
    const manifest = join(folderOf(failed.id), id, 'manifest.json');
    // It is there, and is what it says.
    const outside = '../00000001-state/data.bin';
    writeFileSync(
      manifest,
      readFileSync(manifest, 'utf8').replace('"path":"data.bin"', `"path":"${outside}"`),
    );
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    expect(run.errorMessage).toBe(
      `Checkpoint ${id} of ${failed.id} is damaged: ${outside} is not as it was saved.`,
    );
  });

  it('do not share blocks that a hard link of the stage leads to', async () => {
    const outside = join(project.root, 'outside');
    writeFileSync(outside, 'state 1');
    const id = save(1, 'state');
    rmSync(join(folderOf(failed.id), id, 'data.bin'));
    linkSync(outside, join(folderOf(failed.id), id, 'data.bin'));
    await fail();
    const run = await started({ fromCheckpoint: 'latest' });
    writeFileSync(join(folderOf(run.id), id, 'data.bin'), 'changed');
    expect(readFileSync(outside, 'utf8')).toBe('state 1');
  });
});

describe('a retry from a checkpoint is refused', () => {
  it('where the run has none', async () => {
    await fail();
    expect(await errorOf(() => retry({ fromCheckpoint: 'latest' }))).toMatchObject({
      code: 'INPUT_UNAVAILABLE',
      message: `${failed.id} has no stage checkpoint.`,
      hint: 'Retry it without from_checkpoint: it then starts from the beginning.',
      fix: { tool: 'retry', arguments: { run_id: failed.id, reason: 'Try one again from the beginning' } },
    });
  });

  it('where it has none of that name, with the nearest', async () => {
    save(1, 'epoch');
    save(2, 'best');
    await fail();
    expect(await errorOf(() => retry({ fromCheckpoint: 'epohc' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: `${failed.id} has no stage checkpoint "epohc".`,
      hint: 'Did you mean "epoch"? It has 00000001-epoch, 00000002-best; "latest" is all of them.',
      details: { field: 'from_checkpoint', allowed: ['latest', 'epoch', 'best'] },
      fix: {
        tool: 'retry',
        arguments: { run_id: failed.id, from_checkpoint: 'epoch', reason: 'Try one again from epoch' },
      },
    });
  });

  it('where it is not named and what the run itself started with is gone', async () => {
    save(1, 'state');
    await fail();
    const second = await started({ fromCheckpoint: 'latest' });
    await fail(second.id);
    rmSync(folderOf(failed.id), { recursive: true });
    expect(await errorOf(() => retry({ runId: second.id }))).toMatchObject({
      code: 'INPUT_UNAVAILABLE',
      message: `${second.id} started with checkpoint 00000001-state of ${failed.id}, which is no longer there.`,
      hint: `Name one with from_checkpoint: "latest" goes on from what ${second.id} has itself.`,
      fix: { tool: 'retry', arguments: { run_id: second.id, from_checkpoint: 'latest' } },
    });
  });
});
