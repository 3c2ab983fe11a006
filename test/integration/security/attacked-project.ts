import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { assetPath } from '../../../src/core/assets.ts';
import { type Layout, projectLayout } from '../../../src/core/layout.ts';
import { isProcessAlive } from '../../../src/os/process-identity.ts';
import { openDatabaseForReading } from '../../../src/store/database.ts';
import { readLease } from '../../../src/store/lease.ts';
import { removeTree } from '../../../src/workspaces/moves.ts';
import { endLeftovers, type Place } from '../../faults/kit/leftovers.ts';
import { type Ended, goldfish } from '../cli-program.ts';
import type { Answer } from '../mcp-session.ts';
import { until } from '../until.ts';
import { type OutsideWatch, watchOutside } from './outside-watch.ts';

export const REASON = 'An attack of the security suite';

/** A project with a server of its own, and beside it what must never be touched. */
export type AttackedProject = {
  /** Holds everything: the project, the outside, temporary folders, the home. */
  base: string;
  root: string;
  layout: Layout;
  /** A folder beside the project with `canary.txt`, `folder/canary.txt` and `folder/metrics.jsonl`; it is the home of all programs, too. */
  outside: string;
  /** What the canaries say: to be found nowhere else. */
  canary: string;
  slot(...path: string[]): string;
  /** A file of the project. */
  write(path: string, content: string, mode?: number): void;
  call(tool: string, args?: object): Promise<Answer>;
  /** The same, and it must succeed. */
  must(tool: string, args?: object): Promise<Record<string, unknown>>;
  /** `goldfish` with these words, in the project. */
  command(...words: string[]): Promise<Ended>;
  /** Everything servers and commands said, the answers to calls included. */
  said(): string;
  watch: OutsideWatch;
  /** Ends the supervisor. */
  endSupervisor(): Promise<void>;
  dispose(): Promise<void>;
};

export async function attackedProject(
  config: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<AttackedProject> {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'goldfish-attacked-')));
  for (const name of ['project', 'outside/folder', 'tmp', 'run', 'cache']) {
    mkdirSync(join(base, name), { recursive: true, mode: 0o700 });
  }
  const [root, outside] = [join(base, 'project'), join(base, 'outside')];
  const canary = `canary-${randomBytes(12).toString('hex')}`;
  for (const file of ['canary.txt', 'folder/canary.txt', 'folder/metrics.jsonl']) {
    writeFileSync(join(outside, file), `${canary}\n`, { mode: 0o640 });
  }
  writeFileSync(join(root, 'goldfish.yaml'), `project_name: attacked\n${config}`);
  const layout = projectLayout(root);
  const env = {
    PATH: process.env['PATH'] ?? '',
    LANG: 'C.UTF-8',
    HOME: outside,
    TMPDIR: join(base, 'tmp'),
    XDG_RUNTIME_DIR: join(base, 'run'),
    XDG_CACHE_HOME: join(base, 'cache'),
    ...compiled(),
    ...environment,
  };
  const said: string[] = [];
  const client = await startServer(root, env, said);
  const call: AttackedProject['call'] = async (tool, args) => {
    const request = { name: tool, ...(args === undefined ? {} : { arguments: args }) } as { name: string };
    const result = await client.callTool(request);
    said.push(JSON.stringify(result));
    const structured = (result.structuredContent ?? {}) as Record<string, unknown>;
    const [block] = result.content as { text: string }[];
    const error = structured['error'] as Answer['error'];
    return { isError: result.isError === true, text: block?.text ?? '', structured, error };
  };
  const watch = await watchOutside([outside, join(outside, 'folder')]);
  const endSupervisor = (): Promise<void> => endHolder(layout);
  return {
    base,
    root,
    layout,
    outside,
    canary,
    slot: (...path) => join(layout.slot('w1'), ...path),
    write: (path, content, mode) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
      if (mode !== undefined) chmodSync(join(root, path), mode);
    },
    call,
    must: async (tool, args) => {
      const answer = await call(tool, args);
      if (answer.isError) throw new Error(`${tool}: ${answer.text}`);
      return answer.structured;
    },
    command: async (...words) => {
      const ended = await goldfish(words, { cwd: root, stdin: '', env });
      said.push(ended.out, ended.err);
      return ended;
    },
    said: () => said.join('\n'),
    watch,
    endSupervisor,
    dispose: async () => {
      await client.close();
      await endSupervisor();
      await watch.close();
      await endLeftovers(placeOf({ base, root, layout })).catch(() => undefined);
      await removeTree(base);
    },
  };
}

