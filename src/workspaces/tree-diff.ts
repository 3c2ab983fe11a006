import { GoldfishError } from '../core/errors.ts';
import { hashJson } from '../core/json.ts';
import { clip } from '../core/names.ts';
import { type Git, type GitPlace, splitNul } from './git.ts';
import { EMPTY_TREE } from './trees.ts';

export type FileChange = {
  path: string;
  status: 'added' | 'deleted' | 'modified' | 'renamed' | 'type_changed' | 'folder_added' | 'folder_deleted';
  /** Of a renamed file. */
  oldPath?: string;
  /** Lines; null for a binary file. */
  added: number | null;
  removed: number | null;
  binary: boolean;
  /** Where it changed: `100644`, `100755` (executable), `120000` (link). */
  mode?: { from: string; to: string };
};

export type TreeDiff = {
  files: FileChange[];
  totals: { files: number; added: number; removed: number };
  /** Unified text of (the rest of) `files` as far as this page goes; absent with `statOnly`. */
  text?: string;
  nextCursor: string | null;
};

export type DiffPage = {
  paths?: readonly string[];
  statOnly?: boolean;
  cursor?: string;
  /** How much a page may hold. Default: 20,000 characters. */
  size?: PageSize;
};

/** What a line of text, or a file's row as JSON, costs, and what a page may. */
export type PageSize = { budget: number; costOf: (text: string) => number };

const FILES_PER_STAT_PAGE = 200;
const FILES_PER_TEXT_PAGE = 50;
const CHARACTERS: PageSize = { budget: 20_000, costOf: (text) => text.length };
const FLAGS = ['-r', '--find-renames', '--no-ext-diff', '--no-textconv', '--no-color'];

/**
 * What leads from one tree to another, a page at a time. A page ends at a line of text; the cursor is good for the
 * same two trees only. Errors: INVALID_ARGUMENT (paths, cursor), CONFLICT (the files changed since the first page).
 */
export async function diffTrees(
  git: Git,
  trees: { from: string; to: string; place?: GitPlace },
  page: DiffPage,
): Promise<TreeDiff> {
  const paths = (page.paths ?? []).map(requirePath);
  const identity = hashJson({ ...trees, place: undefined, paths, statOnly: page.statOnly ?? false }).slice(
    7,
    19,
  );
  const start = parseCursor(page.cursor, identity);
  const place = trees.place ?? {};
  const all = await listChanges(git, { from: trees.from, to: trees.to, place, paths });
  const totals = {
    files: all.length,
    added: sum(all.map((file) => file.added)),
    removed: sum(all.map((file) => file.removed)),
  };
  const cursor = (file: number, line: number): string | null =>
    file < all.length ? `${identity}.${file}.${line}` : null;
  if (page.statOnly) {
    const end = start.file + FILES_PER_STAT_PAGE;
    return { files: all.slice(start.file, end), totals, nextCursor: cursor(end, 0) };
  }

  const files = all.slice(start.file, start.file + FILES_PER_TEXT_PAGE);
  // All of it in one go where it fits a page; otherwise only the files of this page.
  const asked = files.length === all.length ? paths : files.flatMap(pathsOf);
  const patches = await patchesOf(git, { from: trees.from, to: trees.to, place, files, paths: asked });
  const { budget, costOf } = page.size ?? CHARACTERS;
  let left = budget;
  let text = '';
  let count = 0;
  let line = start.line;
  for (const [index, patch] of patches.entries()) {
    left -= costOf(JSON.stringify(files[index] ?? ''));
    const part = takeLines(patch, line, { left, costOf });
    // At least one line a page, or a line longer than a page would never be passed.
    if (part.next === line && text !== '') break;
    const taken =
      part.next === line ? takeLines(patch, line, { left: Number.POSITIVE_INFINITY, costOf, most: 1 }) : part;
    text += taken.text;
    left -= taken.cost;
    line = taken.next;
    if (line < patch.length) break;
    count += 1;
    line = 0;
  }
  const partial = line > 0 ? 1 : 0;
  return {
    files: files.slice(0, count + partial),
    totals,
    text,
    nextCursor: cursor(start.file + count, line),
  };
}

