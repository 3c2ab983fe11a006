import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { EMPTY_FOLDER_HASH, type FolderEntry } from '../core/folder-hash.ts';
import { sha256 } from '../core/json.ts';

/** `sha256:<hex>` and size of a file, read as a stream. */
export async function hashFile(file: string, signal?: AbortSignal): Promise<{ hash: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(file, {
    highWaterMark: 1 << 20,
    ...(signal ? { signal } : {}),
  })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { hash: `sha256:${hash.digest('hex')}`, size };
}

/** `target` of a link as it is kept: relative. */
export type ScannedEntry = FolderEntry & { size: number; target?: string };
export type FolderScan = { entries: ScannedEntry[]; problems: string[] };

/**
 * Reads a folder as it is to be stored. Links that stay inside are kept as relative links; links that leave it,
 * devices, sockets and pipes are problems, as are names that are no text. Empty folders are kept.
 */
export async function scanFolder(root: string, signal?: AbortSignal): Promise<FolderScan> {
  const scan: FolderScan = { entries: [], problems: [] };
  // The kernel follows links by their real place, so that is what they are judged by.
  const real = await realpath(root);
  await visit(real, real, scan, signal);
  return scan;
}

async function visit(root: string, folder: string, scan: FolderScan, signal?: AbortSignal): Promise<void> {
  const names = await readdir(folder);
  signal?.throwIfAborted();
  if (names.length === 0 && folder !== root) {
    scan.entries.push({ path: shown(root, folder), mode: '040000', hash: EMPTY_FOLDER_HASH, size: 0 });
  }
  for (const name of names.sort()) {
    const full = join(folder, name);
    const path = shown(root, full);
    if (name.includes('\uFFFD')) {
      scan.problems.push(`${JSON.stringify(path)} has a name that is not UTF-8`);
      continue;
    }
    const stat = await lstat(full);
    if (/[\n\0]/.test(name)) scan.problems.push(`${JSON.stringify(path)} has a line break in its name`);
    else if (stat.isDirectory()) await visit(root, full, scan, signal);
    else if (stat.isSymbolicLink()) await addLink({ root, full, path, scan });
    else if (stat.isFile()) {
      const { hash, size } = await hashFile(full, signal);
      scan.entries.push({ path, mode: (stat.mode & 0o111) === 0 ? '100644' : '100755', hash, size });
    } else scan.problems.push(`${path} is neither a file nor a folder`);
  }
}

async function addLink(link: { root: string; full: string; path: string; scan: FolderScan }): Promise<void> {
  const { root, full, path, scan } = link;
  const target = await innerLink(root, full);
  if (target === undefined) scan.problems.push(`${path} is a link that leaves the folder`);
  else
    scan.entries.push({
      path,
      mode: '120000',
      hash: sha256(target),
      size: Buffer.byteLength(target),
      target,
    });
}

/**
 * The relative target of a link that stays in its folder, undefined for one that leaves it. An absolute target would
 * lead out of every copy of the folder. `root` has no link in it.
 */
export async function innerLink(root: string, full: string): Promise<string | undefined> {
  const raw = await readlink(full);
  const resolved = resolve(dirname(full), raw);
  if (!isBelow(root, resolved) || !(await staysInside(root, full, raw))) return undefined;
  return isAbsolute(raw) ? relative(dirname(full), resolved) || '.' : raw;
}

/** Follows what can be followed: other links on the way may turn `..` into a step to elsewhere. */
async function staysInside(root: string, full: string, raw: string): Promise<boolean> {
  const parent = isAbsolute(raw) ? dirname(raw) : `${dirname(full)}${sep}${dirname(raw)}`;
  for (const place of [full, parent]) {
    const real = await realpath(place).catch(() => undefined);
    if (real !== undefined && !isBelow(root, real)) return false;
  }
  return true;
}

function isBelow(root: string, path: string): boolean {
  return path === root || path.startsWith(root + sep);
}

function shown(root: string, path: string): string {
  return relative(root, path).split(sep).join('/');
}
