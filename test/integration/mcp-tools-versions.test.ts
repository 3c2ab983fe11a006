import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { masking } from './mcp-mask.ts';
import { type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';
import { wholeProject } from './project-state.ts';

/**
 * The tools over versions, records and runs: of each the whole answer, as a client gets it, and what it refuses.
 * The tests build on each other, in order.
 */
let session: McpSession;
const ids: Record<string, string> = {};
const mask = masking();
const reason = 'A reason that is long enough';

beforeAll(async () => {
  const folder = await makeFolder();
  await writeFile(join(folder, 'goldfish.yaml'), 'project_name: versions\ndefaults: { backend: process }\n');
  session = await startSession(folder);
  const setUp: [string, object][] = [
    ['create_workspace', { name: 'baseline', goal: 'Find a first number', reason }],
    ['mount', { workspace: 'baseline', reason }],
  ];
  for (const [name, args] of setUp) expect((await session.call(name, args)).isError).toBe(false);
  await write('configs/summarize.yaml', 'fail: true\n');
  await write('modules/summarize.py', SUMMARIZE);
  const { structured } = await session.call('run', {
    workspace: 'baseline',
    reason,
    group: 'first',
    wait_seconds: 45,
  });
  expect(structured['state']).toBe('failed');
  ids['pipeline'] = String(structured['pipeline_run_id']);
  for (const row of structured['runs'] as { stage: string; run_id: string }[]) ids[row.stage] = row.run_id;
}, 120_000);
afterAll(async () => {
  await endWork(session);
  await session.close();
  await removeFolder(session.folder);
});

/** Fails as long as its config says so. */
const SUMMARIZE = `from goldfish import config, load_input, log_metric, save_output

if config()["fail"]:
    raise SystemExit("told to fail")
numbers = [float(row["value"]) for row in load_input("numbers")]
log_metric("mean", sum(numbers) / len(numbers))
save_output("summary", {"count": len(numbers)})
`;

function write(path: string, content: string): Promise<void> {
  return writeFile(join(session.folder, 'workspaces/w1', path), content);
}

async function answer(tool: string, args: object = {}) {
  return mask(await session.call(tool, args));
}

/** Refused, with what is to be done; and nothing is changed by it. */
async function refusal(tool: string, args: object) {
  const before = await wholeProject(session.folder);
  const { isError, error } = await session.call(tool, args);
  expect(isError).toBe(true);
  expect(await wholeProject(session.folder)).toEqual(before);
  const { text: _, structured } = mask({ isError, error, text: '', structured: { error } });
  return structured;
}

describe('the whole answer of', () => {
  it('retry', async () => {
    const done = await session.call('retry', {
      run_id: ids['summarize'],
      reason: 'It was told to fail, now it is not',
      config_override: { summarize: { fail: false } },
    });
    ids['retry'] = String(done.structured['pipeline_run_id']);
    expect(mask(done)).toMatchInlineSnapshot(`
      {
        "structured": {
          "backends": [
            {
              "name": "process",
              "why": "WHY",
            },
          ],
          "deduplicated": false,
          "left_out": [],
          "next": {
            "arguments": {
              "targets": [
                "prun-1",
              ],
            },
            "tool": "wait",
          },
          "pipeline_run_id": "prun-1",
          "retry_of": "stage-1",
          "reused": [
            {
              "run_id": "stage-3",
              "stage": "generate",
            },
          ],
          "runs": [
            {
              "cached": false,
              "cause": null,
              "run_id": "stage-2",
              "stage": "summarize",
              "state": "pending",
              "why": "no completed run of this stage in the workspace yet",
            },
          ],
          "state": "pending",
          "version": "v2",
          "workspace": "baseline",
        },
        "text": "prun-1 of baseline@v2 retries stage-1 and is pending.
      run  stage  state  reused, or why not
      stage-2  summarize  pending  no completed run of this stage in the workspace yet
      generate is not run again: its outputs are those of stage-3.
      next: wait {"targets":["prun-1"]}",
      }
    `);
    const waited = await session.call('wait', { targets: [ids['retry']] });
    expect(waited.structured).toMatchObject({ done: true, targets: [{ state: 'completed' }] });
  });

  it('retry made again with the same arguments', async () => {
    const again = await session.call('retry', {
      run_id: ids['summarize'],
      reason: 'The connection was lost, so once more',
      config_override: { summarize: { fail: false } },
    });
    expect(again.structured).toMatchObject({
      deduplicated: true,
      pipeline_run_id: ids['retry'],
      retry_of: ids['summarize'],
    });
  });

  it('history', async () => {
    await session.call('checkpoint', { slot: 'w1', message: 'The one that was told to fail' });
    expect(await answer('history', { workspace: 'baseline' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "errors": [],
          "next_cursor": null,
          "records": [
            {
              "created_at": "TIME",
              "ended_at": null,
              "group": null,
              "kind": "checkpoint",
              "message": "The one that was told to fail",
              "metrics": {},
              "outcome": null,
              "pipeline_run_id": null,
              "record_id": "record-1",
              "retry_of": null,
              "stages": [],
              "tags": [],
              "version": "v2",
            },
            {
              "created_at": "TIME",
              "ended_at": "TIME",
              "group": "first",
              "kind": "pipeline_run",
              "message": "It was told to fail, now it is not",
              "metrics": {
                "summarize.mean": 10.111774024999997,
              },
              "outcome": "completed",
              "pipeline_run_id": "prun-1",
              "record_id": "record-2",
              "retry_of": "stage-1",
              "stages": [
                "summarize",
              ],
              "tags": [],
              "version": "v2",
            },
            {
              "created_at": "TIME",
              "ended_at": "TIME",
              "group": "first",
              "kind": "pipeline_run",
              "message": "A reason that is long enough",
              "metrics": {
                "generate.count": 200,
              },
              "outcome": "failed",
              "pipeline_run_id": "prun-2",
              "record_id": "record-3",
              "retry_of": null,
              "stages": [
                "generate",
                "summarize (failed)",
              ],
              "tags": [],
              "version": "v2",
            },
          ],
          "schema_version": 1,
          "workspace": "baseline",
        },
        "text": "record  version  created  outcome  metrics  why
      record-1  v2  TIME  checkpoint  The one that was told to fail
      record-2  v2  TIME  completed  summarize.mean 10.111774024999997  It was told to fail, now it is not
      record-3  v2  TIME  failed  generate.count 200  A reason that is long enough",
      }
    `);
  });

  it('tag', async () => {
    expect(
      await answer('tag', { ref: 'baseline', tag: 'told-to-fail', reason: 'Keep it for the report' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "changed": true,
          "next": {
            "arguments": {
              "workspace": "baseline",
            },
            "tool": "list_versions",
          },
          "record_id": null,
          "ref": "baseline@v2",
          "removed": false,
          "tag": "told-to-fail",
          "version": "v2",
          "workspace": "baseline",
        },
        "text": "@told-to-fail is baseline@v2.
      next: list_versions {"workspace":"baseline"}",
      }
    `);
    expect((await session.call('tag', { ref: ids['retry'], tag: '@best' })).structured).toMatchObject({
      ref: expect.stringMatching(/^01/),
      version: 'v2',
      changed: true,
    });
  });

  it('list_versions with tags', async () => {
    await write('configs/summarize.yaml', 'fail: false\n');
    await session.call('checkpoint', { slot: 'w1', message: 'No longer told to fail' });
    expect(await answer('list_versions', { workspace: 'baseline' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "errors": [],
          "next_cursor": null,
          "schema_version": 1,
          "versions": [
            {
              "created_at": "TIME",
              "created_by": "checkpoint",
              "message": "No longer told to fail",
              "pruned": false,
              "runs": 0,
              "tags": [],
              "version": "v3",
            },
            {
              "created_at": "TIME",
              "created_by": "run",
              "message": "A reason that is long enough",
              "pruned": false,
              "runs": 2,
              "tags": [
                "best",
                "told-to-fail",
              ],
              "version": "v2",
            },
            {
              "created_at": "TIME",
              "created_by": "fork",
              "message": "New workspace: Find a first number",
              "pruned": false,
              "runs": 0,
              "tags": [],
              "version": "v1",
            },
          ],
          "workspace": "baseline",
        },
        "text": "version  by  created  runs  tags  message
      v3  checkpoint  TIME  0  No longer told to fail
      v2  run  TIME  2  @best @told-to-fail  A reason that is long enough
      v1  fork  TIME  0  New workspace: Find a first number",
      }
    `);
  });

  it('rollback', async () => {
    await write('notes.txt', 'not saved yet\n');
    expect(
      await answer('rollback', { slot: 'w1', version: '@told-to-fail', reason: 'Look at the failure again' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "files": {
            "added": [],
            "changed": [
              "configs/summarize.yaml",
            ],
            "removed": [
              "notes.txt",
            ],
          },
          "kept_aside": [],
          "newest": "v4",
          "next": {
            "arguments": {
              "dry_run": true,
              "reason": "See what would run",
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "slot": "w1",
          "totals": {
            "added": 0,
            "changed": 1,
            "removed": 1,
          },
          "version": "v2",
          "version_created": true,
          "workspace": "baseline",
        },
        "text": "w1 holds the files of baseline@v2: 0 added, 1 changed, 1 removed.
      What was edited is safe as v4.
      changed: configs/summarize.yaml
      removed: notes.txt
      next: run {"workspace":"baseline","reason":"See what would run","dry_run":true}",
      }
    `);
  });

  it('prune_versions', async () => {
    expect(
      await answer('prune_versions', {
        workspace: 'w1',
        versions: ['v1', '2', 'v4'],
        reason: 'Only the tagged ones are of interest',
      }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "pruned": [
            "v1",
          ],
          "remaining": 3,
          "restored": [],
          "skipped": [
            {
              "version": "v2",
              "why": "has the tag best, told-to-fail",
            },
            {
              "version": "v4",
              "why": "is the newest, mounted in w1",
            },
          ],
          "undo": {
            "arguments": {
              "reason": "Bring the pruned versions back",
              "restore": true,
              "versions": [
                "v1",
              ],
              "workspace": "baseline",
            },
            "tool": "prune_versions",
          },
          "workspace": "baseline",
        },
        "text": "Pruned v1 of baseline; 3 versions left in its lists.
      v2 has the tag best, told-to-fail
      v4 is the newest, mounted in w1
      to undo: prune_versions {"workspace":"baseline","versions":["v1"],"restore":true,"reason":"Bring the pruned versions back"}",
      }
    `);
    const { structured } = await session.call('prune_versions', { workspace: 'w1', restore: true, reason });
    expect(structured).toMatchObject({ restored: ['v1'], remaining: 4 });
  });

  it('log_thought', async () => {
    expect(
      await answer('log_thought', { thought: 'It fails only when told to', run_id: ids['summarize'] }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "next": {
            "arguments": {
              "include": [
                "thoughts",
              ],
              "workspace": "baseline",
            },
            "tool": "inspect_workspace",
          },
          "run_id": "stage-1",
          "thought_id": "record-4",
          "workspace": "baseline",
        },
        "text": "Kept as record-4, with stage-1.
      next: inspect_workspace {"workspace":"baseline","include":["thoughts"]}",
      }
    `);
  });

  it('inspect_workspace with thoughts', async () => {
    const { structured, text } = await session.call('inspect_workspace', {
      workspace: 'baseline',
      include: ['thoughts', 'versions'],
    });
    expect(structured['thoughts']).toEqual([
      {
        thought: 'It fails only when told to',
        run_id: ids['summarize'],
        actor: 'mcp:test',
        created_at: expect.stringMatching(/Z$/),
      },
    ]);
    expect(structured['versions']).toMatchObject([
      { version: 'v4', tags: [] },
      { version: 'v3', tags: [] },
      { version: 'v2', tags: ['best', 'told-to-fail'] },
      { version: 'v1', tags: [] },
    ]);
    expect(text).toContain(`mcp:test on ${ids['summarize']}: It fails only when told to`);
  });

  it('audit_log', async () => {
    const first = await session.call('audit_log', { workspace: 'baseline', limit: 3 });
    expect(mask(first)).toMatchInlineSnapshot(`
      {
        "structured": {
          "actions": [
            {
              "actor": "mcp:test",
              "arguments": "{"thought":"It fails only when told to","run_id":"stage-1"}",
              "at": "TIME",
              "operation": "log_thought",
              "outcome": "ok",
              "reason": "It fails only when told to",
              "workspace": "baseline",
            },
            {
              "actor": "mcp:test",
              "arguments": "{"workspace":"w1","restore":true}",
              "at": "TIME",
              "operation": "prune_versions",
              "outcome": "ok",
              "reason": "A reason that is long enough",
              "workspace": "baseline",
            },
            {
              "actor": "mcp:test",
              "arguments": "{"workspace":"w1","versions":["v1","2","v4"]}",
              "at": "TIME",
              "operation": "prune_versions",
              "outcome": "ok",
              "reason": "Only the tagged ones are of interest",
              "workspace": "baseline",
            },
          ],
          "errors": [],
          "next_cursor": "11",
          "schema_version": 1,
        },
        "text": "at  operation  workspace  actor  outcome  why
      TIME  log_thought  baseline  mcp:test  ok  It fails only when told to
      TIME  prune_versions  baseline  mcp:test  ok  A reason that is long enough
      TIME  prune_versions  baseline  mcp:test  ok  Only the tagged ones are of interest
      more: cursor 11",
      }
    `);
    const { structured } = await session.call('audit_log', {
      operation: 'retry',
      cursor: first.structured['next_cursor'],
    });
    expect(structured['actions']).toMatchObject([
      { operation: 'retry', reason: 'The connection was lost, so once more' },
      { operation: 'retry', arguments: expect.stringContaining('"config_override"') },
    ]);
  });

  it('delete_workspace', async () => {
    await session.call('create_workspace', { name: 'spare', goal: 'Be there for a while', reason });
    await session.call('tag', { ref: 'spare', tag: 'kept' });
    expect(
      await answer('delete_workspace', { workspace: 'spare', reason: 'It was only there for a while' }),
    ).toMatchInlineSnapshot(`
      {
        "structured": {
          "kept_as": "spare-deleted-1",
          "runs": 0,
          "undo": {
            "arguments": {
              "from_workspace": "spare-deleted-1",
              "goal": "Be there for a while",
              "name": "spare",
              "reason": "Take up spare-deleted-1 again",
            },
            "tool": "create_workspace",
          },
          "versions": 1,
          "workspace": "spare",
        },
        "text": "spare is deleted; 1 version and 0 pipeline runs are kept as spare-deleted-1.
      to take it up again: create_workspace {"name":"spare","goal":"Be there for a while","from_workspace":"spare-deleted-1","reason":"Take up spare-deleted-1 again"}",
      }
    `);
    const { structured } = await session.call('inspect_workspace', {
      workspace: 'spare-deleted-1',
      include: ['versions'],
    });
    expect(structured).toMatchObject({
      workspace: 'spare-deleted-1',
      deleted_at: expect.stringMatching(/Z$/),
      versions: [{ version: 'v1', tags: ['kept'] }],
      next: { tool: 'create_workspace', arguments: { from_workspace: 'spare-deleted-1' } },
    });
    expect((await session.call('diff', { target: 'spare-deleted-1@v1' })).isError).toBe(false);
    const again = await session.call('create_workspace', { name: 'spare', goal: 'Once more', reason });
    expect(again.structured).toMatchObject({ workspace: 'spare', version: 'v1' });
  });
});

