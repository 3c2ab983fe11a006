import { readdirSync } from 'node:fs';
import { flushCompileCache, getCompileCacheDir } from 'node:module';
import type { Writable } from 'node:stream';
import { inspect } from 'node:util';
import { GOLDFISH_VERSION } from '../core/version.ts';
import type { ToolHost } from '../tools/host.ts';
import type { Toolset } from '../tools/toolsets.ts';
import { createServer } from './server.ts';
import { createStdioTransport } from './stdio-transport.ts';

export type StdioOptions = {
  /** Absolute; the project is looked for here. */
  startFolder: string;
  /** True where the caller named the folder: then it is not searched upward from it. */
  named: boolean;
  /** Absent: what the project's config says. */
  toolsets?: Toolset[];
  /** `as_configured` asks mcp.read_only. */
  readOnly: 'always' | 'as_configured';
};

/** How long calls that are under way may go on after the client has gone, and after they were told to stop. */
const DRAIN_MS = 1_200;
const ABORT_MS = 400;

/**
 * Serves one client over stdin and `output` until stdin ends or a signal comes; then ends the process.
 * @param output the real stdout, as `takeStdout` gave it
 */
export async function serveStdio(options: StdioOptions, output: Writable): Promise<never> {
  const host = lazyHost(options, () => server.sendToolListChanged());
  const { server, pending, idle } = createServer({ version: GOLDFISH_VERSION, loadHost: host.load });
  const transport = createStdioTransport(process.stdin, output);
  const stopped = stopSignal();
  process.on('unhandledRejection', (error) => {
    process.stderr.write(`goldfish: unhandled rejection: ${inspect(error)}\n`);
  });

  keepCompiledCode();
  await server.connect(transport);
  const why = await Promise.race([transport.ended.then(() => 'end' as const), stopped]);
  // Calls that came before the end of stdin are answered: a script may pipe its calls in and read what comes out.
  if (why === 'end') await withDeadline(idle(), DRAIN_MS);
  await server.close();
  if (pending() > 0) await withDeadline(idle(), ABORT_MS);
  await withDeadline(host.close(), ABORT_MS);
  await withDeadline(new Promise((resolve) => output.end(() => resolve(undefined))), ABORT_MS);
  process.exit(0);
}

/** The SDK alone compiles to more files than this. */
const WARM_CACHE_FILES = 20;

/**
 * Node writes its cache of compiled code when a process ends by itself, but clients often kill their servers. So the
 * very first start, which finds it empty, writes it at once: every later one then answers in about half the time.
 */
function keepCompiledCode(): void {
  const folder = getCompileCacheDir();
  if (folder === undefined) return;
  try {
    if (readdirSync(folder).length < WARM_CACHE_FILES) flushCompileCache();
  } catch {
    // Not made yet, or not readable: then it is Node's business alone.
    flushCompileCache();
  }
}

function lazyHost(options: StdioOptions, onToolsChanged: () => Promise<void>) {
  let loading: Promise<ToolHost> | undefined;
  const load = (): Promise<ToolHost> => {
    loading ??= import('../tools/host.ts').then(({ createToolHost }) => {
      // The rest of the code, for the same reason.
      flushCompileCache();
      return createToolHost({
        ...options,
        onToolsChanged: () => {
          onToolsChanged().catch(() => undefined);
        },
      });
    });
    return loading;
  };
  return {
    load,
    close: async (): Promise<void> => {
      const host = await loading?.catch(() => undefined);
      await host?.close();
    },
  };
}

function stopSignal(): Promise<'signal'> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, () => resolve('signal'));
  });
}

async function withDeadline(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => undefined), deadline]);
  clearTimeout(timer);
}
