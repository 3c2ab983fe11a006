import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { masking } from './mcp-mask.ts';
import { type Answer, type McpSession, makeFolder, removeFolder, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';

/** The tools of sources and lineage through a real client: the whole answer of each, and what each refuses. */

let session: McpSession;
let run: string;
const mask = masking();
const reason = 'A test of the tools of data';
const description = 'Three numbers';

beforeAll(async () => {
  session = await startSession(await makeFolder(), ['--toolsets', 'all']);
  const accept = async (tool: string, args: object): Promise<Answer['structured']> => {
    const answer = await session.call(tool, args);
    expect(answer.error).toBeUndefined();
    return answer.structured;
  };
  await accept('initialize_project', { name: 'data' });
  await mkdir(join(session.folder, 'data'));
  await writeFile(join(session.folder, 'data', 'numbers.csv'), 'n\n1\n2\n3\n');
  await accept('create_workspace', { name: 'base', goal: 'Make points', reason });
  await accept('mount', { workspace: 'base', reason });
  const { runs } = await accept('run', { workspace: 'base', stages: ['generate'], reason, wait_seconds: 45 });
  const [first] = runs as { run_id: string; state: string }[];
  expect(first?.state).toBe('completed');
  run = String(first?.run_id);
}, 120_000);
afterAll(async () => {
  await endWork(session);
  await session.close();
  await removeFolder(session.folder);
}, 60_000);

const answer = async (tool: string, args: object) => mask(await session.call(tool, args));
const refusal = async (tool: string, args: object) => (await session.call(tool, args)).error;

describe('the whole answer of', () => {
  it('register_source', async () => {
    const args = { name: 'numbers', uri: 'data/numbers.csv', description, reason, metadata: { rows: 3 } };
    expect(await answer('register_source', args)).toMatchInlineSnapshot(`
      {
        "structured": {
          "created": true,
          "source": {
            "created_at": "TIME",
            "description": "Three numbers",
            "fingerprint": "full",
            "from_run": null,
            "hash": "HASH",
            "kind": "file",
            "name": "numbers",
            "signal": null,
            "size": 8,
            "uri": "data/numbers.csv",
            "version": "v1",
          },
        },
        "text": "numbers@v1: file of 8 bytes, HASH.",
      }
    `);
  });

  it('register_source for the same content', async () => {
    const args = { name: 'numbers', uri: 'data/numbers.csv', description, reason };
    const { text, structured } = await answer('register_source', args);
    expect(text).toMatchInlineSnapshot(`"numbers@v1 has this very content already."`);
    expect(structured).toMatchObject({ created: false, source: { version: 'v1' } });
  });

  it('promote_artifact', async () => {
    const args = { run_id: run, output: 'numbers', source_name: 'points', description: 'Points', reason };
    expect(await answer('promote_artifact', args)).toMatchInlineSnapshot(`
      {
        "structured": {
          "created": true,
          "next": {
            "arguments": {
              "direction": "up",
              "ref": "source:points@v1",
            },
            "tool": "lineage",
          },
          "source": {
            "created_at": "TIME",
            "description": "Points",
            "fingerprint": "full",
            "from_run": "stage-1",
            "hash": "HASH",
            "kind": "file",
            "name": "points",
            "signal": "numbers",
            "size": 2588,
            "uri": "stage-1.numbers",
            "version": "v1",
          },
        },
        "text": "points@v1: file of 2588 bytes, HASH.
      It is numbers of stage-1.
      next: lineage {"ref":"source:points@v1","direction":"up"}",
      }
    `);
  });

  it('list_sources', async () => {
    expect(await answer('list_sources', {})).toMatchInlineSnapshot(`
      {
        "structured": {
          "errors": [],
          "next_cursor": null,
          "schema_version": 1,
          "sources": [
            {
              "created_at": "TIME",
              "description": "Three numbers",
              "fingerprint": "full",
              "from_run": null,
              "hash": "HASH",
              "kind": "file",
              "name": "numbers",
              "signal": null,
              "size": 8,
              "uri": "data/numbers.csv",
              "version": "v1",
              "versions": 1,
            },
            {
              "created_at": "TIME",
              "description": "Points",
              "fingerprint": "full",
              "from_run": "stage-1",
              "hash": "HASH",
              "kind": "file",
              "name": "points",
              "signal": "numbers",
              "size": 2588,
              "uri": "stage-1.numbers",
              "version": "v1",
              "versions": 1,
            },
          ],
        },
        "text": "source  kind  bytes  from  description
      numbers@v1  file  8  data/numbers.csv  Three numbers
      points@v1  file  2588  stage-1.numbers  Points",
      }
    `);
  });

  it('inspect_source', async () => {
    expect(await answer('inspect_source', { name: 'numbers' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "consumers": [],
          "consumers_in_all": {
            "open": 0,
            "runs": 0,
          },
          "metadata": {
            "rows": 3,
          },
          "next": {
            "arguments": {
              "ref": "source:numbers@v1",
            },
            "tool": "lineage",
          },
          "path": ".goldfish/objects/sha256/HASH",
          "pipelines": [],
          "source": {
            "created_at": "TIME",
            "description": "Three numbers",
            "fingerprint": "full",
            "from_run": null,
            "hash": "HASH",
            "kind": "file",
            "name": "numbers",
            "signal": null,
            "size": 8,
            "uri": "data/numbers.csv",
            "version": "v1",
          },
          "versions": [
            {
              "created_at": "TIME",
              "hash": "HASH",
              "size": 8,
              "version": "v1",
            },
          ],
        },
        "text": "numbers@v1: file of 8 bytes, HASH.
      Three numbers
      from data/numbers.csv, checked by: full
      next: lineage {"ref":"source:numbers@v1"}",
      }
    `);
  });

  it('lineage', async () => {
    const ref = 'points@v1';
    expect(await answer('lineage', { ref, direction: 'up' })).toMatchInlineSnapshot(`
      {
        "structured": {
          "edges": [
            {
              "from": "stage-1.numbers",
              "kind": "promoted",
              "to": "source:points@v1",
            },
            {
              "from": "stage-1",
              "kind": "output",
              "to": "stage-1.numbers",
            },
            {
              "from": "version:base@v1",
              "kind": "code",
              "to": "stage-1",
            },
          ],
          "next": null,
          "nodes": [
            {
              "distance": 0,
              "hash": "HASH",
              "id": "source:points@v1",
              "kind": "source",
              "label": "source points",
              "size": 2588,
            },
            {
              "distance": 0,
              "hash": "HASH",
              "id": "stage-1.numbers",
              "kind": "signal",
              "label": "file numbers",
              "size": 2588,
            },
            {
              "distance": 1,
              "id": "stage-1",
              "kind": "run",
              "label": "generate of base@v1",
              "state": "completed",
            },
            {
              "distance": 2,
              "id": "version:base@v1",
              "kind": "version",
              "label": "version of base",
            },
          ],
          "root": [
            "source:points@v1",
          ],
          "truncated": false,
        },
        "text": "4 nodes around source:points@v1
      node  what  state  bytes
      source:points@v1  source points  2588
      stage-1.numbers  file numbers  2588
      stage-1  generate of base@v1  completed
      version:base@v1  version of base
      stage-1.numbers → source:points@v1 (promoted)
      stage-1 → stage-1.numbers (output)
      version:base@v1 → stage-1 (code)",
      }
    `);
  });

  it('delete_source', async () => {
    expect(await answer('delete_source', { name: 'points', reason })).toMatchInlineSnapshot(`
      {
        "structured": {
          "name": "points",
          "versions": 1,
        },
        "text": "points is deleted: 1 version. Runs that read it stay as they are.",
      }
    `);
  });
});

describe('a reference of lineage', () => {
  it.each([
    ['a run', () => run, () => [run]],
    ['a prefix', () => run.slice(0, 14), () => [run]],
    ['a signal', () => `${run}.numbers`, () => [`${run}.numbers`]],
    ['a source', () => 'numbers', () => ['source:numbers@v1']],
    ['a version of a source', () => 'numbers@v1', () => ['source:numbers@v1']],
    ['a deleted version of a source', () => 'source:points@v1', () => ['source:points@v1']],
    ['a workspace', () => 'base', () => ['version:base@v1']],
    ['a slot', () => 'w1', () => ['version:base@v1']],
    ['a version', () => 'base@v1', () => ['version:base@v1']],
    ['what another answer called it', () => 'version:base@v1', () => ['version:base@v1']],
  ])('may be %s', async (_what, ref, root) => {
    expect((await session.call('lineage', { ref: ref() })).structured).toMatchObject({ root: root() });
  });

  it('may be a pipeline run: all its runs', async () => {
    const { structured } = await session.call('inspect_run', { run_id: run });
    const found = await session.call('lineage', { ref: structured['pipeline_run_id'] });
    expect(found.structured).toMatchObject({ root: [run] });
  });

  it('that fits a source and a workspace is asked back', async () => {
    await session.call('register_source', { name: 'base', uri: 'data', description, reason });
    expect(await refusal('lineage', { ref: 'base' })).toMatchObject({
      code: 'AMBIGUOUS_ID',
      details: { candidates: ['source:base', 'version:base'] },
    });
    expect((await session.call('lineage', { ref: 'source:base' })).structured).toMatchObject({
      root: ['source:base@v1'],
    });
  });

  it.each([
    ['nothing-here', 'WORKSPACE_NOT_FOUND'],
    ['numbers@v9', 'SOURCE_NOT_FOUND'],
    ['source:nothing', 'SOURCE_NOT_FOUND'],
    ['source:numbers@v9', 'SOURCE_NOT_FOUND'],
    ['stage-000000000000', 'RUN_NOT_FOUND'],
  ])('%s is refused with %s', async (ref, code) => {
    expect(await refusal('lineage', { ref })).toMatchObject({ code });
  });

  it('to a signal that a run does not have names those it has', async () => {
    expect(await refusal('lineage', { ref: `${run}.nothing` })).toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: 'Its outputs: numbers.',
    });
  });
});

describe('what is refused', () => {
  it('leads to the call that shows what there is', async () => {
    expect(await refusal('inspect_source', { name: 'number' })).toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      message: 'There is no source "number".',
      hint: 'Did you mean numbers?',
      fix: { tool: 'list_sources', arguments: {} },
    });
  });

  it('needs a reason, and is in the audit with it', async () => {
    expect(await refusal('delete_source', { name: 'numbers', reason: 'short' })).toMatchObject({
      code: 'REASON_TOO_SHORT',
    });
    const { structured } = await session.call('audit_log', { operation: 'delete_source' });
    expect(structured['actions']).toMatchObject([{ outcome: 'REASON_TOO_SHORT' }, { outcome: 'ok' }]);
  });
});
