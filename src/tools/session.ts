import type { ServerContext } from '../context.ts';
import type { Clock } from '../core/clock.ts';
import { GoldfishError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { Logger } from '../core/logger.ts';
import { type AuditTrail, createAuditTrail } from './audit-trail.ts';

/** One caller's view: where it started, and the project found there, opened once and on first need. */
export type Session = {
  /** Absolute; `initialize_project` may create below it only. */
  startFolder: string;
  clock: Clock;
  ids: Ids;
  log: Logger;
  audit: AuditTrail;
  /** The project's root, or undefined while there is none. Looked for again until found. */
  findRoot(): Promise<string | undefined>;
  /** Errors: PROJECT_NOT_FOUND, INVALID_CONFIG and what opening may meet; a failure is not remembered. */
  context(): Promise<ServerContext>;
  /**
   * Opens the project anew, so that the calls that come from now on see its config as it is. What they replace is
   * closed when the calls under way, which may still use it, are over. Errors: as `context`; then nothing changes.
   */
  reopen(): Promise<ServerContext>;
  /** Wraps a call. */
  during<T>(call: () => Promise<T>): Promise<T>;
  /** What is open already, without opening anything. */
  opened(): ServerContext | undefined;
  /** The root, if it was looked for and found already. */
  knownRoot(): string | undefined;
  /** Called by initialize_project: from now on this is the session's project. */
  adopt(root: string): void;
  close(): Promise<void>;
};

export type SessionOptions = {
  startFolder: string;
  clock: Clock;
  ids: Ids;
  log: Logger;
  findProject(start: string): Promise<string | undefined>;
  openContext(root: string): Promise<ServerContext>;
  /** The set of tools may have changed: there is a project now, or its config was read again. */
  onToolsChanged?: () => void;
};

export function createSession(options: SessionOptions): Session {
  let root: string | undefined;
  let opening: Promise<ServerContext> | undefined;
  let open: ServerContext | undefined;
  const audit = createAuditTrail(options.log);
  const underWay = new Set<Promise<unknown>>();
  /** Replaced by a newer one and perhaps still in use. */
  const replaced = new Set<ServerContext>();

  const retire = async (context: ServerContext): Promise<void> => {
    if (replaced.delete(context)) await context.close();
  };
  const findRoot = async (): Promise<string | undefined> => {
    root ??= await options.findProject(options.startFolder);
    return root;
  };
  const openOnce = async (): Promise<ServerContext> => {
    const found = await findRoot();
    if (found === undefined) throw projectNotFound();
    open = await options.openContext(found);
    return open;
  };
  return {
    startFolder: options.startFolder,
    clock: options.clock,
    ids: options.ids,
    log: options.log,
    audit,
    findRoot,
    knownRoot: () => root,
    context: () => {
      opening ??= openOnce().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    },
    reopen: async () => {
      const before = await opening?.catch(() => undefined);
      const after = openOnce();
      await after;
      opening = after;
      if (before) {
        replaced.add(before);
        Promise.allSettled(underWay)
          .then(() => retire(before))
          .catch((error: unknown) =>
            options.log.error({ err: error }, 'a replaced project could not be closed'),
          );
      }
      options.onToolsChanged?.();
      return after;
    },
    during: async (call) => {
      const work = call();
      underWay.add(work);
      try {
        return await work;
      } finally {
        underWay.delete(work);
      }
    },
    opened: () => open,
    adopt: (created) => {
      root = created;
      options.onToolsChanged?.();
    },
    close: async () => {
      const context = await opening?.catch(() => undefined);
      if (context) audit.writeDue(context.db);
      await context?.close();
      await Promise.all([...replaced].map(retire));
    },
  };
}

export function projectNotFound(): GoldfishError {
  return new GoldfishError('PROJECT_NOT_FOUND', {
    message: 'There is no project in this folder or above it.',
    hint: 'Create one with initialize_project, or start the server with --project.',
    fix: { tool: 'initialize_project', arguments: { name: 'my-project' } },
  });
}
