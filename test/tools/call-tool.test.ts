import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ServerContext } from '../../src/context.ts';
import { systemClock } from '../../src/core/clock.ts';
import { GoldfishError } from '../../src/core/errors.ts';
import { systemIds } from '../../src/core/ids.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { recentAudit } from '../../src/store/audit.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { callTool, type ToolResult } from '../../src/tools/call-tool.ts';
import { type CallContext, defineTool } from '../../src/tools/define-tool.ts';
import { answer, newName, reason } from '../../src/tools/fields.ts';
import { createSession, type Session } from '../../src/tools/session.ts';

let root: string;
let db: Db;
let logged: object[];
let session: Session;
let behave: () => Promise<{ text?: string; rows?: string[] }>;

const annotations = { readOnly: false, destructive: false, idempotent: false, openWorld: false };
const paint = defineTool({
  name: 'paint',
  title: 'Paint',
  description: 'Paints.',
  toolset: 'core',
  annotations,
  input: z.strictObject({ workspace: newName, reason, dry_run: z.boolean().optional() }),
  output: answer({ text: z.string(), rows: z.array(z.string()) }),
  audit: (input) =>
    input.dry_run ? null : { workspace: input.workspace, reason: input.reason, reasonField: 'reason' },
  handler: () => behave(),
  render: (output) => `text: ${output.text}`,
});
const good = { workspace: 'baseline', reason: 'because it is grey' };
const call: CallContext = {
  signal: new AbortController().signal,
  progress: () => undefined,
  actor: 'test:one',
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-call-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

beforeEach(() => {
  db = openDatabase(join(root, `${systemIds.reference()}.db`), { create: true });
  logged = [];
  behave = async () => ({ text: 'painted' });
  const context = {
    db,
    layout: projectLayout(root),
    hide: (text: string) => text.replaceAll('a-known-secret', '***'),
    config: { audit: { minReasonLength: 15 } },
    workspaces: { known: (typed: string) => ({ name: typed === 'w1' ? 'baseline' : typed }) },
    close: async () => db.close(),
  } as unknown as ServerContext;
  const log = (fields: object): number => logged.push(fields);
  session = createSession({
    startFolder: root,
    clock: systemClock,
    ids: { ...systemIds, reference: () => 'abcd1234' },
    log: { debug: log, info: log, warn: log, error: log },
    findProject: async () => root,
    openContext: async () => context,
  });
});

function invoke(args: unknown, name: unknown = 'paint'): Promise<ToolResult> {
  return callTool(session, [paint], { name, arguments: args }, call);
}

function errorOf(result: ToolResult): Record<string, unknown> {
  expect(result.isError).toBe(true);
  expect(JSON.parse(result.content[0]?.text ?? '')).toEqual(result.structuredContent);
  return result.structuredContent['error'] as Record<string, unknown>;
}

describe('a tool call', () => {
  it('answers with the structure and a short text, and leaves one audit row', async () => {
    expect(await invoke(good)).toEqual({
      content: [{ type: 'text', text: 'text: painted' }],
      structuredContent: { text: 'painted' },
    });
    expect(recentAudit(db, 10)).toMatchObject([
      {
        operation: 'paint',
        workspace: 'baseline',
        actor: 'test:one',
        reason: good.reason,
        outcome: 'ok',
        details: { arguments: good },
      },
    ]);
  });

  it('leaves an audit row for a refusal too, with its code', async () => {
    behave = async () => {
      throw new GoldfishError('WORKSPACE_NOT_FOUND', {
        message: 'No workspace "baseline".',
        hint: 'Make it.',
      });
    };
    expect(errorOf(await invoke(good))).toEqual({
      code: 'WORKSPACE_NOT_FOUND',
      message: 'No workspace "baseline".',
      details: {},
      hint: 'Make it.',
    });
    expect(recentAudit(db, 10).map((row) => row.outcome)).toEqual(['WORKSPACE_NOT_FOUND']);
  });

  describe('whose audit row finds no room on the disk', () => {
    const rows = () => recentAudit(db, 10).map(({ reason, outcome }) => ({ reason, outcome }));
    const first = { reason: 'the first of these calls', outcome: 'ok' };
    const second = { reason: 'the second of these calls', outcome: 'ok' };
    let isFull: boolean;
    beforeEach(async () => {
      isFull = true;
      const { db: real } = await session.context();
      const write: Db['write'] = (work) => {
        if (!isFull) return real.write(work);
        throw new GoldfishError('STORAGE_UNAVAILABLE', { message: 'The disk is full.', hint: 'Free some.' });
      };
      Object.assign(await session.context(), { db: { ...real, write } });
    });

    it('is answered, and its row is written before the next one', async () => {
      expect((await invoke({ ...good, reason: first.reason })).isError).toBeUndefined();
      expect(rows()).toEqual([]);
      expect(logged).toMatchObject([{ tool: 'paint' }]);
      isFull = false;
      await invoke({ ...good, reason: second.reason });
      // The newest is first; each once, as of its own time.
      expect(rows()).toEqual([second, first]);
      const [later, earlier] = recentAudit(db, 10);
      expect(Date.parse(earlier?.createdAt ?? '')).toBeLessThanOrEqual(Date.parse(later?.createdAt ?? ''));
    });

    it('has its row at the latest when the session ends', async () => {
      await invoke({ ...good, reason: first.reason });
      isFull = false;
      const kept = db.close;
      Object.assign(await session.context(), { close: async () => undefined });
      await session.close();
      expect(rows()).toEqual([first]);
      kept();
    });
  });

  it('is answered though its audit row can never be written, and holds back none that come after it', async () => {
    const { db: real } = await session.context();
    let failing = true;
    const write: Db['write'] = (work) => {
      if (failing) throw new Error('a defect');
      return real.write(work);
    };
    Object.assign(await session.context(), { db: { ...real, write } });
    expect((await invoke({ ...good, reason: 'the first of these calls' })).isError).toBeUndefined();
    failing = false;
    await invoke({ ...good, reason: 'the second of these calls' });
    expect(recentAudit(db, 10).map((row) => row.reason)).toEqual(['the second of these calls']);
  });

  it('names the workspace in its audit row, also where the caller named its slot', async () => {
    await invoke({ ...good, workspace: 'w1' });
    expect(recentAudit(db, 1)[0]?.workspace).toBe('baseline');
  });

  it('leaves none for a call that changes nothing or was not understood', async () => {
    await invoke({ ...good, dry_run: true });
    await invoke({ ...good, workspace: 5 });
    await invoke(good, 'pain');
    expect(recentAudit(db, 10)).toEqual([]);
  });

  it('is refused with a reason that is too short, counted without the spaces around it', async () => {
    expect(errorOf(await invoke({ ...good, reason: '   too short        ' }))).toEqual({
      code: 'REASON_TOO_SHORT',
      message: 'The reason has 9 characters; at least 15 are needed.',
      details: { field: 'reason', tool: 'paint', min_length: 15, length: 9 },
      hint: 'Say in one sentence why this is done; it is what the history will show.',
    });
  });

  it('of a tool that does not exist names the nearest, with the call ready', async () => {
    expect(errorOf(await invoke(good, 'pain'))).toEqual({
      code: 'INVALID_ARGUMENT',
      message: 'There is no tool "pain".',
      details: { field: 'name', allowed: ['paint'] },
      hint: 'Did you mean paint? The details list every tool.',
      fix: { tool: 'paint', arguments: good },
    });
    expect(errorOf(await invoke(good, 5))['message']).toBe('The name of the tool is no text.');
  });

  it('that meets an unknown error gives a reference, and the whole error goes to the log only', async () => {
    const error = new Error(`SQLITE_CORRUPT: ${root}/secret at /usr/lib/x.js:1:2`);
    behave = () => Promise.reject(error);
    const result = await invoke(good);
    expect(errorOf(result)).toEqual({
      code: 'INTERNAL',
      message: 'Something inside Goldfish failed (reference abcd1234).',
      details: { reference: 'abcd1234' },
      hint: 'Repeat the call once; if it fails again, report the reference: the log of the server has the whole error.',
    });
    expect(logged).toEqual([{ err: error, reference: 'abcd1234' }]);
    expect(recentAudit(db, 1)[0]?.outcome).toBe('INTERNAL');
  });

  it('that is refused keeps a known secret of its arguments neither in the answer nor in the audit', async () => {
    behave = () =>
      Promise.reject(
        new GoldfishError('CONFLICT', {
          message: 'No "a-known-secret" here.',
          hint: 'Not /etc/a-known-secret.',
          details: { given: ['a-known-secret'] },
          fix: { tool: 'paint', arguments: { workspace: 'a-known-secret' } },
        }),
      );
    const result = await invoke({ workspace: 'a-known-secret', reason: 'It is a-known-secret of ours' });
    expect(errorOf(result)).toEqual({
      code: 'CONFLICT',
      message: 'No "***" here.',
      hint: 'Not <path>',
      details: { given: ['***'] },
      fix: { tool: 'paint', arguments: { workspace: '***' } },
    });
    expect(recentAudit(db, 1)[0]).toMatchObject({
      reason: 'It is *** of ours',
      details: { arguments: { workspace: '***', reason: 'It is *** of ours' } },
    });
  });

  it('whose answer does not fit its own schema is a defect and says so', async () => {
    behave = async () => ({ text: 7 }) as unknown as { text: string };
    expect(errorOf(await invoke(good))['code']).toBe('INTERNAL');
  });

  it('never shows where the project lies', async () => {
    behave = async () => ({ text: `File "${root}/.goldfish/code/00ff/modules/a.py"`, rows: [root] });
    expect(await invoke(good)).toEqual({
      content: [{ type: 'text', text: 'text: File "modules/a.py"' }],
      structuredContent: { text: 'File "modules/a.py"', rows: ['.'] },
    });
    behave = async () => {
      throw new GoldfishError('CONFLICT', {
        message: `${root}/x and /etc/passwd`,
        details: { path: `${root}/y` },
      });
    };
    expect(errorOf(await invoke(good))).toMatchObject({ message: 'x and <path>', details: { path: 'y' } });
  });

  it('is cut where its answer would be too long, in both forms', async () => {
    behave = async () => ({ text: 'word '.repeat(40_000) });
    const result = await invoke(good);
    expect(result.isError).toBeUndefined();
    expect(JSON.stringify(result).length).toBeLessThan(60_000);
    expect(result.structuredContent['note']).toContain('too long');
  });

  it('whose audit row cannot be written still answers, and the log says so', async () => {
    behave = async () => {
      db.close();
      return { text: 'done' };
    };
    expect((await invoke(good)).structuredContent).toEqual({ text: 'done' });
    expect(logged).toMatchObject([{ tool: 'paint' }]);
  });

  it('in a folder without a project says which call makes one', async () => {
    session = createSession({
      startFolder: root,
      clock: systemClock,
      ids: systemIds,
      log: session.log,
      findProject: async () => undefined,
      openContext: () => Promise.reject(new Error('never')),
    });
    expect(errorOf(await invoke(good))).toEqual({
      code: 'PROJECT_NOT_FOUND',
      message: 'There is no project in this folder or above it.',
      details: {},
      hint: 'Create one with initialize_project, or start the server with --project.',
      fix: { tool: 'initialize_project', arguments: { name: 'my-project' } },
    });
  });
});
