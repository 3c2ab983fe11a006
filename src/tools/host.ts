import { findProject } from '../config/find-project.ts';
import { openContext, type ReadOnly, type ServerContext } from '../context.ts';
import { systemClock } from '../core/clock.ts';
import { systemIds } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import { stderrLogger } from '../os/stderr-logger.ts';
import { callTool, type ToolRequest, type ToolResult } from './call-tool.ts';
import type { CallContext } from './define-tool.ts';
import { type ListedTool, listTool } from './list-tools.ts';
import { INITIALIZE_PROJECT } from './project.ts';
import { readingTools, toolsForReading } from './read-only.ts';
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
  /** Whether only tools that change nothing are offered, and others refused; default `never`. */
  readOnly?: ReadOnly;
  onToolsChanged?: () => void;
};

export function createToolHost(options: ToolHostOptions): ToolHost {
  const { startFolder, named, readOnly = 'never' } = options;
  const session: Session = createSession({
    startFolder,
    clock: systemClock,
    ids: systemIds,
    log: sessionLog(() => session.opened()),
    findProject: (start) => findProject({ start, ...(named ? { project: start } : {}) }),
    openContext: (root) => openForServing(root, readOnly),
    ...(options.onToolsChanged ? { onToolsChanged: options.onToolsChanged } : {}),
  });
  return {
    list: async () => {
      const chosen = options.toolsets ?? (await configuredToolsets(session));
      const hasProject = (await session.findRoot()) !== undefined;
      const tools = (await isReadOnly(session, readOnly)) ? readingTools(ALL_TOOLS) : ALL_TOOLS;
      return tools
        .filter((tool) => isOffered(tool.toolset, chosen))
        .filter((tool) => !hasProject || tool.name !== INITIALIZE_PROJECT)
        .map(listTool);
    },
    // Toolsets keep listings short; they are no lock. What an agent knows by name it may call.
    call: async (request, call) => {
      const isReading = await isReadOnly(session, readOnly);
      const tools = isReading ? toolsForReading(ALL_TOOLS, request.name) : ALL_TOOLS;
      return callTool(session, tools, request, call);
    },
    close: () => session.close(),
  };
}

/** How often a running server looks whether work is left and nobody advances it. */
const WATCH_MS = 1_000;

/** Opens the project and keeps an eye on its supervisor for as long as it is open. */
async function openForServing(root: string, readOnly: ReadOnly): Promise<ServerContext> {
  const context = await openContext({ root, role: 'server', readOnly });
  if (context.readOnly) return context;
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

/** A project that cannot be opened cannot be changed either: what is called says why. */
async function isReadOnly(session: Session, asked: ReadOnly): Promise<boolean> {
  if (asked !== 'as_configured') return asked === 'always';
  if ((await session.findRoot()) === undefined) return false;
  return session.context().then(
    (context) => context.readOnly,
    () => false,
  );
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
      (context?.log ?? stderrLogger)[level](fields, message);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
