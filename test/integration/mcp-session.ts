import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

/** The server as clients start it, minus the launcher: a real process, spoken to over its pipes. */
export const SERVER = fileURLToPath(new URL('../../src/mcp/main.ts', import.meta.url));

export type Answer = {
  isError: boolean;
  text: string;
  structured: Record<string, unknown>;
  /** Of a refusal. */
  error: { code: string; message: string; hint: string; details: Record<string, unknown>; fix?: unknown };
};

export type McpSession = {
  client: Client;
  folder: string;
  call(name: string, args?: unknown): Promise<Answer>;
  close(): Promise<void>;
};

export function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'goldfish-mcp-'));
}

/** Removes what runs may have left read-only. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

export async function startSession(folder: string, args: readonly string[] = []): Promise<McpSession> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [SERVER, ...args],
    cwd: folder,
    stderr: 'ignore',
  });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
  return {
    client,
    folder,
    call: async (name, given) => {
      // Also what no client would send: the types are the server's to check.
      const request = { name, ...(given === undefined ? {} : { arguments: given }) } as { name: string };
      const result = await client.callTool(request);
      const structured = (result.structuredContent ?? {}) as Record<string, unknown>;
      const [block] = result.content as { text: string }[];
      return {
        isError: result.isError === true,
        text: block?.text ?? '',
        structured,
        error: structured['error'] as Answer['error'],
      };
    },
    close: () => client.close(),
  };
}
