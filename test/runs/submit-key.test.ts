import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { createRuns } from '../../src/runs/runs.ts';
import type { SubmittedCall } from '../../src/runs/submission.ts';
import { getPipelineRun } from '../../src/store/pipeline-runs.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;

beforeAll(async () => {
  prepared = await prepareRunsProject({ config: 'process: { max_parallel: 4 }\n', files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
});
afterEach(() => project.dispose());

const count = (table: string): number =>
  project.db.prepare<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? -1;
const stored = (): number[] => ['workspace_versions', 'pipeline_runs', 'stage_runs'].map(count);
const send = (args: JsonObject = { stages: ['lone'] }, request: Partial<RunRequest> = {}) =>
  project.submit({
    stages: ['lone'],
    configOverride: { lone: { sent: 'with a key' } },
    ...request,
    idempotency: { key: 'k-1', arguments: args },
  });
const loneOf = (call: SubmittedCall) => project.runOf(call.pipelineRun.id, 'lone').id;

/** How the first call's only run ended, by how the test made it so. */
const ENDS: [string, (call: SubmittedCall) => Promise<unknown>][] = [
  ['pending', async () => undefined],
  [
    'completed',
    async (call) => {
      await project.tick();
      await project.complete(loneOf(call));
    },
  ],
  [
    'failed',
    async (call) => {
      await project.tick();
      project.fake.end(loneOf(call), { exitCode: 1 });
      await project.tick();
    },
  ],
  [
    'canceled',
    async (call) => cancelRuns(project.deps, { target: call.pipelineRun.id, reason: 'Not needed any more' }),
  ],
];

describe('a call that is sent again under its key', () => {
  it.each(ENDS)('gets the pipeline run of the first where that is %s', async (state, end) => {
    const first = await send();
    await end(first);
    const before = stored();
    const again = await send();
    expect(again).toMatchObject({
      deduplicated: true,
      versionCreated: false,
      similar: [],
      pipelineRun: { id: first.pipelineRun.id, state },
      version: { workspace: 'exp', version: first.version.version },
      backends: [{ name: 'process', why: 'the first call under this key chose it' }],
    });
    expect(again.runs.map((run) => run.id)).toEqual(first.runs.map((run) => run.id));
    expect(stored()).toEqual(before);
  });

  it('gets it whatever the slot holds now, and makes no version of that', async () => {
    const first = await send();
    project.write('pipeline.yaml', 'this is: [no pipeline\n');
    const before = stored();
    expect(await send()).toMatchObject({ deduplicated: true, pipelineRun: { id: first.pipelineRun.id } });
    await project.deps.workspaces.hibernate({ slot: 'w1', message: 'Make room for others' });
    expect(await send()).toMatchObject({ deduplicated: true, pipelineRun: { id: first.pipelineRun.id } });
    expect(stored().slice(1)).toEqual(before.slice(1));
  });

  it('gets it also where it says that nothing is to be reused', async () => {
    const first = await send({}, { useCache: false });
    expect(first.deduplicated).toBe(false);
    const again = await send({}, { useCache: false });
    expect(again).toMatchObject({ deduplicated: true, pipelineRun: { id: first.pipelineRun.id } });
  });

  it('gets all replicates of the first, in their order', async () => {
    const first = await send({}, { replicates: 3 });
    expect(first.pipelineRuns).toHaveLength(3);
    const again = await send({}, { replicates: 3 });
    expect(again.pipelineRuns).toEqual(first.pipelineRuns);
    expect(again.runs.map((run) => run.replicate)).toEqual([0, 1, 2]);
  });

  it('gets the pipeline run of an equal call without a key where that was the answer', async () => {
    const plain = await project.submit();
    const keyed = await project.submit({ idempotency: { key: 'k-2', arguments: {} } });
    expect(keyed).toMatchObject({ deduplicated: true, pipelineRun: { id: plain.pipelineRun.id } });
    cancelRuns(project.deps, { target: plain.pipelineRun.id, reason: 'Not needed any more' });
    const again = await project.submit({ idempotency: { key: 'k-2', arguments: {} } });
    expect(again.pipelineRun).toMatchObject({ id: plain.pipelineRun.id, state: 'canceled' });
  });

  it('is one with a call that another process stored while this one was being planned', async () => {
    const { workspaces } = project.deps;
    let other: SubmittedCall | undefined;
    project.deps.workspaces = {
      ...workspaces,
      snapshot: async (request) => {
        project.deps.workspaces = workspaces;
        other = await send();
        return workspaces.snapshot(request);
      },
    };
    const late = await send();
    expect(late).toMatchObject({ deduplicated: true, pipelineRun: { id: other?.pipelineRun.id } });
    expect(count('pipeline_runs')).toBe(2);
  });

  it('is answered although the disk is too full for new work', async () => {
    const first = await send();
    const { keep } = project.deps.config.storage;
    const storage = { ...project.deps.config.storage, keep: { ...keep, minFreeBytes: 2 ** 60 } };
    const deps = { ...project.deps, config: { ...project.deps.config, storage } };
    const runs = createRuns(deps, async () => undefined);
    const request = { workspace: 'exp', reason: 'A test of the runs room', useCache: true };
    const idempotency = { key: 'k-1', arguments: { stages: ['lone'] } };
    expect((await runs.submit({ ...request, idempotency })).pipelineRun.id).toBe(first.pipelineRun.id);
    await expect(runs.submit(request)).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});

describe('another call under a key that was used', () => {
  it('is refused with what differs and the pipeline run, and changes nothing', async () => {
    const first = await send({ stages: ['lone'], reason: 'One', use_cache: false });
    const { id } = first.pipelineRun;
    const before = stored();
    await expect(send({ stages: ['lone'], reason: 'Two', group: 'g' })).rejects.toMatchObject({
      code: 'IDEMPOTENCY_CONFLICT',
      message: `The key "k-1" was used for ${id} with another group, reason, use_cache.`,
      hint: 'Send the arguments of that call again to get its pipeline run, or take another key for another call.',
      details: {
        field: 'idempotency_key',
        differing: ['group', 'reason', 'use_cache'],
        pipeline_run_ids: [id],
        used_at: first.pipelineRun.createdAt,
      },
      fix: { tool: 'list_runs', arguments: { pipeline_run_id: id } },
    });
    expect(stored()).toEqual(before);
    expect(getPipelineRun(project.db, id)?.state).toBe('pending');
  });

  it('is the same call whatever the order of its keys', async () => {
    const first = await send({ a: 1, b: { c: [1, 2], d: null } });
    const again = await send({ b: { d: null, c: [1, 2] }, a: 1 });
    expect(again.pipelineRun.id).toBe(first.pipelineRun.id);
    await expect(send({ b: { d: null, c: [2, 1] }, a: 1 })).rejects.toMatchObject({
      details: { differing: ['b'] },
    });
  });
});

describe('a call that is refused', () => {
  it('does not use up its key', async () => {
    await expect(send({ n: 1 }, { stages: ['nope'], configOverride: {} })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(count('idempotency_keys')).toBe(0);
    expect(await send({ n: 2 })).toMatchObject({ deduplicated: false });
  });
});
