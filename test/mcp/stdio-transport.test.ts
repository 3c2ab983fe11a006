import { PassThrough } from 'node:stream';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { beforeEach, describe, expect, it } from 'vitest';
import { createStdioTransport, type StdioTransport } from '../../src/mcp/stdio-transport.ts';

let input: PassThrough;
let written: string[];
let received: JSONRPCMessage[];
let transport: StdioTransport;

beforeEach(async () => {
  input = new PassThrough();
  const output = new PassThrough();
  written = [];
  received = [];
  output.on('data', (data: Buffer) => written.push(...data.toString('utf8').trimEnd().split('\n')));
  transport = createStdioTransport(input, output);
  transport.onmessage = (message) => received.push(message);
  await transport.start();
});

async function feed(...parts: (string | Buffer)[]): Promise<void> {
  for (const part of parts) input.write(part);
  await new Promise((resolve) => setImmediate(resolve));
}

const ping = (id: number | string) => ({ jsonrpc: '2.0' as const, id, method: 'ping' });

describe('the stdio transport', () => {
  it('reads one message a line, however the bytes arrive', async () => {
    const text = Buffer.from(`${JSON.stringify({ ...ping('ä😀'), params: { a: 'é' } })}\r\n`);
    const bytes = [...text].map((byte) => Buffer.from([byte]));
    await feed(...bytes, `${JSON.stringify(ping(2))}\n${JSON.stringify(ping(3))}\n`);
    expect(received.map((message) => ('id' in message ? message.id : null))).toEqual(['ä😀', 2, 3]);
  });

  it('answers a line that is no JSON, and goes on', async () => {
    await feed('{"jsonrpc": "2.0", \n', `${JSON.stringify(ping(1))}\n`);
    expect(written.map((line) => JSON.parse(line))).toEqual([
      { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'The line is not JSON.' } },
    ]);
    expect(received).toHaveLength(1);
  });

  it('answers JSON that is no message under its own id', async () => {
    await feed('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":[1]}\n', '[]\n');
    expect(written.map((line) => JSON.parse(line).id)).toEqual([7, null]);
    expect(JSON.parse(written[0]!).error.code).toBe(-32600);
  });

  it('ignores empty lines', async () => {
    await feed('\n\r\n  \n');
    expect(written).toEqual([]);
    expect(received).toEqual([]);
  });

  it('takes a message of 20 MB', async () => {
    await feed(`${JSON.stringify({ ...ping(1), params: { text: 'x'.repeat(20_000_000) } })}\n`);
    expect(received).toHaveLength(1);
  });

  it('refuses a message beyond its limit under its id, and goes on', async () => {
    const long = { method: 'tools/call', params: { text: 'x'.repeat(34_000_000) }, jsonrpc: '2.0', id: 41 };
    const chunk = Buffer.from(JSON.stringify(long));
    for (let at = 0; at < chunk.length; at += 65_536) input.write(chunk.subarray(at, at + 65_536));
    await feed('\n', `${JSON.stringify(ping(42))}\n`);
    expect(written.map((line) => JSON.parse(line))).toEqual([
      {
        jsonrpc: '2.0',
        id: 41,
        error: { code: -32600, message: 'The message is longer than 33554432 bytes.' },
      },
    ]);
    expect(received).toEqual([ping(42)]);
  });

  it('says when its input has ended', async () => {
    input.end();
    await transport.ended;
  });

  it('writes one line a message', async () => {
    await transport.send({ jsonrpc: '2.0', id: 1, result: { text: 'a\nb' } });
    expect(written).toEqual(['{"jsonrpc":"2.0","id":1,"result":{"text":"a\\nb"}}']);
  });
});