function sum(values: readonly (number | null)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}

function requirePath(path: string): string {
  const clean = path.replace(/^\.\//, '').replace(/\/+$/, '');
  const outside =
    clean === '' || clean.startsWith('/') || clean.includes('\0') || clean.split('/').includes('..');
  if (!outside) return clean;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `"${clip(path)}" is not a path inside a workspace.`,
    hint: 'Name files or folders relative to the root of the workspace, such as modules/train.py or configs.',
    details: { field: 'paths' },
  });
}

function parseCursor(cursor: string | undefined, identity: string): { file: number; line: number } {
  if (cursor === undefined) return { file: 0, line: 0 };
  const match = /^([a-f0-9]{12})\.(\d{1,9})\.(\d{1,9})$/.exec(cursor);
  if (!match) {
    throw new GoldfishError('INVALID_ARGUMENT', {
      message: 'The cursor is not one of this tool.',
      hint: 'Hand back next_cursor as it was returned, or leave it out to start at the beginning.',
      details: { field: 'cursor' },
    });
  }
  if (match[1] !== identity) {
    throw new GoldfishError('CONFLICT', {
      message: 'The compared files, or the other arguments, have changed since the first page.',
      hint: 'Start again without a cursor.',
    });
  }
  return { file: Number(match[2]), line: Number(match[3]) };
}

type Comparison = { from: string; to: string; place: GitPlace };

/** git lists changes in the order of its patch text, which is relied upon to join the two. */
async function listChanges(
  git: Git,
  compared: Comparison & { paths: readonly string[] },
): Promise<FileChange[]> {
  const { from, to, place, paths } = compared;
  const args = [
    '--literal-pathspecs',
    'diff-tree',
    ...FLAGS,
    '-t',
    '--raw',
    '--numstat',
    '-z',
    '--no-abbrev',
    from,
    to,
  ];
  const items = splitNul(await git.text([...args, '--', ...paths], place));
  const changes: FileChange[] = [];
  let at = 0;
  while (items[at]?.startsWith(':')) {
    const [fromMode = '', toMode = '', fromSha = '', toSha = '', status = ''] = (items[at] ?? '')
      .slice(1)
      .split(' ');
    const renamed = status.startsWith('R');
    const oldPath = items[at + 1] ?? '';
    const path = renamed ? (items[at + 2] ?? '') : oldPath;
    at += renamed ? 3 : 2;
    const sides = { fromMode, toMode, fromSha, toSha, status };
    const change = toChange(sides, path);
    if (change) changes.push(renamed ? { ...change, oldPath } : change);
  }
  countLines(changes, items.slice(at));
  return changes;
}

type Sides = { fromMode: string; toMode: string; fromSha: string; toSha: string; status: string };

const STATUS: Record<string, FileChange['status']> = {
  A: 'added',
  D: 'deleted',
  M: 'modified',
  R: 'renamed',
  T: 'type_changed',
};

/** Folders are mentioned only where they are empty on one side and not there on the other. */
function toChange(sides: Sides, path: string): FileChange | undefined {
  const none = { path, added: 0, removed: 0, binary: false };
  if (sides.toMode === '040000' || sides.fromMode === '040000') {
    if (sides.status === 'A' && sides.toSha === EMPTY_TREE) return { ...none, status: 'folder_added' };
    if (sides.status === 'D' && sides.fromSha === EMPTY_TREE) return { ...none, status: 'folder_deleted' };
    return undefined;
  }
  const status = STATUS[sides.status.charAt(0)] ?? 'modified';
  const both = sides.status.charAt(0) !== 'A' && sides.status.charAt(0) !== 'D';
  return both && sides.fromMode !== sides.toMode
    ? { ...none, status, mode: { from: sides.fromMode, to: sides.toMode } }
    : { ...none, status };
}

