import { findProject } from '../config/find-project.ts';
import { openContext, type ServerContext } from '../context.ts';
import { systemClock } from '../core/clock.ts';
import { systemIds } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import { callTool, type ToolRequest, type ToolResult } from './call-tool.ts';
import type { CallContext } from './define-tool.ts';
import { type ListedTool, listTool } from './list-tools.ts';
import { INITIALIZE_PROJECT } from './project.ts';
import { ALL_TOOLS } from './registry.ts';
import { createSession, type Session } from './session.ts';
import { isOffered, type Toolset } from './toolsets.ts';

/** Everything a face needs: what is offered here and now, and the one way to call it. */
export type ToolHost = {
  list(): Promise<ListedTool[]>;
  call(request: ToolRequest, call: CallContext): Promise<ToolResult>;
  close(): Promise<void>;
};

export type ToolHostOptions = {
  /** Absolute; the project is looked for here. */
  startFolder: string;
  /** True where the caller named the folder: then it is not searched upward from it. */
  named: boolean;
  /** Absent: what the project's config says, else `default`. */
  toolsets?: readonly Toolset[];
  onToolsChanged?: () => void;
};

export function createToolHost(options: ToolHostOptions): ToolHost {
  const { startFolder, named } = options;
  const session: Session = createSession({
    startFolder,
    clock: systemClock,
    ids: systemIds,
    log: sessionLog(() => session.opened()),
    findProject: (start) => findProject({ start, ...(named ? { project: start } : {}) }),
    openContext: openForServing,
    ...(options.onToolsChanged ? { onToolsChanged: options.onToolsChanged } : {}),
  });
  return {
    list: async () => {
      const chosen = options.toolsets ?? (await configuredToolsets(session));
      const hasProject = (await session.findRoot()) !== undefined;
      return ALL_TOOLS.filter((tool) => isOffered(tool.toolset, chosen))
        .filter((tool) => !hasProject || tool.name !== INITIALIZE_PROJECT)
        .map(listTool);
    },
    // Toolsets keep listings short; they are no lock. What an agent knows by name it may call.
    call: (request, call) => callTool(session, ALL_TOOLS, request, call),
    close: () => session.close(),
  };
}

/** How often a running server looks whether work is left and nobody advances it. */
const WATCH_MS = 10_000;

/** Opens the project and keeps an eye on its supervisor for as long as it is open. */
async function openForServing(root: string): Promise<ServerContext> {
  const context = await openContext({ root, role: 'server' });
  const look = (): void => {
    context.ensureSupervisor().catch((error: unknown) => {
      context.log.error({ err: error }, 'the supervisor could not be looked after');
    });
  };
  look();
  const watch = setInterval(look, WATCH_MS);
  // The watch must not keep a process alive whose client has gone.
  watch.unref();
  return {
    ...context,
    close: () => {
      clearInterval(watch);
      return context.close();
    },
  };
}

/** A project that cannot be opened must not hide the tools that tell why. */
async function configuredToolsets(session: Session): Promise<readonly Toolset[]> {
  if ((await session.findRoot()) === undefined) return ['default'];
  try {
    return (await session.context()).config.mcp.toolsets;
  } catch {
    return ['default'];
  }
}

/** The project's log once there is one; before that, lines on stderr, which clients keep. */
function sessionLog(opened: () => ServerContext | undefined): Logger {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') => (fields: Record<string, unknown>, message: string) => {
      const context = opened();
      if (context) context.log[level](fields, message);
      else if (level !== 'debug') process.stderr.write(`goldfish ${level}: ${message} ${describe(fields)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function describe(fields: Record<string, unknown>): string {
  const plain = Object.entries(fields).map(([key, value]) => [
    key,
    value instanceof Error ? { message: value.message, stack: value.stack } : value,
  ]);
  return JSON.stringify(Object.fromEntries(plain));
}
