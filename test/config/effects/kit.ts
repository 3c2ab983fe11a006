import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openContext, type ServerContext } from '../../../src/context.ts';
import { type Clock, systemClock } from '../../../src/core/clock.ts';
import { systemIds } from '../../../src/core/ids.ts';
import type { Logger } from '../../../src/core/logger.ts';
import { type ListedProfile, listProfiles } from '../../../src/runs/list-profiles.ts';
import { callTool } from '../../../src/tools/call-tool.ts';
import { createToolHost } from '../../../src/tools/host.ts';
import { ALL_TOOLS } from '../../../src/tools/registry.ts';
import { createSession } from '../../../src/tools/session.ts';
import { removeTree } from '../../../src/workspaces/moves.ts';
import { type MiniEngine, startMiniEngine } from './mini-engine.ts';

/** What a key does, in words that follow it, and the proof. */
export type Effect = { title: string; prove: (kit: Kit) => Promise<void> };
export type Effects = Record<string, Effect>;

export const effect = (title: string, prove: Effect['prove']): Effect => ({ title, prove });

/** Projects with settings, opened as they are in earnest; each in a folder of its own. */
export type Kit = {
  /** Around the projects. */
  base: string;
  /** Of the project that was opened last. */
  root: () => string;
  /** As a supervisor has it, which starts no supervisor. */
  open(config: string, clock?: Clock): Promise<ServerContext>;
  write(path: string, content?: string): string;
  call(ctx: ServerContext, tool: string, args: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** Names of the tools a server would offer. */
  offered(config: string): Promise<string[]>;
  /** An engine that only listens, and the line of `docker` that names it. */
  engine(): Promise<MiniEngine & { host: string }>;
  /** Two stages that need nothing, mounted and submitted. */
  submit(ctx: ServerContext): ReturnType<ServerContext['runs']['submit']>;
  profile(config: string, request?: { backend?: string; name?: string }): Promise<ListedProfile>;
  /** What a stage that says nothing gets. */
  given(config: string, request?: { backend?: string; name?: string }): Promise<Record<string, unknown>>;
  dispose(): Promise<void>;
};

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export function createKit(): Kit {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'goldfish-effects-')));
  const cleanups: (() => Promise<unknown>)[] = [];
  let projects = 0;
  const root = (): string => join(base, `project-${projects}`);
  const write: Kit['write'] = (path, content = 'x') => {
    const file = join(root(), path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  const project = (config: string): void => {
    projects += 1;
    write('goldfish.yaml', `project_name: effects\n${config}`);
  };
  const open: Kit['open'] = async (config, clock = systemClock) => {
    project(config);
    const context = await openContext({ root: root(), role: 'supervisor', log: quiet, clock });
    cleanups.push(() => context.close());
    return context;
  };
  const profile: Kit['profile'] = async (config, { backend, name } = {}) => {
    const { runsDeps } = await open(config);
    const wanted = name ?? runsDeps.config.defaults.profile;
    const found = (await listProfiles(runsDeps, { backend })).find((one) => one.name === wanted);
    if (!found) throw new Error(`no profile ${wanted}`);
    return found;
  };
  return {
    base,
    root,
    open,
    write,
    call: (ctx, tool, args) => callWith(ctx, root(), { tool, args }),
    offered: async (config) => {
      // A project that is only read must be there already.
      await open('');
      write('goldfish.yaml', `project_name: effects\n${config}`);
      const host = createToolHost({ startFolder: root(), named: true, readOnly: 'as_configured' });
      cleanups.push(() => host.close());
      return (await host.list()).map(({ name }) => name);
    },
    engine: async () => {
      const socket = join(base, 'engine.sock');
      const mini = await startMiniEngine(socket);
      cleanups.push(() => mini.close());
      return { ...mini, host: `host: "unix://${socket}"` };
    },
    submit: async (ctx) => {
      await ctx.workspaces.create({ name: 'exp', goal: 'See what a setting does' });
      await ctx.workspaces.mount({ workspace: 'exp', slot: 'w1' });
      rmSync(join(root(), 'workspaces/w1/configs'), { recursive: true, force: true });
      const stages = ['a', 'b'].map((name) => `  - { name: ${name}, command: [run] }\n`);
      write('workspaces/w1/pipeline.yaml', `stages:\n${stages.join('')}`);
      return ctx.runs.submit({ workspace: 'exp', reason: 'See what a setting does', useCache: true });
    },
    profile,
    given: async (config, request) => {
      const { given, why } = await profile(config, request);
      if (given === null) throw new Error(why);
      return { ...given.compute, image: given.image };
    },
    dispose: async () => {
      for (const cleanup of cleanups.toReversed()) await cleanup();
      await removeTree(base);
    },
  };
}

async function callWith(
  ctx: ServerContext,
  root: string,
  of: { tool: string; args: Record<string, unknown> },
) {
  const session = createSession({
    startFolder: root,
    clock: systemClock,
    ids: systemIds,
    log: quiet,
    findProject: async () => root,
    openContext: async () => ctx,
  });
  const call = { signal: new AbortController().signal, progress: () => undefined, actor: 'test' };
  const request = { name: of.tool, arguments: of.args };
  return (await callTool(session, ALL_TOOLS, request, call)).structuredContent;
}
