import type { Dirent } from 'node:fs';
import { access, constants, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import { readRegularFile } from '../os/files.ts';
import { type Git, splitNul } from './git.ts';
import { staysInside } from './links.ts';
import type { SlotProblem } from './slot-problems.ts';

/** Never part of a version, whatever ignore files say: private state, secrets, the generated journal. */
const ALWAYS_IGNORED = ['.goldfish', '.env', '/STATE.md'];
const STAT_BATCH = 256;
/** Saves of one slot follow one another by tenths of a second at most. */
const MOST_LOOKS = 10;

/** What a slot holds, compared with its index. Paths are relative, with forward slashes. */
export type SlotScan = {
  /** New files and files with other content or mode. */
  present: string[];
  /** Files that are no more. */
  gone: string[];
  /** Files the index has, that are ignored by now: they leave the version, though they stay on disk. */
  nowIgnored: string[];
  /** Folders without a file or folder that a version could hold, sorted. */
  emptyFolders: string[];
  problems: SlotProblem[];
};

export type SlotFolder = { git: Git; dir: string; index: string; maxFileBytes: number };

/** Reads only: neither the slot nor the index nor the store is touched. */
export async function scanSlot(slot: SlotFolder): Promise<SlotScan> {
  const { git, dir, index } = slot;
  const rules = await ignoreRules(dir);
  const place = { index, workTree: dir };
  const list = (...args: string[]): Promise<string[]> =>
    git.text(['ls-files', '-z', ...args, ...rules], place).then(splitNul);
  const [differing, ignored, nowIgnored] = await Promise.all([
    list('--modified', '--deleted', '--others'),
    list('--others', '--ignored', '--directory'),
    // Asked every time: an ignore file that is itself ignored changes without being among what differs.
    list('--cached', '--ignored'),
  ]);
  const candidates = new Set(differing);
  for (const path of nowIgnored) candidates.delete(path);

  const walk = await walkFolder(dir, ignoredPaths(ignored));
  const links = new Set(walk.links);
  const [behind, own] = parted([...candidates].filter(isFilePath), (path) => isBehindLink(path, links));
  const files = await lookAt(slot, own);
  const specials = await withoutIgnored(slot, walk.specials);
  const problems = [
    ...walk.problems,
    ...specials,
    ...(await escapingLinks(dir, walk.links)),
    ...files.problems,
  ];
  const { present } = files;
  const gone = [...files.gone, ...behind];
  return { present, gone, nowIgnored, emptyFolders: walk.emptyFolders.sort(), problems };
}

/** Where a folder became a link, what lay in the folder is no more, though a look through the link finds something. */
function isBehindLink(path: string, links: ReadonlySet<string>): boolean {
  if (links.size === 0) return false;
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    if (links.has(path.slice(0, at))) return true;
  }
  return false;
}

/** Those for which it holds, and the others. */
function parted(paths: readonly string[], holds: (path: string) => boolean): [string[], string[]] {
  const yes: string[] = [];
  const no: string[] = [];
  for (const path of paths) (holds(path) ? yes : no).push(path);
  return [yes, no];
}

/** git names a nested repository with a slash at its end; what is below `.git` at the root is never ours. */
function isFilePath(path: string): boolean {
  return !path.endsWith('/') && !isGitFolder(path.split('/', 1)[0]);
}

/**
 * Every file a version made now would hold, as they are on disk. Takes no lock: where another call saves the slot
 * meanwhile and so replaces the index, it is asked anew, for half of either would be neither.
 */
export async function slotPaths(slot: SlotFolder): Promise<string[]> {
  for (let tries = MOST_LOOKS; ; tries -= 1) {
    const before = await stampOf(slot.index);
    const paths = await pathsNow(slot);
    if (tries === 1 || (await stampOf(slot.index)) === before) return paths;
  }
}

async function pathsNow(slot: SlotFolder): Promise<string[]> {
  const place = { index: slot.index, workTree: slot.dir };
  const rules = await ignoreRules(slot.dir);
  const list = (...args: string[]): Promise<string[]> =>
    slot.git.text(['ls-files', '-z', ...args, ...rules], place).then(splitNul);
  const [listed, deleted, ignored] = await Promise.all([
    list('--cached', '--others'),
    list('--deleted'),
    list('--cached', '--ignored'),
  ]);
  const left = new Set([...deleted, ...ignored]);
  return [...new Set(listed)].filter((path) => !left.has(path) && isFilePath(path));
}

/** Another one for another index: it is replaced, never written to. */
async function stampOf(index: string): Promise<string> {
  const stat = await lstat(index, { bigint: true }).catch(() => undefined);
  return stat ? `${stat.ino}.${stat.ctimeNs}` : 'none';
}

/**
 * Arguments that make git apply its own rules, the root's `.goldfishignore` over `.gitignore`, and ours over both
 * (of patterns on the command line the last one that matches decides).
 */
async function ignoreRules(dir: string): Promise<string[]> {
  const text = await readOwnFile(join(dir, '.goldfishignore'));
  const own = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '' && !line.startsWith('#') && !line.includes('\0'))
    .map((line) => line.replace(/(?<!\\) +$/, ''));
  return ['--exclude-standard', ...[...own, ...ALWAYS_IGNORED].map((pattern) => `--exclude=${pattern}`)];
}