/** `added\tremoved\tpath`, or for a rename `added\tremoved\t`, old path, new path; "-" for binary files. */
function countLines(changes: FileChange[], items: readonly string[]): void {
  const byPath = new Map(changes.map((change) => [change.path, change]));
  for (let at = 0; at < items.length; at += 1) {
    const [added = '', removed = '', ...rest] = (items[at] ?? '').split('\t');
    let path = rest.join('\t');
    if (path === '') {
      path = items[at + 2] ?? '';
      at += 2;
    }
    const change = byPath.get(path);
    if (!change) continue;
    change.binary = added === '-';
    change.added = change.binary ? null : Number(added);
    change.removed = change.binary ? null : Number(removed);
  }
}

/** The lines of each file's unified text, with headers of our own. */
async function patchesOf(
  git: Git,
  compared: Comparison & { files: readonly FileChange[]; paths: readonly string[] },
): Promise<string[][]> {
  const { place, files } = compared;
  const patch = async (paths: readonly string[]): Promise<string[][]> =>
    splitPatch(
      await git.text(
        ['--literal-pathspecs', 'diff-tree', ...FLAGS, '-p', compared.from, compared.to, '--', ...paths],
        place,
      ),
    );
  const named = files.filter((file) => !file.status.startsWith('folder_'));
  if (named.length === 0) return files.map(header);
  const expected = sum(named.map(sectionsOf));
  let sections = await patch(compared.paths);
  if (sections.length !== expected) {
    // Among fewer files git may pair renames otherwise than among all; each file alone leaves it no choice.
    const alone: string[][][] = [];
    for (const file of named) alone.push(await patch(pathsOf(file)));
    sections = alone.flat();
  }
  const bodies = new Map<string, string[]>();
  for (const file of named) bodies.set(file.path, sections.splice(0, sectionsOf(file)).flatMap(hunks));
  return files.map((file) => [...header(file), ...(bodies.get(file.path) ?? [])]);
}

/** A file that became a link, or a link a file, is shown as one going and another coming. */
function sectionsOf(file: FileChange): number {
  return file.status === 'type_changed' ? 2 : 1;
}

function pathsOf(file: FileChange): string[] {
  return file.oldPath === undefined ? [file.path] : [file.oldPath, file.path];
}

/** Lines of content begin with a space, "+", "-" or "\\", so "diff" begins a file and nothing else does. */
function splitPatch(output: string): string[][] {
  const sections: string[][] = [];
  const lines = output.split('\n');
  if (lines.at(-1) === '') lines.pop();
  for (const line of lines) {
    if (line.startsWith('diff --git ')) sections.push([]);
    else sections.at(-1)?.push(line);
  }
  return sections;
}

/** The store's own header lines are dropped: the agent sees paths, not object names. */
function hunks(section: readonly string[]): string[] {
  const first = section.findIndex((line) => line.startsWith('@@'));
  return first === -1 ? [] : section.slice(first);
}

function header(file: FileChange): string[] {
  const lines = file.status.startsWith('folder_')
    ? [`${file.status === 'folder_added' ? '+++' : '---'} ${file.path}/ (empty folder)`]
    : [
        `--- ${file.status === 'added' ? '/dev/null' : (file.oldPath ?? file.path)}`,
        `+++ ${file.status === 'deleted' ? '/dev/null' : file.path}`,
      ];
  if (file.mode) lines.push(`mode ${file.mode.from} -> ${file.mode.to}`);
  if (file.binary) lines.push('(binary files differ)');
  return lines;
}

function takeLines(
  lines: readonly string[],
  from: number,
  limit: { left: number; costOf: PageSize['costOf']; most?: number },
): { text: string; next: number; cost: number } {
  const end = Math.min(lines.length, from + (limit.most ?? lines.length));
  let text = '';
  let cost = 0;
  let next = from;
  while (next < end) {
    const line = `${lines[next] ?? ''}\n`;
    const added = limit.costOf(line);
    if (cost + added > limit.left) break;
    text += line;
    cost += added;
    next += 1;
  }
  return { text, next, cost };
}
