import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { appendLog, type LogStream, readLog } from '../../src/backends/log-segments.ts';
import { CAUSES, type Cause } from '../../src/core/causes.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { describeFailure } from '../../src/runs/failure.ts';
import { parseLogCursor } from '../../src/runs/log-cursor.ts';

let root: string;
const run = { id: 'stage-0123456789ab', attempt: 2 };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'goldfish-failure-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const dir = () => projectLayout(root).attempt(run.id, run.attempt).log;
const print = (stream: LogStream, ...texts: string[]) =>
  appendLog({ dir: dir(), stream, texts, now: Date.parse('2026-01-01T00:00:00.000Z') });
const describeEnd = (cause: Cause, known: object = {}) =>
  describeFailure({ layout: projectLayout(root) }, run, { cause, ...known });

/** What `logs` gives first for the cursor. */
async function lineAt(cursor: string | null | undefined): Promise<string | undefined> {
  const at = parseLogCursor(cursor ?? '');
  expect(at?.attempt).toBe(run.attempt);
  const page = await readLog({ dir: dir(), cursor: at!.offset, limitLines: 1 });
  return page.lines[0]?.text;
}

describe('the report of a failed run', () => {
  it('is there for every failed or terminated run, and for no other', async () => {
    for (const cause of Object.keys(CAUSES) as Cause[]) {
      const report = await describeEnd(cause);
      const { state } = CAUSES[cause];
      if (state === 'completed' || state === 'canceled') expect(report, cause).toBeUndefined();
      else expect(report, cause).toMatchObject({ firstErrorLine: null, logCursor: null, logTail: [] });
    }
  });

  it('has a cursor at exactly the line that states the error', async () => {
    await print('stdout', 'an error is being looked for', 'ünd so wéiter');
    await print('stderr', 'warming up', 'FATAL: no such table', 'done');
    await print('stdout', 'bye');
    const report = await describeEnd('exit_nonzero');
    expect(report?.firstErrorLine).toBe('FATAL: no such table');
    expect(await lineAt(report?.logCursor)).toBe('FATAL: no such table');
    expect(report?.logTail).toEqual([
      'an error is being looked for',
      'ünd so wéiter',
      'warming up',
      'FATAL: no such table',
      'done',
      'bye',
    ]);
  });

  it('quotes no line of a build, unless it was the build that failed', async () => {
    await print('build', 'collecting packages', 'ERROR: no such package', 'it was not needed');
    await print('stdout', 'epoch 1');
    for (const cause of ['exit_nonzero', 'oom', 'launch_failed'] as const)
      expect(await describeEnd(cause)).toMatchObject({ firstErrorLine: null, logTail: ['epoch 1'] });
    expect((await describeEnd('build_failed'))?.firstErrorLine).toBe('ERROR: no such package');
  });

  it('finds the statement of a traceback, and what Node prints below the line that threw', async () => {
    await print('stderr', 'Traceback (most recent call last):', '  File "x.py", line 1', 'KeyError: 3');
    expect((await describeEnd('exit_nonzero'))?.firstErrorLine).toBe('KeyError: 3');
    rmSync(dir(), { recursive: true });
    const node = ["throw new TypeError('no number')", '      ^', '', 'TypeError: no number', '    at file:1'];
    await print('stderr', ...node);
    const report = await describeEnd('exit_nonzero');
    expect(report?.firstErrorLine).toBe('TypeError: no number');
    expect(await lineAt(report?.logCursor)).toBe('TypeError: no number');
  });

  it('takes the last word for the error only where the program says why it ended', async () => {
    await print('stderr', 'epoch 3 of 9');
    expect((await describeEnd('exit_nonzero'))?.firstErrorLine).toBe('epoch 3 of 9');
    for (const cause of ['timeout', 'worker_lost', 'oom', 'heartbeat_lost'] as const) {
      expect(await describeEnd(cause), cause).toMatchObject({
        firstErrorLine: null,
        logCursor: null,
        logTail: ['epoch 3 of 9'],
      });
    }
  });

  it('carries the error of the system and the call that resolves it, where they are known', async () => {
    expect(await describeEnd('upload_failed')).not.toHaveProperty('errno');
    const next = { tool: 'status', arguments: {} };
    expect(await describeEnd('upload_failed', { errno: 'ENOSPC', next })).toMatchObject({
      class: 'infra',
      retrySafe: true,
      errno: 'ENOSPC',
      next,
    });
    expect(await describeEnd('launch_failed', { failureClass: 'config' })).toMatchObject({
      retrySafe: false,
    });
  });
});
