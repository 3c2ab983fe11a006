import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import {
  ErrorCode,
  type JSONRPCRequest,
  McpError,
  type ServerNotification,
  type ServerRequest,
  type ServerResult,
} from '@modelcontextprotocol/sdk/types.js';
import type { CallContext } from '../tools/define-tool.ts';
import type { ToolHost } from '../tools/host.ts';
import { INSTRUCTIONS } from './instructions.ts';

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

export type GoldfishServer = {
  server: Server;
  /** Calls that have not been answered yet. */
  pending(): number;
  /** Resolves when no call is pending. */
  idle(): Promise<void>;
};

/**
 * The protocol side. It answers `initialize` with nothing but the SDK loaded: the host, with every schema and service,
 * is loaded after that, through `loadHost`.
 */
export function createServer(options: {
  version: string;
  loadHost: () => Promise<ToolHost>;
}): GoldfishServer {
  const server = new Server(
    { name: 'goldfish', title: 'Goldfish', version: options.version },
    { capabilities: { tools: { listChanged: true } }, instructions: INSTRUCTIONS },
  );
  let pending = 0;
  let waiting: (() => void)[] = [];

  // The SDK's own handler for tools/call refuses odd arguments with a protocol error that carries no code and no
  // hint; the fallback gets the request as it came, and our wrapper answers it.
  server.fallbackRequestHandler = async (request, extra) => {
    pending += 1;
    try {
      return await dispatch(request, extra);
    } finally {
      pending -= 1;
      if (pending === 0) {
        for (const resolve of waiting) resolve();
        waiting = [];
      }
    }
  };

  const dispatch = async (request: JSONRPCRequest, extra: Extra): Promise<ServerResult> => {
    if (request.method === 'tools/list') return { tools: await (await options.loadHost()).list() };
    if (request.method === 'tools/call') {
      const params: Record<string, unknown> = request.params ?? {};
      const host = await options.loadHost();
      return host.call({ name: params['name'], arguments: params['arguments'] }, callContext(server, extra));
    }
    throw new McpError(ErrorCode.MethodNotFound, 'Method not found');
  };

  server.oninitialized = () => {
    // Behind the answer to `initialize` (also of a client that did not wait for it), before the first call needs it.
    // A failure shows at that call.
    setImmediate(() => {
      options.loadHost().catch(() => undefined);
    });
  };

  return {
    server,
    pending: () => pending,
    idle: () => (pending === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}

/** So small that no wait of a few hundred words comes to the end by it. */
const TINY_STEP = 1e-6;

function callContext(server: Server, extra: Extra): CallContext {
  const token = extra._meta?.progressToken;
  let reported = -TINY_STEP;
  return {
    signal: extra.signal,
    actor: `mcp:${actorName(server)}`,
    progress: (fraction, message) => {
      if (token === undefined || extra.signal.aborted) return;
      // The protocol wants progress to grow with every word; a run that starts anew falls back.
      reported = Math.max(fraction, reported + TINY_STEP);
      extra
        .sendNotification({
          method: 'notifications/progress',
          params: { progressToken: token, progress: reported, total: 1, message },
        })
        .catch(() => undefined);
    },
  };
}

function actorName(server: Server): string {
  const name = server.getClientVersion()?.name ?? 'unknown';
  return name.replaceAll(/[^\w.@/ -]/g, '?').slice(0, 64);
}
