import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRecord, looksLikeRecord } from '../../src/experiments/find-record.ts';
import { readHistory } from '../../src/experiments/history.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { insertRecord, type RecordFilter } from '../../src/store/records.ts';
import { insertTag } from '../../src/store/tags.ts';
import { insertWorkspace } from '../../src/store/workspaces.ts';
import { errorOf } from '../support/workspaces-project.ts';

const AT = '2026-01-01T00:00:00.000Z';
let folder: string;
let db: Db;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-history-'));
  db = openDatabase(join(folder, 'x.db'), { create: true });
  for (const name of ['a', 'b']) {
    insertWorkspace(
      db,
      { name, goal: 'g', fromWorkspace: null, fromVersion: null, createdAt: AT },
      {
        workspace: name,
        version: 1,
        gitSha: name,
        treeSha: 'tree',
        createdBy: 'fork',
        message: 'm',
        createdAt: AT,
        prunedAt: null,
      },
    );
  }
});
afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true });
});

type Made = {
  workspace?: string;
  state?: string;
  group?: string;
  /** Last values of `score` by stage, in the order of the pipeline; undefined: none was logged, NaN is a value. */
  scores?: Record<string, number | undefined>;
  /** The run whose work the last stage reuses. */
  cachedFrom?: string;
};

/** A pipeline run that has ended, and its record. */
function made(n: number, run: Made = {}): string {
  const {
    workspace = 'a',
    state = 'completed',
    group = null,
    scores = { train: n },
    cachedFrom = null,
  } = run;
  const id = `prun-${`${n}`.padStart(12, '0')}`;
  db.prepare(
    `INSERT INTO pipeline_runs (id, workspace_name, version, pipeline_name, submission_key, state, reason, request_json,
       goldfish_version, created_at, ended_at, group_name) VALUES (?, ?, 1, 'p', ?, ?, 'r', '{}', '0', ?, ?, ?)`,
  ).run(id, workspace, id, state, AT, AT, group);
  for (const [position, [stage, score]] of Object.entries(scores).entries()) {
    const runId = `stage-${`${n}`.padStart(11, '0')}${position}`;
    db.prepare(
      `INSERT INTO stage_runs (id, pipeline_run_id, position, workspace_name, version, stage_name, state, cause,
         backend_type, profile, plan_json, cached_from, created_at, ended_at)
       VALUES (?, ?, ?, ?, 1, ?, 'completed', 'success', 'process', 'default', '{}', ?, ?, ?)`,
    ).run(runId, id, position, workspace, stage, cachedFrom, AT, AT);
    if (score === undefined) continue;
    db.prepare('INSERT INTO metric_summaries (run_id, name, last, count) VALUES (?, ?, ?, 1)').run(
      runId,
      'score',
      Number.isNaN(score) ? null : score,
    );
  }
  const recordId = `01KARK00000000000000000${`${n}`.padStart(3, '0')}`;
  insertRecord(db, {
    id: recordId,
    kind: 'pipeline_run',
    workspace,
    version: 1,
    pipelineRunId: id,
    snapshotId: null,
    message: `run ${n}`,
    createdAt: AT,
  });
  return recordId;
}

function checkpoint(n: number): void {
  insertRecord(db, {
    id: `01KARK00000000000000000${`${n}`.padStart(3, '0')}`,
    kind: 'checkpoint',
    workspace: 'a',
    version: 1,
    pipelineRunId: null,
    snapshotId: `snap-0000000${n}-20260101-000000`,
    message: `checkpoint ${n}`,
    createdAt: AT,
  });
}

const read = (filter: Partial<RecordFilter> = {}) =>
  readHistory(db, { workspace: 'a', sort: 'newest', limit: 100, ...filter });
const numbers = (filter: Partial<RecordFilter> = {}): number[] =>
  read(filter).records.map((record) => Number(record.id.slice(-3)));

