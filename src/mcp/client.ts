import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { isJsonObject, type JsonObject } from '../core/json.ts';

/** A tool's refusal, as the client received it. */
class ToolRefusal extends Error {
  override readonly name = 'ToolRefusal';
  readonly error: JsonObject;

  constructor(tool: string, error: JsonObject) {
    super(`${tool}: ${String(error['code'])}: ${String(error['message'])}`);
    this.error = error;
  }
}

export type ToolClient = {
  /** The structured answer. Throws ToolRefusal where the tool refused. */
  call(tool: string, args?: Record<string, unknown>): Promise<JsonObject>;
  tools(): Promise<string[]>;
  serverPid: number | null;
  close(): Promise<void>;
};

/** Starts a server as a child and talks to it over its stdin and stdout, as an agent's client does. */
export async function connectStdio(server: {
  command: string;
  args: string[];
  cwd: string;
}): Promise<ToolClient> {
  const transport = new StdioClientTransport({ ...server, stderr: 'inherit' });
  const client = new Client({ name: 'goldfish-demo', version: '1' });
  await client.connect(transport);
  return {
    serverPid: transport.pid,
    call: async (tool, args = {}) => {
      const result = await client.callTool({ name: tool, arguments: args });
      const structured = result.structuredContent;
      const answer = isJsonObject(structured) ? structured : {};
      const error = answer['error'];
      if (result.isError === true) throw new ToolRefusal(tool, isJsonObject(error) ? error : {});
      return answer;
    },
    tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    close: () => client.close(),
  };
}
