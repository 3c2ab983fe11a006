import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { errnoOf } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import { formatVersion } from '../core/names.ts';
import type { VersionOrigin, WorkspaceVersion } from '../core/rows.ts';
import { syncFolder } from '../os/files.ts';
import { withLock } from '../store/lock.ts';
import { createGit, type Git } from './git.ts';

/** Bytes are stored as they are, whatever `.gitattributes` in a slot say: this file outranks them. */
const ATTRIBUTES = '* -text -ident -filter -working-tree-encoding -eol -crlf\n';

const ALL_REFS = ['refs/heads', 'refs/tags'];

/** The hidden bare repository: commits, refs and nothing of slots. */
export type VersionStore = {
  /** The commands, once the store exists (it is made on first use). */
  git(): Promise<Git>;
  /** Makes the commit of a version; nothing points to it yet. Returns its id. */
  commit(version: {
    workspace: string;
    version: number;
    tree: string;
    parent: string | null;
    origin: VersionOrigin;
    message: string;
    time: number;
  }): Promise<string>;
  /**
   * Makes tags and branch of a workspace say what the rows say. `read` gives the versions that may lack a tag, the
   * newest first; it is asked while no other process changes refs, so calling this late or twice at once is harmless.
   */
  publish(read: () => readonly WorkspaceVersion[]): Promise<void>;
  /**
   * Removes tags and branches that still point to the commit named beside them. `read` is asked while no other process
   * changes refs.
   */
  forget(read: (refs: ReadonlyMap<string, string>) => ReadonlyMap<string, string>): Promise<void>;
  /** Names of tags and branches with the commits they point to. */
  refs(): Promise<Map<string, string>>;
};

export function createVersionStore(options: {
  path: string;
  searchPath: string;
  clock: Clock;
  ids: Ids;
}): VersionStore {
  const { path, clock } = options;
  const commands = createGit(path, options.searchPath);
  let ready: Promise<Git> | undefined;
  const git = (): Promise<Git> => {
    ready ??= ensureStore(options).then(
      () => commands,
      (error: unknown) => {
        ready = undefined;
        throw error;
      },
    );
    return ready;
  };
  return {
    git,
    commit: async (version) => {
      const parent = version.parent === null ? [] : ['-p', version.parent];
      const args = ['commit-tree', version.tree, ...parent, '-F', '-'];
      const sha = await (await git()).text(args, { time: version.time, input: commitMessage(version) });
      return sha.trim();
    },
    publish: async (read) => {
      const store = await git();
      // One writer of refs at a time, so that a lock file found in its way is known to be a dead process's.
      await withLock(join(path, 'refs.lock'), { clock, what: 'the version store' }, () =>
        publishRefs(store, path, read()),
      );
    },
    forget: async (read) => {
      const store = await git();
      await withLock(join(path, 'refs.lock'), { clock, what: 'the version store' }, async () => {
        const current = await readRefs(store, ALL_REFS);
        const gone = [...read(current)].filter(([name, sha]) => current.get(name) === sha);
        await updateRefs(
          store,
          path,
          gone.map(([name, sha]) => ({ name, line: `delete ${name} ${sha}` })),
        );
      });
    },
    refs: async () => readRefs(await git(), ALL_REFS),
  };
}

async function ensureStore(options: { path: string; searchPath: string; ids: Ids }): Promise<void> {
  const { path } = options;
  if (await exists(join(path, 'HEAD'))) return;
  // Made aside and renamed: another process sees the whole store or none, and a death leaves only a spare folder.
  const temporary = `${path}.${options.ids.reference()}`;
  await mkdir(temporary, { recursive: true });
  try {
    await createGit(temporary, options.searchPath).text([
      'init',
      '--bare',
      '--template=',
      '--initial-branch=none',
    ]);
    await mkdir(join(temporary, 'info'), { recursive: true });
    await writeFile(join(temporary, 'info', 'attributes'), ATTRIBUTES);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    const madeMeanwhile = errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST';
    if (!madeMeanwhile) throw error;
  }
}

/** The trailer lets a person, or a rebuild of the database, read a version off the store alone. */
function commitMessage(version: {
  workspace: string;
  version: number;
  origin: VersionOrigin;
  message: string;
}): string {
  const trailer = [
    `Workspace: ${version.workspace}`,
    `Version: ${formatVersion(version.version)}`,
    `Created-By: ${version.origin}`,
  ];
  return `${version.message.replaceAll('\0', '').trim()}\n\n${trailer.join('\n')}\n`;
}

export function branchRef(workspace: string): string {
  return `refs/heads/${workspace}`;
}

/** `refs/tags/ws-v3`. */
export function tagRef(version: WorkspaceVersion): string {
  return `refs/tags/${version.workspace}-${formatVersion(version.version)}`;
}

async function publishRefs(git: Git, path: string, versions: readonly WorkspaceVersion[]): Promise<void> {
  const newest = versions[0];
  if (!newest) return;
  const branch = branchRef(newest.workspace);
  const wanted = new Map(versions.map((version) => [tagRef(version), version.gitSha]));
  wanted.set(branch, newest.gitSha);
  const current = await readRefs(git, [...wanted.keys()]);
  const updates = [...wanted].flatMap(([name, sha]) => {
    const old = current.get(name);
    if (old === sha) return [];
    const update = { name, line: `update ${name} ${sha} ${old ?? '0'.repeat(40)}` };
    if (name === branch || old === undefined) return [update];
    const lost = `refs/goldfish/replaced/${old}`;
    return [update, { name: lost, line: `update ${lost} ${old}` }];
  });
  await updateRefs(git, path, updates);
}

/** All of them or none. Whatever lock file stands in the way is a dead process's: the caller holds the lock of refs. */
async function updateRefs(
  git: Git,
  path: string,
  updates: readonly { name: string; line: string }[],
): Promise<void> {
  if (updates.length === 0) return;
  await Promise.all(updates.map(({ name }) => rm(join(path, `${name}.lock`), { force: true })));
  const input = ['start', ...updates.map(({ line }) => line), 'prepare', 'commit', ''].join('\n');
  await git.text(['update-ref', '--stdin'], { input });
}

async function readRefs(git: Git, patterns: readonly string[]): Promise<Map<string, string>> {
  const text = await git.text(['for-each-ref', '--format=%(objectname) %(refname)', ...patterns]);
  const lines = text.split('\n').filter((line) => line !== '');
  return new Map(lines.map((line) => [line.slice(line.indexOf(' ') + 1), line.slice(0, line.indexOf(' '))]));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
