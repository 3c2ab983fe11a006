import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openContext } from '../../../src/context.ts';
import { assetPath } from '../../../src/core/assets.ts';
import { openDatabase } from '../../../src/store/database.ts';
import {
  allRows,
  EARLIER_SCHEMAS,
  makeEarlierProject,
  NEWEST_SCHEMA,
  schemaOf,
} from '../../support/earlier-project.ts';
import { type McpSession, makeFolder, removeFolder, startSession } from '../mcp-session.ts';
import { endWork } from '../mcp-work.ts';

type Row = Record<string, unknown>;

/** What this machine's interpreter is called in plans. */
async function keyOfInterpreter(): Promise<string> {
  const root = await makeFolder();
  writeFileSync(join(root, 'goldfish.yaml'), 'project_name: key\n');
  const context = await openContext({ root });
  try {
    const files = { list: async () => [], read: async () => null };
    return await context.backends.environmentKey('process', { files, codeHash: 'sha256:none', image: null });
  } finally {
    await context.close();
    await removeFolder(root);
  }
}

let environmentKey: string;
beforeAll(async () => {
  environmentKey = await keyOfInterpreter();
});

describe.each(EARLIER_SCHEMAS)('a project of schema %i, opened by this program,', (schema) => {
  let root: string;
  let file: string;
  let session: McpSession;
  let before: Map<string, Row[]>;
  let runs: Row[];
  const ask = async (tool: string, args: Row = {}): Promise<Row> => {
    const { structured, error } = await session.call(tool, args);
    expect({ tool, error }).toEqual({ tool, error: undefined });
    return structured;
  };
  const runOf = (stage: string): string => String(runs.find((run) => run['stage'] === stage)?.['run_id']);

  beforeAll(async () => {
    root = await makeFolder();
    file = join(root, '.goldfish/goldfish.db');
    makeEarlierProject(root, { schema, environmentKey });
    before = allRows(file);
    session = await startSession(root, ['--toolsets', 'all']);
    const [open] = before.get('pipeline_runs')?.filter((run) => run['ended_at'] === null) ?? [];
    for (let tries = 0; tries < 6; tries += 1) {
      if ((await ask('wait', { targets: [open?.['id']], timeout_seconds: 30 }))['done'] === true) break;
    }
    runs = (await ask('list_runs', { limit: 100 }))['runs'] as Row[];
  });
  afterAll(async () => {
    await endWork(session);
    await session.close();
    await removeFolder(root);
  });

  it('has the schema of one that was made by it', async () => {
    const folder = await makeFolder();
    openDatabase(join(folder, 'new.db'), { create: true }).close();
    expect(schemaOf(file)).toEqual({ ...schemaOf(join(folder, 'new.db')), version: NEWEST_SCHEMA });
    await removeFolder(folder);
  });

  it('leads runs that were open to their right ends', async () => {
    const attempt = (stage: string): string => join(root, '.goldfish/runs', runOf(stage), '1');
    const exit = JSON.parse(readFileSync(join(attempt('slow'), 'exit.json'), 'utf8'));
    // It ended while nobody looked.
    expect(await ask('inspect_run', { run_id: runOf('slow') })).toMatchObject({
      state: 'completed',
      cause: 'success',
      ended_at: exit.endedAt,
      metrics: { loss: { last: 0.25, count: 2 } },
      outputs: [{ name: 'word', size: 7 }],
    });
    expect(await ask('inspect_run', { run_id: runOf('after') })).toMatchObject({
      state: 'completed',
      cause: 'success',
      outputs: [{ name: 'sentence' }],
    });
    expect(await ask('inspect_run', { run_id: runOf('lost') })).toMatchObject({
      state: 'terminated',
      cause: 'worker_lost',
    });
    if (!runs.some((run) => run['stage'] === 'again')) return;
    // It had failed once, and waited for its second attempt.
    expect(await ask('inspect_run', { run_id: runOf('again') })).toMatchObject({
      state: 'completed',
      attempt: 2,
    });
  });

  it('answers for everything that was in it', async () => {
    expect(await ask('status')).toMatchObject({ errors: [], active_runs: [] });
    expect(await ask('list_workspaces')).toMatchObject({
      errors: [],
      workspaces: [{ name: 'exp', goal: 'Be there after the upgrade', slot: 'w1', versions: 4 }],
    });
    const versions = (await ask('list_versions', { workspace: 'exp' }))['versions'] as Row[];
    expect(versions.map((version) => version['version'])).toEqual(['v4', 'v3', 'v2', 'v1']);
    for (const { version } of versions) {
      const { files } = await ask('diff', { target: `exp@${version}`, stat_only: true });
      expect(files).not.toEqual([]);
    }
    expect(runs.map((run) => run['run_id']).sort()).toEqual(
      (before.get('stage_runs') ?? []).map((run) => run['id']).sort(),
    );
    for (const { run_id } of runs) {
      const include = ['config', 'inputs', 'outputs', 'metrics', 'events', 'attempts', 'debug'];
      expect(await ask('inspect_run', { run_id, include })).toMatchObject({ run_id, profile: 'default' });
      expect(await ask('logs', { run_id })).toMatchObject({ run_id });
      await ask('lineage', { ref: run_id });
    }
    expect(await ask('inspect_run', { run_id: runOf('fail') })).toMatchObject({
      state: 'failed',
      failure: { class: 'code', first_error_line: 'ValueError: the data are not sorted' },
    });
    const made = (await ask('logs', { run_id: runOf('make') }))['lines'] as Row[];
    expect(made.map((line) => line['text'])).toEqual(['made 3 numbers']);
    const { series } = await ask('metrics', { run_ids: [runOf('make')] });
    expect(series).toEqual({
      [runOf('make')]: {
        loss: [
          [1, 0.5],
          [2, 0.25],
        ],
      },
    });
    const ids = [...new Set((before.get('pipeline_runs') ?? []).map((run) => String(run['id'])))];
    await ask('compare', { refs: ids.slice(0, 2) });
    const { records } = await ask('history', { workspace: 'exp', limit: 100 });
    expect(records).toHaveLength(before.get('records')?.length ?? 0);
    const { actions } = await ask('audit_log', { limit: 100 });
    expect((actions as Row[]).length).toBeGreaterThanOrEqual(before.get('audit')?.length ?? 0);
  });

  it('has every row that it had, but for what its open runs came to', () => {
    const open = (before.get('stage_runs') ?? []).filter((run) => run['ended_at'] === null);
    const changing = open.flatMap((run) => [String(run['id']), String(run['pipeline_run_id'])]);
    const after = allRows(file);
    const lost: unknown[] = [];
    for (const [table, rows] of before) {
      if (table === 'supervisor_lease') continue;
      for (const row of rows) {
        if (changing.some((id) => JSON.stringify(row).includes(id))) continue;
        const kept = after
          .get(table)
          ?.some((now) => Object.entries(row).every(([key, value]) => now[key] === value));
        if (!kept) lost.push({ table, row });
      }
    }
    expect(lost).toEqual([]);
  });

  // The first schema had none of these.
  if (schema > 1) {
    it('answers for tags, thoughts and sources', async () => {
      expect(await ask('diff', { target: 'exp@first', stat_only: true })).toMatchObject({ target: 'exp@v2' });
      expect(await ask('inspect_workspace', { workspace: 'exp', include: ['thoughts'] })).toMatchObject({
        thoughts: [{ thought: 'The sum is six' }],
      });
      const { source, versions } = await ask('inspect_source', { name: 'numbers' });
      expect(source).toMatchObject({ version: 'v1', uri: `${runOf('make')}.numbers` });
      expect(versions).toMatchObject([{ version: 'v1' }]);
    });
  }

  // Monitors came with the fourth.
  if (schema > 3) {
    it('has what monitors noticed, and goes on with what they remembered of a metric', async () => {
      const kept = before.get('run_findings') ?? [];
      expect(kept).toHaveLength(2);
      expect(allRows(file).get('run_findings')).toEqual(expect.arrayContaining(kept));
      expect(await ask('inspect_run', { run_id: runOf('lost') })).toMatchObject({
        findings: [{ monitor: 'stall', action: 'warn', attempt: 1, at: '2026-11-26T03:00:14.980Z' }],
      });
      expect(await ask('inspect_run', { run_id: runOf('slow') })).toMatchObject({
        findings: [
          { monitor: 'non_finite', metric: 'lr', at: '2026-11-26T03:00:14.970Z' },
          {
            monitor: 'divergence',
            metric: 'grad',
            // The best value was seen before the upgrade.
            message:
              'The metric "grad" diverges: a point lies above 10 (best 1 at step 1, factor 10), the last is 50 at step 2.',
          },
        ],
      });
    });
  }

  // Keys of calls came with the fifth.
  if (schema > 4) {
    it('knows the keys that its calls were given', async () => {
      const reason = 'Another call under the same key';
      const { error } = await session.call('run', {
        workspace: 'exp',
        idempotency_key: 'before-the-upgrade',
        reason,
      });
      expect(error).toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' });
    });
  }

  it('goes on: with what is in the slot, and with a retry of the version that was run', async () => {
    expect(existsSync(join(root, 'workspaces/w1/modules/slow.py'))).toBe(true);
    const reason = 'Go on where the earlier version was';
    const plan = await ask('run', { workspace: 'exp', stages: ['after'], dry_run: true, reason });
    expect(plan).toMatchObject({ version: 'v4' });
    const retried = await ask('retry', { run_id: runOf('lost'), reason });
    expect(retried).toMatchObject({ version: 'v4', retry_of: runOf('lost') });
    await ask('cancel', { target: retried['pipeline_run_id'], reason });
  });
});

it('rows, versions and files were kept of every schema before the newest', () => {
  const kinds = ['sql', 'git', 'json'];
  const files = EARLIER_SCHEMAS.flatMap((schema) =>
    kinds.map((kind) => `test/fixtures/schema-${schema}.${kind}`),
  );
  expect(files).not.toEqual([]);
  expect(files.filter((file) => !existsSync(assetPath(file)))).toEqual([]);
});
