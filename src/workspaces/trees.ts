import { createHash } from 'node:crypto';
import type { Git, GitPlace } from './git.ts';
import { splitNul } from './git.ts';

/** git's name of the folder with nothing in it. A tree may hold it, though the index and the commands cannot. */
export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export type TreeEntry = { path: string; mode: '100644' | '100755' | '120000' | '040000'; sha: string };

/** A version's content: its files and links, and apart from them the folders with nothing in them. */
export type TreeContent = { files: TreeEntry[]; emptyFolders: string[] };

type Line = { path: string; mode: string; type: string; sha: string };

async function readLines(git: Git, tree: string, place: GitPlace): Promise<Line[]> {
  const text = await git.text(['ls-tree', '-r', '-t', '-z', '--full-tree', tree], place);
  return splitNul(text).map((line) => {
    const tab = line.indexOf('\t');
    const [mode = '', type = '', sha = ''] = line.slice(0, tab).split(' ');
    return { path: line.slice(tab + 1), mode, type, sha };
  });
}

/** Sorted by the bytes of the path, as git keeps them. */
export async function readTree(git: Git, tree: string, place: GitPlace = {}): Promise<TreeContent> {
  const lines = await readLines(git, tree, place);
  return {
    files: lines.flatMap(({ path, mode, type, sha }) =>
      type === 'blob' ? [{ path, mode: mode as TreeEntry['mode'], sha }] : [],
    ),
    emptyFolders: lines.flatMap(({ path, type, sha }) =>
      type === 'tree' && sha === EMPTY_TREE ? [path] : [],
    ),
  };
}

type Folder = { files: { name: string; mode: string; sha: string }[]; folders: Map<string, Folder> };

/**
 * The tree with empty folders added. The index knows files only, so the trees above each such folder are made here.
 * Their names are computed, and git, which writes them, must come to the same ones.
 */
export async function addEmptyFolders(
  git: Git,
  tree: string,
  folders: readonly string[],
  place: GitPlace,
): Promise<string> {
  if (folders.length === 0) return tree;
  const root: Folder = { files: [], folders: new Map() };
  for (const { path, mode, type, sha } of await readLines(git, tree, place)) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (type === 'blob') parentOf(root, path).files.push({ name, mode, sha });
  }
  for (const path of folders) parentOf(root, `${path}/`);

  const made: string[] = [];
  const sha = writeFolder(root, made);
  const written = await git.text(['mktree', '-z', '--batch', '--missing'], {
    ...place,
    input: made.join(''),
  });
  if (written.trim().split('\n').at(-1) !== sha)
    throw new Error('the tree with empty folders has another name');
  return sha;
}

function parentOf(root: Folder, path: string): Folder {
  let folder = root;
  for (const name of path.split('/').slice(0, -1)) {
    const next = folder.folders.get(name) ?? { files: [], folders: new Map() };
    folder.folders.set(name, next);
    folder = next;
  }
  return folder;
}

/** Appends the input of `mktree --batch` for this folder and all below, children first; returns its name. */
function writeFolder(folder: Folder, made: string[]): string {
  const children = [...folder.folders].map(([name, child]) => ({
    name,
    mode: '040000',
    sha: writeFolder(child, made),
  }));
  const entries = [...folder.files, ...children].sort((a, b) => Buffer.compare(sortKey(a), sortKey(b)));
  const lines = entries.map(
    ({ name, mode, sha }) => `${mode} ${mode === '040000' ? 'tree' : 'blob'} ${sha}\t${name}\0`,
  );
  made.push(`${lines.join('')}\0`);
  return treeName(entries);
}

/** git sorts a folder as if its name ended in a slash. */
function sortKey(entry: { name: string; mode: string }): Buffer {
  return Buffer.from(entry.mode === '040000' ? `${entry.name}/` : entry.name);
}

function treeName(entries: { name: string; mode: string; sha: string }[]): string {
  const body = Buffer.concat(
    entries.flatMap(({ name, mode, sha }) => [
      Buffer.from(`${mode.replace(/^0/, '')} ${name}\0`),
      Buffer.from(sha, 'hex'),
    ]),
  );
  return createHash('sha1').update(`tree ${body.length}\0`).update(body).digest('hex');
}
