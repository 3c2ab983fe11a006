import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterEach, describe, expect, it } from 'vitest';
import { INSTRUCTIONS } from '../../src/mcp/instructions.ts';
import { createServer } from '../../src/mcp/server.ts';
import type { ToolRequest, ToolResult } from '../../src/tools/call-tool.ts';
import type { CallContext } from '../../src/tools/define-tool.ts';
import type { ToolHost } from '../../src/tools/host.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

type OnCall = (request: ToolRequest, call: CallContext) => Promise<ToolResult>;

async function connect(onCall: OnCall) {
  let loads = 0;
  const host: ToolHost = {
    list: async () => [],
    call: onCall,
    close: async () => undefined,
  };
  const goldfish = createServer({
    version: '1.2.3',
    loadHost: async () => {
      loads += 1;
      return host;
    },
  });
  const client = new Client({ name: 'a\nstrange "client"', version: '1' });
  const [here, there] = InMemoryTransport.createLinkedPair();
  await goldfish.server.connect(there);
  await client.connect(here);
  closers.push(() => client.close());
  return { client, goldfish, loads: () => loads };
}

const fine: ToolResult = { content: [{ type: 'text', text: 'fine' }], structuredContent: { ok: true } };

describe('the MCP server', () => {
  it('introduces itself with its version and its instructions', async () => {
    const { client } = await connect(async () => fine);
    expect(client.getServerVersion()).toMatchObject({
      name: 'goldfish',
      title: 'Goldfish',
      version: '1.2.3',
    });
    expect(client.getInstructions()).toBe(INSTRUCTIONS);
    expect(client.getServerCapabilities()).toEqual({ tools: { listChanged: true } });
  });

  it('keeps its instructions short enough that no client cuts them', () => {
    expect(INSTRUCTIONS.length).toBeLessThanOrEqual(1_800);
  });

  it('hands on a call as it came, with who called', async () => {
    const calls: [ToolRequest, string][] = [];
    const { client } = await connect(async (request, call) => {
      calls.push([request, call.actor]);
      return fine;
    });
    await client.callTool({ name: 'status', arguments: { include: ['config'] } });
    expect(calls).toEqual([
      [{ name: 'status', arguments: { include: ['config'] } }, 'mcp:a?strange ?client?'],
    ]);
  });

  it('hands on calls that are no calls, so that they get a coded answer', async () => {
    const names: unknown[] = [];
    const { client } = await connect(async (request) => {
      names.push(request.name, request.arguments);
      return { ...fine, isError: true };
    });
    const odd = { name: 5, arguments: 'text' } as unknown as { name: string };
    expect((await client.callTool(odd)).isError).toBe(true);
    expect(names).toEqual([5, 'text']);
  });

  it('reports progress, growing only, to a caller who asked for it', async () => {
    const { client } = await connect(async (_request, call) => {
      call.progress(0.25, 'a quarter');
      call.progress(0.2, 'back');
      call.progress(1, 'done');
      return fine;
    });
    const seen: { progress: number }[] = [];
    await client.callTool({ name: 'wait' }, undefined, { onprogress: (progress) => seen.push(progress) });
    expect(seen[1]?.progress).toBeGreaterThan(0.25);
    expect(seen).toEqual([
      { progress: 0.25, total: 1, message: 'a quarter' },
      { progress: expect.closeTo(0.25), total: 1, message: 'back' },
      { progress: 1, total: 1, message: 'done' },
    ]);
  });

  it('aborts the call when the client cancels it', async () => {
    const started = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const { client, goldfish } = await connect(async (_request, call) => {
      call.signal.addEventListener('abort', () => aborted.resolve());
      started.resolve();
      await aborted.promise;
      return fine;
    });
    const abort = new AbortController();
    const answer = client.callTool({ name: 'wait' }, undefined, { signal: abort.signal });
    await started.promise;
    expect(goldfish.pending()).toBe(1);
    abort.abort();
    await expect(answer).rejects.toThrow();
    await aborted.promise;
    await goldfish.idle();
    expect(goldfish.pending()).toBe(0);
  });

  it('says that a method is not found, so that newer clients fall back', async () => {
    const { client } = await connect(async () => fine);
    const request = client.request({ method: 'server/discover' }, ToolListChangedNotificationSchema);
    await expect(request).rejects.toMatchObject({ code: -32601 });
  });

  it('loads everything else only after it has answered initialize', async () => {
    const order: string[] = [];
    const goldfish = createServer({
      version: '1',
      loadHost: async () => {
        order.push('load');
        return { list: async () => [], call: async () => fine, close: async () => undefined };
      },
    });
    const [here, there] = InMemoryTransport.createLinkedPair();
    here.onmessage = () => order.push('answer');
    await goldfish.server.connect(there);
    await here.start();
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'c', version: '1' },
    };
    await here.send({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    await here.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await expect.poll(() => order).toEqual(['answer', 'load']);
    await here.close();
  });
});