describe('@tag', () => {
  it('stands for a version in diff, rollback, tag, prune_versions and create_workspace', async () => {
    const { structured } = await session.call('diff', { target: 'w1', against: '@best' });
    expect(structured).toMatchObject({ against: 'baseline@v2', totals: { files: 0 } });
    const made = await session.call('create_workspace', {
      name: 'fork',
      goal: 'Begin with the best',
      from_workspace: 'baseline',
      from_version: '@best',
      reason,
    });
    expect(made.structured).toMatchObject({ forked_from: 'baseline@v2' });
    expect((await session.call('tag', { ref: '@best', tag: 'second-name' })).structured).toMatchObject({
      ref: 'baseline@v2',
    });
    const pruned = await session.call('prune_versions', {
      workspace: 'baseline',
      before_tag: '@best',
      reason,
    });
    expect(pruned.structured).toMatchObject({ pruned: ['v1'] });
    await session.call('prune_versions', { workspace: 'baseline', versions: ['v1'], restore: true, reason });
  });

  it('of several workspaces must be told apart', async () => {
    await session.call('tag', { ref: 'fork', tag: 'best' });
    expect(await refusal('diff', { target: '@best' })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "AMBIGUOUS_ID",
          "details": {
            "candidates": [
              "baseline@best",
              "fork@best",
            ],
          },
          "hint": "Name the workspace too, as in baseline@best.",
          "message": "Several workspaces have the tag "best".",
        },
      }
    `);
    const { structured } = await session.call('diff', { target: 'fork@best' });
    expect(structured).toMatchObject({ target: 'fork@v1' });
  });

  it('is taken away by its workspace, its version or itself', async () => {
    const untag = (ref: string, tag: string) => session.call('tag', { ref, tag, remove: true });
    expect((await untag('fork', 'best')).structured).toMatchObject({ removed: true, ref: 'fork@v1' });
    expect((await untag('@second-name', 'second-name')).structured).toMatchObject({ ref: 'baseline@v2' });
    expect((await untag('baseline@v3', 'told-to-fail')).error.code).toBe('CONFLICT');
    expect((await untag('baseline@v2', 'told-to-fail')).structured).toMatchObject({ removed: true });
  });
});

describe('history', () => {
  const find = async (args: object) => {
    const { structured } = await session.call('history', { workspace: 'baseline', ...args });
    return structured['records'] as {
      kind: string;
      outcome: string | null;
      pipeline_run_id: string | null;
    }[];
  };

  it('is filtered by stage, tag, group, outcome and metric', async () => {
    expect(await find({ stage: 'generate' })).toMatchObject([{ pipeline_run_id: ids['pipeline'] }]);
    expect(await find({ tag: 'best' })).toMatchObject([{ pipeline_run_id: ids['retry'] }]);
    expect(await find({ group: 'first', outcome: 'failed' })).toMatchObject([
      { pipeline_run_id: ids['pipeline'], outcome: 'failed' },
    ]);
    expect(await find({ metric: 'mean', min_value: -1_000_000, sort: 'highest' })).toMatchObject([
      { pipeline_run_id: ids['retry'], retry_of: ids['summarize'] },
    ]);
    expect(await find({ metric: 'mean', min_value: 1_000_000 })).toEqual([]);
  });

  it('goes on where the page before ended, in both orders', async () => {
    for (const sort of ['newest', 'oldest']) {
      const whole = await find({ sort });
      const paged: unknown[] = [];
      let cursor: string | undefined;
      do {
        const { structured } = await session.call('history', {
          workspace: 'baseline',
          sort,
          limit: 1,
          ...(cursor === undefined ? {} : { cursor }),
        });
        paged.push(...(structured['records'] as unknown[]));
        cursor = (structured['next_cursor'] as string | null) ?? undefined;
      } while (cursor !== undefined);
      expect(paged).toEqual(whole);
      expect(whole.length).toBeGreaterThan(3);
    }
  });
});

describe('a refused call changes nothing and says what would help:', () => {
  it('rollback', async () => {
    expect(await refusal('rollback', { slot: 'w1', version: 'v99', reason })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "VERSION_NOT_FOUND",
          "details": {
            "newest": "v4",
            "workspace": "baseline",
          },
          "fix": {
            "arguments": {
              "workspace": "baseline",
            },
            "tool": "list_versions",
          },
          "hint": "Its versions are v1 to v4.",
          "message": "baseline has no version v99.",
        },
      }
    `);
    expect(await refusal('rollback', { slot: 'w1', version: 'spare@v1', reason })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', fix: { tool: 'list_versions' } },
    });
    expect(await refusal('rollback', { slot: 'w2', version: 'v1', reason })).toMatchObject({
      error: { code: 'SLOT_EMPTY' },
    });
    expect(await refusal('rollback', { slot: 'w1', version: 'v1', reason: 'short' })).toMatchObject({
      error: { code: 'REASON_TOO_SHORT' },
    });
  });

  it('delete_workspace', async () => {
    expect(await refusal('delete_workspace', { workspace: 'baseline', reason })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "CONFLICT",
          "details": {
            "slot": "w1",
            "workspace": "baseline",
          },
          "fix": {
            "arguments": {
              "reason": "Make baseline ready to be deleted",
              "slot": "w1",
            },
            "tool": "hibernate",
          },
          "hint": "Hibernate it first, which saves what was edited.",
          "message": "baseline is mounted in w1.",
        },
      }
    `);
    expect(await refusal('delete_workspace', { workspace: 'spare-deleted-1', reason })).toMatchObject({
      error: { code: 'WORKSPACE_NOT_FOUND', fix: { tool: 'create_workspace' } },
    });
  });

  it('tag', async () => {
    expect(await refusal('tag', { ref: 'baseline@v1', tag: 'best' })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "TAG_EXISTS",
          "details": {
            "names": "record-2",
            "tag": "best",
            "workspace": "baseline",
          },
          "fix": {
            "arguments": {
              "ref": "record-2",
              "remove": true,
              "tag": "best",
            },
            "tool": "tag",
          },
          "hint": "Choose another tag, or remove this one first and call again.",
          "message": "In baseline "best" names the record record-2 already.",
        },
      }
    `);
    expect(await refusal('tag', { ref: 'baseline@v1', tag: 'v7' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
    expect(await refusal('tag', { ref: '01KARK', tag: 'x' })).toMatchObject({
      error: { code: 'RECORD_NOT_FOUND' },
    });
    expect(await refusal('tag', { ref: 'baseline', tag: 'nothing', remove: true })).toMatchObject({
      error: { code: 'VERSION_NOT_FOUND' },
    });
    expect(await refusal('tag', { ref: 'baseline', tag: 'x', reason: 'short' })).toMatchObject({
      error: { code: 'REASON_TOO_SHORT' },
    });
  });

  it('prune_versions', async () => {
    expect(await refusal('prune_versions', { workspace: 'baseline', reason })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "INVALID_ARGUMENT",
          "details": {
            "field": "versions",
          },
          "fix": {
            "arguments": {
              "workspace": "baseline",
            },
            "tool": "list_versions",
          },
          "hint": "Name versions, or a tag before which everything may go; list_versions shows both.",
          "message": "Neither "versions" nor "before_tag" says what to prune.",
        },
      }
    `);
    expect(
      await refusal('prune_versions', { workspace: 'baseline', versions: ['v1', 'v99'], reason }),
    ).toMatchObject({ error: { code: 'VERSION_NOT_FOUND' } });
  });

  it('retry', async () => {
    expect(await refusal('retry', { run_id: ids['generate'], reason })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "CONFLICT",
          "details": {
            "run_id": "stage-3",
            "state": "completed",
          },
          "fix": {
            "arguments": {
              "reason": "Run generate once more",
              "stages": [
                "generate",
              ],
              "use_cache": false,
              "workspace": "baseline",
            },
            "tool": "run",
          },
          "hint": "To run the stage once more all the same, call run with use_cache false.",
          "message": "stage-3 completed: there is nothing to retry.",
        },
      }
    `);
    expect(await refusal('retry', { run_id: ids['pipeline'], reason })).toMatchObject({
      error: { code: 'RUN_NOT_FOUND', fix: { tool: 'retry' } },
    });
    expect(
      await refusal('retry', { run_id: ids['summarize'], reason, config_override: { nothing: { a: 1 } } }),
    ).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
    expect(await refusal('retry', { run_id: ids['summarize'], reason, from_checkpoint: true })).toMatchObject(
      { error: { code: 'INVALID_ARGUMENT' } },
    );
  });

  it('log_thought', async () => {
    expect(await refusal('log_thought', { thought: '  ' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
    expect(
      await refusal('log_thought', { thought: 'x', workspace: 'spare', run_id: ids['summarize'] }),
    ).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "INVALID_ARGUMENT",
          "details": {
            "field": "workspace",
            "workspace": "baseline",
          },
          "fix": {
            "arguments": {
              "run_id": "stage-1",
              "thought": "x",
            },
            "tool": "log_thought",
          },
          "hint": "Leave out one of the two.",
          "message": "stage-1 is a run of baseline, not of spare.",
        },
      }
    `);
  });

  it('history and audit_log', async () => {
    expect(await refusal('history', { workspace: 'baseline', min_value: 1 })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "INVALID_ARGUMENT",
          "details": {
            "field": "metric",
          },
          "hint": "Name it in "metric"; inspect_run and metrics show what a run logged.",
          "message": ""min_value" needs to know of which metric.",
        },
      }
    `);
    expect(await refusal('history', { workspace: 'baseline', cursor: 'x' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
    expect(await refusal('history', { workspace: 'nothing' })).toMatchObject({
      error: { code: 'WORKSPACE_NOT_FOUND' },
    });
    expect(await refusal('audit_log', { cursor: 'x' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
    expect(await refusal('audit_log', { since: 'yesterday' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
  });

  it('leaves its row in the audit, with the workspace it was about', async () => {
    const { structured } = await session.call('audit_log', { workspace: 'baseline', limit: 100 });
    const rows = structured['actions'] as { operation: string; outcome: string }[];
    const refused = new Set(rows.filter((row) => row.outcome !== 'ok').map((row) => row.operation));
    expect([...refused].sort()).toEqual(['delete_workspace', 'prune_versions', 'retry', 'rollback', 'tag']);
  });
});