/** Code that was compiled once is compiled for all; nothing of a project is in it. */
function compiled(): Record<string, string> {
  const folder = process.env['NODE_COMPILE_CACHE'];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

async function startServer(root: string, env: Record<string, string>, said: string[]): Promise<Client> {
  const args = [assetPath('bin/goldfish.js'), 'serve'];
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    cwd: root,
    env,
    stderr: 'pipe',
  });
  transport.stderr?.on('data', (data: Buffer) => void said.push(data.toString()));
  const client = new Client({ name: 'attacker', version: '1' });
  await client.connect(transport);
  return client;
}

async function endHolder(layout: Layout): Promise<void> {
  const db = openDatabaseForReading(layout.database);
  try {
    const { pid, pidStart, bootId } = readLease(db);
    const alive = (): boolean =>
      pid !== null && isProcessAlive({ pid, start: pidStart ?? '', bootId: bootId ?? '' });
    if (pid !== null && alive()) process.kill(pid, 'SIGTERM');
    await until(() => !alive(), 'the end of the supervisor', 30);
  } finally {
    db.close();
  }
}

function placeOf(of: { base: string; root: string; layout: Layout }): Place {
  const runs = existsSync(of.layout.runs) ? readdirSync(of.layout.runs) : [];
  const { stateDir } = of.layout;
  return {
    root: of.root,
    stateDir,
    runIds: runs,
    tempDir: join(of.base, 'tmp'),
    runtimeDir: join(of.base, 'run'),
  };
}

export type Entry = { path: string; name: string; kind: 'file' | 'folder' | 'link' | 'special' };

/** Everything below a folder. No link is followed, which Node's own recursive listing does. */
export function entriesBelow(folder: string, skip: (path: string) => boolean = () => false): Entry[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): Entry[] => {
    const { name } = entry;
    const path = join(folder, name);
    if (skip(path)) return [];
    if (entry.isDirectory()) return [{ path, name, kind: 'folder' }, ...entriesBelow(path, skip)];
    const kind = entry.isFile() ? 'file' : entry.isSymbolicLink() ? 'link' : 'special';
    return [{ path, name, kind }];
  });
}

/** Where one of the words stands below a folder: in a name, in what a link leads to, in a file. */
export function filesWith(
  folder: string,
  words: readonly string[],
  skip: (path: string) => boolean,
): string[] {
  return entriesBelow(folder, skip).flatMap(({ path, name, kind }) => {
    const content = contentOf(path, kind);
    return words
      .filter((word) => name.includes(word) || content.includes(word))
      .map((word) => `${path}: ${word}`);
  });
}

function contentOf(path: string, kind: Entry['kind']): string {
  // A name that is no text cannot be asked for by a text.
  if (!existsSync(path)) return '';
  if (kind === 'link') return readlinkSync(path);
  return kind === 'file' ? readFileSync(path, 'utf8') : '';
}

/** Every row but those of the audit and the lease, and every file but the database's own and the logs. */
export function stateOf({ root, layout }: Pick<AttackedProject, 'root' | 'layout'>): Record<string, string> {
  const state: Record<string, string> = {};
  const db = openDatabaseForReading(layout.database);
  const tables = db.prepare<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  for (const { name } of tables) {
    if (name === 'supervisor_lease' || name === 'audit' || name.startsWith('sqlite_')) continue;
    state[`table ${name}`] = JSON.stringify(db.prepare(`SELECT * FROM ${name}`).all());
  }
  db.close();
  for (const { path, kind } of entriesBelow(root)) {
    if (path.startsWith(layout.database) || path.startsWith(layout.logs)) continue;
    const content = kind === 'file' ? readFileSync(path) : kind === 'link' ? readlinkSync(path) : '';
    state[path] = `${kind} ${lstatSync(path).mode} ${createHash('sha256').update(content).digest('hex')}`;
  }
  return state;
}