/** As git reads its own ignore files: through no link, which could lead out of the slot. */
async function readOwnFile(file: string): Promise<string> {
  const content = await readRegularFile(file, { follow: false }).catch(() => null);
  return content?.toString('utf8') ?? '';
}

/**
 * From git's listing, which names a folder both where a rule matches it and where all in it happens to be ignored.
 * Only in the second case its content is listed as well, right behind it.
 */
function ignoredPaths(listed: readonly string[]): Set<string> {
  const byRule = listed.filter((path, i) => !path.endsWith('/') || !listed[i + 1]?.startsWith(path));
  return new Set(byRule.map((path) => path.replace(/\/$/, '')));
}

type Walk = { emptyFolders: string[]; links: string[]; specials: SlotProblem[]; problems: SlotProblem[] };

/** One pass over folder entries (no stat of files) for what git passes over in silence. */
async function walkFolder(root: string, ignored: ReadonlySet<string>): Promise<Walk> {
  const found: Walk = { emptyFolders: [], links: [], specials: [], problems: [] };
  const visit = async (folder: string): Promise<void> => {
    const entries = await entriesOf(root, folder, found);
    const folders: string[] = [];
    let kept = 0;
    for (const entry of entries) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (ignored.has(path)) continue;
      if (isGitFolder(entry.name)) {
        // At the root it is the user's own affair and stays out of versions; below it would swallow its folder.
        if (folder !== '') found.problems.push({ kind: 'nested_repository', path: folder });
        continue;
      }
      kept += 1;
      if (entry.name.includes('\uFFFD')) found.problems.push({ kind: 'file_name', path });
      else if (entry.isDirectory()) folders.push(path);
      else if (entry.isSymbolicLink()) found.links.push(path);
      else if (!entry.isFile()) {
        found.specials.push({ kind: 'special_file', path, detail: typeName(entry) });
      }
    }
    if (kept === 0 && folder !== '') found.emptyFolders.push(folder);
    for (const next of folders) await visit(next);
  };
  await visit('');
  return found;
}

async function entriesOf(root: string, folder: string, found: Walk): Promise<Dirent[]> {
  try {
    return await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    // Deleted while we look: then it is not part of the slot.
    if (errnoOf(error) !== 'ENOENT') found.problems.push({ kind: 'unreadable', path: folder });
    return [];
  }
}

function isGitFolder(name: string | undefined): boolean {
  return name?.toLowerCase() === '.git';
}

function typeName(entry: Dirent): string {
  if (entry.isFIFO()) return 'named pipe';
  return entry.isSocket() ? 'socket' : 'device';
}

/** git lists no special files, so whether a rule covers them is asked for by name. */
async function withoutIgnored(slot: SlotFolder, specials: SlotProblem[]): Promise<SlotProblem[]> {
  if (specials.length === 0) return [];
  const names = specials.map((problem) => problem.path);
  const listing = await slot.git
    .text(['check-ignore', '-z', '--stdin', '--verbose', '--non-matching', '--no-index'], {
      workTree: slot.dir,
      index: slot.index,
      input: names.map((name) => `${name}\0`).join(''),
    })
    .then(splitNul, () => []);
  // Four fields each: source, line, pattern, path. No pattern means no rule; "!" means kept.
  const ignored = new Set<string>();
  for (let i = 0; i + 3 < listing.length; i += 4) {
    const pattern = listing[i + 2] ?? '';
    if (pattern !== '' && !pattern.startsWith('!')) ignored.add(listing[i + 3] ?? '');
  }
  return specials.filter((problem) => !ignored.has(problem.path));
}

async function escapingLinks(dir: string, links: readonly string[]): Promise<SlotProblem[]> {
  const problems: SlotProblem[] = [];
  for (const path of links) if (!(await staysInside(dir, path))) problems.push({ kind: 'link', path });
  return problems;
}

type Looked = { present: string[]; gone: string[]; problems: SlotProblem[] };

async function lookAt(slot: SlotFolder, paths: readonly string[]): Promise<Looked> {
  const looked: Looked = { present: [], gone: [], problems: [] };
  for (let start = 0; start < paths.length; start += STAT_BATCH) {
    const batch = paths.slice(start, start + STAT_BATCH);
    await Promise.all(batch.map((path) => look(slot, path, looked)));
  }
  return looked;
}

async function look(slot: SlotFolder, path: string, looked: Looked): Promise<void> {
  const file = join(slot.dir, path);
  const stat = await lstat(file).catch(() => undefined);
  if (!stat?.isFile() && !stat?.isSymbolicLink()) {
    looked.gone.push(path);
    return;
  }
  looked.present.push(path);
  if (!stat.isFile()) return;
  if (stat.size > slot.maxFileBytes) {
    looked.problems.push({ kind: 'too_large', path, detail: `${stat.size}` });
    return;
  }
  const readable = await access(file, constants.R_OK).then(
    () => true,
    (error: unknown) => errnoOf(error) === 'ENOENT',
  );
  if (!readable) looked.problems.push({ kind: 'unreadable', path });
}
