import { createHash } from 'node:crypto';
import { type BigIntStats, lstatSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, readlink, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkspaceVersion } from '../core/rows.ts';
import { writeFileAtomic } from '../os/files.ts';
import { bootId } from '../os/process-identity.ts';
import { withLock } from '../store/lock.ts';
import type { SlotDeps } from './mounting.ts';
import { writeVersion } from './mounting.ts';
import { entryExists, removeTree } from './moves.ts';
import { readTree } from './trees.ts';

/**
 * What was seen of a finished checkout. `stamp` is inode, size, mode and time of change: the kernel alone sets the
 * last, so an equal stamp means an untouched entry, and of a folder that nothing was added to it or removed.
 */
type Manifest = { folder: string; bootId: string; entries: { path: string; stamp: string }[] };

/**
 * The read-only folder with the files of a version, shared by all runs of the same content. Looked over at each call;
 * if somebody changed it, a new one is made beside it (runs may still stand in the old).
 * Errors: STORAGE_UNAVAILABLE.
 */
export async function ensureCheckout(
  deps: SlotDeps,
  version: Pick<WorkspaceVersion, 'treeSha'>,
): Promise<string> {
  const { layout, clock } = deps;
  const base = layout.checkout(version.treeSha);
  const good = await intact(deps, base, version.treeSha);
  if (good) return good;
  return withLock(`${base}.lock`, { clock, what: 'the code of this version', waitMs: 300_000 }, async () => {
    const made = await intact(deps, base, version.treeSha);
    return made ?? build(deps, base, version);
  });
}

async function build(
  deps: SlotDeps,
  base: string,
  version: Pick<WorkspaceVersion, 'treeSha'>,
): Promise<string> {
  const { layout } = deps;
  const temporary = join(layout.checkouts, `.${version.treeSha}.making`);
  const index = `${temporary}.index`;
  // Held under a lock, so whatever is there was left by a dead process.
  await removeTree(temporary);
  await rm(index, { force: true });
  await rm(`${index}.lock`, { force: true });
  await mkdir(temporary, { recursive: true });
  await writeVersion(deps, { version, dir: temporary, index });
  await rm(index, { force: true });
  await makeReadOnly(temporary);
  const folder = await freeFolder(base);
  await rename(temporary, folder);
  await writeManifest(base, folder, await pathsBelow(folder));
  return folder;
}

/** A folder that is no longer right keeps its name, for the runs that use it. */
async function freeFolder(base: string): Promise<string> {
  let folder = base;
  for (let n = 2; await entryExists(folder); n += 1) folder = `${base}.${n}`;
  return folder;
}

async function makeReadOnly(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await makeReadOnly(path);
    else if (entry.isFile()) await chmod(path, lstatSync(path).mode & 0o100 ? 0o555 : 0o444);
  }
  await chmod(folder, 0o555);
}

/** Every entry, the folder itself ('') included. */
async function pathsBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  const visit = async (path: string): Promise<void> => {
    paths.push(path);
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const below = path === '' ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) await visit(below);
      else paths.push(below);
    }
  };
  await visit('');
  return paths;
}

function manifestFile(base: string): string {
  return `${base}.json`;
}

async function writeManifest(base: string, folder: string, paths: readonly string[]): Promise<void> {
  const entries = paths.map((path) => ({ path, stamp: stampOf(join(folder, path)) ?? '' }));
  const manifest: Manifest = { folder: folder.slice(base.length), bootId: bootId(), entries };
  await writeFileAtomic(manifestFile(base), JSON.stringify(manifest));
}

function stampOf(path: string): string | undefined {
  try {
    const stat: BigIntStats = lstatSync(path, { bigint: true });
    return `${stat.ino}.${stat.size}.${stat.mode}.${stat.ctimeNs}`;
  } catch {
    return undefined;
  }
}

/** The folder of the checkout if it is whole. */
async function intact(deps: SlotDeps, base: string, tree: string): Promise<string | undefined> {
  const manifest = await readManifest(base);
  if (!manifest) return undefined;
  const folder = base + manifest.folder;
  const untouched = manifest.entries.every(({ path, stamp }) => stampOf(join(folder, path)) === stamp);
  if (!untouched) return undefined;
  if (manifest.bootId === bootId()) return folder;
  // Files are not forced to disk when they are written, so a power cut may have emptied some without a trace.
  if (!(await holdsTree(deps, folder, tree))) return undefined;
  await writeManifest(
    base,
    folder,
    manifest.entries.map((entry) => entry.path),
  );
  return folder;
}

async function readManifest(base: string): Promise<Manifest | undefined> {
  try {
    return JSON.parse(await readFile(manifestFile(base), 'utf8')) as Manifest;
  } catch {
    return undefined;
  }
}

/** Compares every byte with the store. */
async function holdsTree(deps: SlotDeps, folder: string, tree: string): Promise<boolean> {
  const { files, emptyFolders } = await readTree(await deps.store.git(), tree);
  for (const { path, mode, sha } of files) {
    const file = join(folder, path);
    const content = await (mode === '120000' ? readlink(file, { encoding: 'buffer' }) : readFile(file)).catch(
      () => undefined,
    );
    if (!content || blobName(content) !== sha) return false;
  }
  for (const path of emptyFolders) if (!(await entryExists(join(folder, path)))) return false;
  return true;
}

function blobName(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}
