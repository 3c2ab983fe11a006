import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeMeasured, measureInitialize } from '../../scripts/measure-initialize.ts';
import { makeFolder, removeFolder, SERVER, startSession } from './mcp-session.ts';
import { endWork } from './mcp-work.ts';

let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(async () => {
  await removeFolder(folder);
});

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};
const callOf = (id: number, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

type Raw = {
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  send(...messages: object[]): void;
};

function startRaw(nodeArgs: readonly string[] = []): Raw {
  const child = spawn(process.execPath, [...nodeArgs, SERVER], { cwd: folder, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString('utf8');
  });
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString('utf8');
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    send: (...messages) => {
      for (const message of messages) child.stdin.write(`${JSON.stringify(message)}\n`);
    },
  };
}

function messagesOf(stdout: string): { id?: number; method?: string; result?: unknown }[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('the server over stdio', () => {
  it('answers everything that was piped in, then ends with 0 when stdin ends', async () => {
    const raw = startRaw();
    raw.send(INITIALIZE, { jsonrpc: '2.0', method: 'notifications/initialized' });
    raw.send(callOf(1, 'initialize_project', { name: 'piped' }), callOf(2, 'status'));
    raw.child.stdin?.end();
    const [code] = await once(raw.child, 'exit');
    expect(code).toBe(0);
    const ids = messagesOf(raw.stdout()).flatMap((message) => message.id ?? []);
    expect(ids.sort()).toEqual([0, 1, 2]);
  });

  it('ends with its client also while a call waits, and the work goes on', async () => {
    const session = await startSession(folder);
    const reason = 'Run something that takes its time';
    await session.call('initialize_project', { name: 'slow' });
    await session.call('create_workspace', { name: 'slow', goal: 'Take long', reason });
    await session.call('mount', { workspace: 'slow', reason });
    await writeFile(join(folder, 'workspaces/w1/modules/generate.py'), 'import time\ntime.sleep(600)\n');
    const { structured } = await session.call('run', { workspace: 'slow', reason });
    const target = structured['pipeline_run_id'];

    const raw = startRaw();
    raw.send(INITIALIZE, callOf(1, 'wait', { targets: [target] }), callOf(2, 'status'));
    await expect.poll(() => raw.stdout(), { timeout: 30_000 }).toContain('"id":2');
    const ended = once(raw.child, 'exit');
    const started = performance.now();
    raw.child.stdin?.end();
    expect((await ended)[0]).toBe(0);
    expect(performance.now() - started).toBeLessThan(5_000);

    const running = async () => (await session.call('list_runs', { state: 'running' })).structured['runs'];
    await expect.poll(running, { timeout: 30_000 }).toHaveLength(1);
    await endWork(session);
    await session.close();
  });

  it('tells of the progress of a wait, and stops waiting when the client cancels it', async () => {
    const session = await startSession(folder);
    const reason = 'Run something that takes its time';
    await session.call('initialize_project', { name: 'slow' });
    await session.call('create_workspace', { name: 'slow', goal: 'Take long', reason });
    await session.call('mount', { workspace: 'slow', reason });
    await writeFile(join(folder, 'workspaces/w1/modules/summarize.py'), 'import time\ntime.sleep(600)\n');
    const { structured } = await session.call('run', { workspace: 'slow', reason });
    const target = String(structured['pipeline_run_id']);
    const seen: number[] = [];
    const abort = new AbortController();
    const waiting = session.client.callTool({ name: 'wait', arguments: { targets: [target] } }, undefined, {
      signal: abort.signal,
      onprogress: ({ progress }) => {
        seen.push(progress);
        if (progress >= 0.5) abort.abort();
      },
    });
    await expect(waiting).rejects.toThrow();
    expect(seen[0]).toBeLessThan(0.5);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    expect(seen.filter((progress) => progress >= 0.5)).toHaveLength(1);
    await endWork(session);
    await session.close();
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s', async (signal) => {
    const raw = startRaw();
    raw.send(INITIALIZE);
    await expect.poll(() => raw.stdout(), { timeout: 30_000 }).toContain('"id":0');
    const ended = once(raw.child, 'exit');
    raw.child.kill(signal);
    expect(await ended).toEqual([0, null]);
  });

  it('keeps stdout for the protocol while everything around it writes there', async () => {
    // A module that does what careless libraries do, from the moment the server has taken stdout for itself.
    const preload = join(folder, 'flood.mjs');
    await writeFile(
      preload,
      `const real = process.stdout.write;
      setInterval(() => {
        if (process.stdout.write === real) return;
        console.log('log ' + 'x'.repeat(2000));
        console.error('error');
        console.info('info');
        process.stdout.write('raw write\\n');
      }, 1);`,
    );
    const raw = startRaw(['--import', preload]);
    raw.send(INITIALIZE);
    await expect.poll(() => raw.stderr(), { timeout: 30_000 }).toContain('raw write');
    for (let id = 1; id <= 50; id += 1) raw.send(callOf(id, 'status'));
    await expect.poll(() => raw.stdout(), { timeout: 30_000 }).toContain('"id":50');
    raw.child.kill('SIGKILL');
    await once(raw.child, 'exit');
    const whole = raw.stdout().slice(0, raw.stdout().lastIndexOf('\n') + 1);
    expect(messagesOf(whole).map((message) => message.id)).toEqual(expect.arrayContaining([0, 1, 50]));
    expect(raw.stderr()).toContain('log xxx');
  });

  it('outlives lines that are no messages, and calls that are no calls', async () => {
    const raw = startRaw();
    raw.child.stdin?.write('not json\n{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}\n\u0000\n');
    raw.send(
      INITIALIZE,
      { jsonrpc: '2.0', id: 1, method: 'tools/call' },
      { jsonrpc: '2.0', id: 2, method: 'no/such' },
    );
    await expect.poll(() => raw.stdout(), { timeout: 30_000 }).toContain('"id":1');
    await expect.poll(() => raw.stdout(), { timeout: 30_000 }).toContain('"id":2');
    raw.child.kill('SIGKILL');
    const answers = messagesOf(raw.stdout());
    expect(answers.find((answer) => answer.id === 2)).toMatchObject({ error: { code: -32601 } });
    expect(answers.find((answer) => answer.id === 1)).toMatchObject({
      result: { isError: true, structuredContent: { error: { code: 'INVALID_ARGUMENT' } } },
    });
    expect(answers.find((answer) => answer.id === 7)).toMatchObject({ error: { code: -32600 } });
  });

  it('lists initialize_project until there is a project, says that the list changed, and then answers created: false', async () => {
    const session = await startSession(folder);
    let changed = 0;
    session.client.fallbackNotificationHandler = async (notification) => {
      if (notification.method === 'notifications/tools/list_changed') changed += 1;
    };
    const names = async () => (await session.client.listTools()).tools.map((tool) => tool.name);
    expect(await names()).toContain('initialize_project');
    expect((await session.call('status')).error).toMatchObject({
      code: 'PROJECT_NOT_FOUND',
      fix: { tool: 'initialize_project' },
    });
    expect(
      (await session.call('initialize_project', { name: 'mine', path: 'sub/it' })).structured,
    ).toMatchObject({
      created: true,
      project: 'mine',
      path: 'sub/it',
    });
    await expect.poll(() => changed).toBe(1);
    expect(await names()).not.toContain('initialize_project');
    expect((await session.call('initialize_project', { name: 'other' })).structured).toMatchObject({
      created: false,
      project: 'mine',
    });
    expect((await session.call('status')).isError).toBe(false);
    await session.close();
  });

  it.each([
    ['../outside', 'PATH_OUTSIDE_ROOT'],
    ['/tmp/outside', 'PATH_OUTSIDE_ROOT'],
    ['a/../../outside', 'PATH_OUTSIDE_ROOT'],
  ])('refuses to make a project in %s', async (path, code) => {
    const session = await startSession(folder);
    expect((await session.call('initialize_project', { name: 'p', path })).error.code).toBe(code);
    await session.close();
  });

  it('offers the toolsets it was asked for', async () => {
    const listed = async (toolsets: string) => {
      const session = await startSession(folder, ['--toolsets', toolsets]);
      const { tools } = await session.client.listTools();
      await session.close();
      return tools.map((tool) => tool.name);
    };
    const core = await listed('core');
    expect(core).not.toContain('list_workspaces');
    expect(await listed('default')).toEqual(
      expect.arrayContaining([...core, 'list_workspaces', 'list_versions']),
    );
    expect(await listed('core,all')).toContain('metrics');
  });

  it('answers initialize in at most 1.5 × the time of the smallest server the SDK can make', {
    timeout: 120_000,
  }, async () => {
    const measured = await measureInitialize(7);
    console.log(describeMeasured(measured));
    expect(measured.ratio).toBeLessThanOrEqual(1.5);
  });
});