describe('history', () => {
  it('is of one workspace, newest or oldest first, checkpoints among the runs', () => {
    made(1);
    checkpoint(2);
    made(3, { workspace: 'b' });
    made(4, { state: 'failed', group: 'g' });
    expect(numbers()).toEqual([4, 2, 1]);
    expect(numbers({ sort: 'oldest' })).toEqual([1, 2, 4]);
    expect(read().records).toMatchObject([
      { outcome: 'failed', group: 'g', stages: [{ stage: 'train', state: 'completed' }] },
      { outcome: null, stages: [], metrics: [], endedAt: null },
      { outcome: 'completed', metrics: [{ stage: 'train', name: 'score', last: 1 }] },
    ]);
  });

  it('sorts by the last value of a metric, ties newest first and NaN at the end', () => {
    made(1, { scores: { train: 0.5 } });
    made(2, { scores: { train: Number.NaN } });
    made(3, { scores: { train: 0.9 } });
    made(4, { scores: { train: 0.5 } });
    made(5, { scores: { train: undefined } });
    made(6, { scores: { train: Number.NEGATIVE_INFINITY } });
    expect(numbers({ metric: 'score', sort: 'highest' })).toEqual([3, 4, 1, 6, 2]);
    expect(numbers({ metric: 'score', sort: 'lowest' })).toEqual([6, 4, 1, 3, 2]);
    expect(numbers({ metric: 'score', minValue: 0.5 })).toEqual([4, 3, 1]);
    expect(read({ metric: 'score', sort: 'highest' }).records.at(-1)?.value).toBeNaN();
  });

  it('pages through every order without skipping or repeating a row', () => {
    for (const [n, score] of [0.5, 0.5, Number.NaN, 0.1, 0.9, Number.NaN, 0.5].entries()) {
      made(n + 1, { scores: { train: score } });
    }
    for (const sort of ['newest', 'oldest', 'highest', 'lowest'] as const) {
      const filter = { metric: 'score', sort };
      const paged: number[] = [];
      let after: string | undefined;
      do {
        const page = read({ ...filter, limit: 2, ...(after === undefined ? {} : { after }) });
        paged.push(...page.records.map((record) => Number(record.id.slice(-3))));
        after = page.nextCursor ?? undefined;
      } while (after !== undefined);
      expect(paged, sort).toEqual(numbers(filter));
      expect(new Set(paged).size).toBe(7);
    }
  });

  it('takes the metric of the last stage that logged it, or of the stage that is named', () => {
    made(1, { scores: { train: 0.9, evaluate: 0.2, report: undefined } });
    made(2, { scores: { train: 0.1, evaluate: 0.3 } });
    expect(numbers({ metric: 'score', sort: 'highest' })).toEqual([2, 1]);
    expect(numbers({ metric: 'score', stage: 'train', sort: 'highest' })).toEqual([1, 2]);
    expect(numbers({ stage: 'report' })).toEqual([1]);
    expect(numbers({ metric: 'nothing' })).toEqual([]);
  });

  it('gives a reused run the metrics of the run that did the work', () => {
    made(1, { scores: { train: 0.9 } });
    made(2, { scores: { train: undefined }, cachedFrom: 'stage-000000000010' });
    expect(numbers({ metric: 'score', minValue: 0.9 })).toEqual([2, 1]);
    expect(read().records[0]?.metrics).toEqual([{ stage: 'train', name: 'score', last: 0.9 }]);
  });

  it('is filtered by group, outcome and tag, of the record or of its version', () => {
    const first = made(1, { group: 'g' });
    made(2, { state: 'failed', group: 'g' });
    made(3, { state: 'failed' });
    insertTag(db, { workspace: 'a', tag: 'best', version: null, recordId: first, createdAt: AT });
    insertTag(db, { workspace: 'a', tag: 'base', version: 1, recordId: null, createdAt: AT });
    expect(numbers({ group: 'g' })).toEqual([2, 1]);
    expect(numbers({ group: 'g', outcome: 'failed' })).toEqual([2]);
    expect(numbers({ tag: 'best' })).toEqual([1]);
    expect(numbers({ tag: 'base' })).toEqual([3, 2, 1]);
    expect(read().records.map((record) => record.tags)).toEqual([['base'], ['base'], ['base', 'best']]);
  });

  it('refuses an order or a value without a metric, and the cursor of another workspace', async () => {
    const other = made(1, { workspace: 'b' });
    for (const filter of [{ sort: 'highest' }, { sort: 'lowest' }, { minValue: 1 }] as const) {
      expect(await errorOf(() => read(filter))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(await errorOf(() => read({ after: other }))).toMatchObject({ details: { field: 'cursor' } });
  });
});

describe('a record', () => {
  it('is found by its id, by the beginning of it in either case, and by its snapshot id', async () => {
    const id = made(1);
    const other = made(25);
    checkpoint(3);
    expect(findRecord(db, id).id).toBe(id);
    expect(findRecord(db, '01kark00000000000000000001').id).toBe(id);
    expect(findRecord(db, other.slice(0, 25)).id).toBe(other);
    expect(findRecord(db, 'snap-00000003-20260101-000000').message).toBe('checkpoint 3');
    expect(await errorOf(() => findRecord(db, '01KARK'))).toMatchObject({
      code: 'AMBIGUOUS_ID',
      details: { candidates: expect.arrayContaining([id]) },
    });
    for (const typed of ['01KARL', 'snap-00000009-20260101-000000', 'nothing', '']) {
      expect(await errorOf(() => findRecord(db, typed)), typed).toMatchObject({ code: 'RECORD_NOT_FOUND' });
    }
  });

  it('is told from a name by what its id looks like', () => {
    expect(['01KARK', '01karkzz'].every(looksLikeRecord)).toBe(true);
    expect(['baseline', 'v3', '01KAR', '91KARK', '01KARU', 'x'.repeat(27)].some(looksLikeRecord)).toBe(false);
  });
});
