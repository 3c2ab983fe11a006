import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answers } from './mcp-answers.ts';
import { openFailed, REASON as reason } from './mcp-versions-project.ts';

/** The tools over versions, records and runs: of each the whole answer. The tests build on each other, in order. */
let given: Answers;
const answer: Answers['answer'] = (tool, args) => given.answer(tool, args);
const write = (path: string, content: string) => writeFile(given.inSlot(path), content);

beforeAll(async () => {
  given = await openFailed();
});
afterAll(() => given.end());

describe('the whole answer of', () => {
  it('retry', async () => {
    const done = await given.call('retry', {
      run_id: given.ids['summarize'],
      reason: 'It was told to fail, now it is not',
      config_override: { summarize: { fail: false } },
    });
    given.ids['retry'] = String(done.structured['pipeline_run_id']);
    expect(given.mask(done)).toMatchInlineSnapshot(`
      {
        "structured": {
          "backends": [
            {
              "name": "process",
              "why": "WHY",
            },
          ],
          "deduplicated": false,
          "from_checkpoint": null,
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
    const waited = await given.call('wait', { targets: [given.ids['retry']] });
    expect(waited.structured).toMatchObject({ done: true, targets: [{ state: 'completed' }] });
  });

  it('retry made again with the same arguments', async () => {
    const again = await given.call('retry', {
      run_id: given.ids['summarize'],
      reason: 'The connection was lost, so once more',
      config_override: { summarize: { fail: false } },
    });
    expect(again.structured).toMatchObject({
      deduplicated: true,
      pipeline_run_id: given.ids['retry'],
      retry_of: given.ids['summarize'],
    });
  });

  it('history', async () => {
    await given.call('checkpoint', { slot: 'w1', message: 'The one that was told to fail' });
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
    expect((await given.call('tag', { ref: given.ids['retry'], tag: '@best' })).structured).toMatchObject({
      ref: expect.stringMatching(/^01/),
      version: 'v2',
      changed: true,
    });
  });

  it('list_versions with tags', async () => {
    await write('configs/summarize.yaml', 'fail: false\n');
    await given.call('checkpoint', { slot: 'w1', message: 'No longer told to fail' });
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
    const { structured } = await given.call('prune_versions', { workspace: 'w1', restore: true, reason });
    expect(structured).toMatchObject({ restored: ['v1'], remaining: 4 });
  });

  it('log_thought', async () => {
    expect(
      await answer('log_thought', { thought: 'It fails only when told to', run_id: given.ids['summarize'] }),
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
    const { structured, text } = await given.call('inspect_workspace', {
      workspace: 'baseline',
      include: ['thoughts', 'versions'],
    });
    expect(structured['thoughts']).toEqual([
      {
        thought: 'It fails only when told to',
        run_id: given.ids['summarize'],
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
    expect(text).toContain(`mcp:test on ${given.ids['summarize']}: It fails only when told to`);
  });

  it('audit_log', async () => {
    const first = await given.call('audit_log', { workspace: 'baseline', limit: 3 });
    expect(given.mask(first)).toMatchInlineSnapshot(`
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
    const { structured } = await given.call('audit_log', {
      operation: 'retry',
      cursor: first.structured['next_cursor'],
    });
    expect(structured['actions']).toMatchObject([
      { operation: 'retry', reason: 'The connection was lost, so once more' },
      { operation: 'retry', arguments: expect.stringContaining('"config_override"') },
    ]);
  });

  it('delete_workspace', async () => {
    await given.call('create_workspace', { name: 'spare', goal: 'Be there for a while', reason });
    await given.call('tag', { ref: 'spare', tag: 'kept' });
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
    const { structured } = await given.call('inspect_workspace', {
      workspace: 'spare-deleted-1',
      include: ['versions'],
    });
    expect(structured).toMatchObject({
      workspace: 'spare-deleted-1',
      deleted_at: expect.stringMatching(/Z$/),
      versions: [{ version: 'v1', tags: ['kept'] }],
      next: { tool: 'create_workspace', arguments: { from_workspace: 'spare-deleted-1' } },
    });
    expect((await given.call('diff', { target: 'spare-deleted-1@v1' })).isError).toBe(false);
    const again = await given.call('create_workspace', { name: 'spare', goal: 'Once more', reason });
    expect(again.structured).toMatchObject({ workspace: 'spare', version: 'v1' });
  });
});
