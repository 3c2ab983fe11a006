import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answers } from './mcp-answers.ts';
import { openWithHistory, REASON as reason, refusalOf } from './mcp-versions-project.ts';

/** What the tools over versions, records and runs refuse, and what @tag stands for. The tests build on each other, in order. */
let given: Answers;
const refusal = (tool: string, args: object) => refusalOf(given, tool, args);

beforeAll(async () => {
  given = await openWithHistory();
});
afterAll(() => given.end());

describe('@tag', () => {
  it('stands for a version in diff, rollback, tag, prune_versions and create_workspace', async () => {
    const { structured } = await given.call('diff', { target: 'w1', against: '@best' });
    expect(structured).toMatchObject({ against: 'baseline@v2', totals: { files: 0 } });
    const made = await given.call('create_workspace', {
      name: 'fork',
      goal: 'Begin with the best',
      from_workspace: 'baseline',
      from_version: '@best',
      reason,
    });
    expect(made.structured).toMatchObject({ forked_from: 'baseline@v2' });
    expect((await given.call('tag', { ref: '@best', tag: 'second-name' })).structured).toMatchObject({
      ref: 'baseline@v2',
    });
    const pruned = await given.call('prune_versions', {
      workspace: 'baseline',
      before_tag: '@best',
      reason,
    });
    expect(pruned.structured).toMatchObject({ pruned: ['v1'] });
    await given.call('prune_versions', { workspace: 'baseline', versions: ['v1'], restore: true, reason });
  });

  it('of several workspaces must be told apart', async () => {
    await given.call('tag', { ref: 'fork', tag: 'best' });
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
    const { structured } = await given.call('diff', { target: 'fork@best' });
    expect(structured).toMatchObject({ target: 'fork@v1' });
  });

  it('is taken away by its workspace, its version or itself', async () => {
    const untag = (ref: string, tag: string) => given.call('tag', { ref, tag, remove: true });
    expect((await untag('fork', 'best')).structured).toMatchObject({ removed: true, ref: 'fork@v1' });
    expect((await untag('@second-name', 'second-name')).structured).toMatchObject({ ref: 'baseline@v2' });
    expect((await untag('baseline@v3', 'told-to-fail')).error.code).toBe('CONFLICT');
    expect((await untag('baseline@v2', 'told-to-fail')).structured).toMatchObject({ removed: true });
  });
});

describe('history', () => {
  const find = async (args: object) => {
    const { structured } = await given.call('history', { workspace: 'baseline', ...args });
    return structured['records'] as {
      kind: string;
      outcome: string | null;
      pipeline_run_id: string | null;
    }[];
  };

  it('is filtered by stage, tag, group, outcome and metric', async () => {
    expect(await find({ stage: 'generate' })).toMatchObject([{ pipeline_run_id: given.ids['pipeline'] }]);
    expect(await find({ tag: 'best' })).toMatchObject([{ pipeline_run_id: given.ids['retry'] }]);
    expect(await find({ group: 'first', outcome: 'failed' })).toMatchObject([
      { pipeline_run_id: given.ids['pipeline'], outcome: 'failed' },
    ]);
    expect(await find({ metric: 'mean', min_value: -1_000_000, sort: 'highest' })).toMatchObject([
      { pipeline_run_id: given.ids['retry'], retry_of: given.ids['summarize'] },
    ]);
    expect(await find({ metric: 'mean', min_value: 1_000_000 })).toEqual([]);
  });

  it('goes on where the page before ended, in both orders', async () => {
    for (const sort of ['newest', 'oldest']) {
      const whole = await find({ sort });
      const paged: unknown[] = [];
      let cursor: string | undefined;
      do {
        const { structured } = await given.call('history', {
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
            "names": "record-1",
            "tag": "best",
            "workspace": "baseline",
          },
          "fix": {
            "arguments": {
              "ref": "record-1",
              "remove": true,
              "tag": "best",
            },
            "tool": "tag",
          },
          "hint": "Choose another tag, or remove this one first and call again.",
          "message": "In baseline "best" names the record record-1 already.",
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
    expect(await refusal('retry', { run_id: given.ids['generate'], reason })).toMatchInlineSnapshot(`
      {
        "error": {
          "code": "CONFLICT",
          "details": {
            "run_id": "stage-1",
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
          "message": "stage-1 completed: there is nothing to retry.",
        },
      }
    `);
    expect(await refusal('retry', { run_id: given.ids['pipeline'], reason })).toMatchObject({
      error: { code: 'RUN_NOT_FOUND', fix: { tool: 'retry' } },
    });
    expect(
      await refusal('retry', {
        run_id: given.ids['summarize'],
        reason,
        config_override: { nothing: { a: 1 } },
      }),
    ).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
    expect(
      await refusal('retry', { run_id: given.ids['summarize'], reason, from_checkpoint: true }),
    ).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
  });

  it('log_thought', async () => {
    expect(await refusal('log_thought', { thought: '  ' })).toMatchObject({
      error: { code: 'INVALID_ARGUMENT' },
    });
    expect(
      await refusal('log_thought', { thought: 'x', workspace: 'spare', run_id: given.ids['summarize'] }),
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
              "run_id": "stage-2",
              "thought": "x",
            },
            "tool": "log_thought",
          },
          "hint": "Leave out one of the two.",
          "message": "stage-2 is a run of baseline, not of spare.",
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
    const { structured } = await given.call('audit_log', { workspace: 'baseline', limit: 100 });
    const rows = structured['actions'] as { operation: string; outcome: string }[];
    const refused = new Set(rows.filter((row) => row.outcome !== 'ok').map((row) => row.operation));
    expect([...refused].sort()).toEqual(['delete_workspace', 'prune_versions', 'retry', 'rollback', 'tag']);
  });
});
