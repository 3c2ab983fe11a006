import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, mkdir, open, readlink, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

/** Writes so that readers see the old content or the new one whole, also after a power cut. Makes the parent folder. */
export async function writeFileAtomic(
  file: string,
  content: string | Uint8Array,
  mode = 0o600,
): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/**
 * Makes a folder and those above it. Where a disk can only be read, Node's own recursive call says ENOENT; the step that
 * failed, asked alone, says why.
 */
export async function makeFolders(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error;
    await makeFolders(dirname(folder));
    await mkdir(folder);
  }
}

/**
 * The content of a file that is one. Null for a folder, a device, a socket, and a pipe, of which a read might never end.
 * `follow` false: through no link (ELOOP). Errors: those of open(2).
 */
export async function readRegularFile(file: string, { follow = true } = {}): Promise<Buffer | null> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW);
  const handle = await open(file, flags).catch((error: unknown) => {
    if (errnoOf(error) === 'ENXIO') return undefined;
    throw error;
  });
  try {
    return (await handle?.stat())?.isFile() ? ((await handle?.readFile()) ?? null) : null;
  } finally {
    await handle?.close();
  }
}

/** Makes names created, renamed or removed in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder, 'r');
    await handle.sync();
  } finally {
    await handle?.close();
  }
}

/**
 * Resolves a relative path that must stay below `root`, links followed; the last part need not exist.
 * Errors: PATH_OUTSIDE_ROOT.
 */
export async function resolveInside(root: string, path: string): Promise<string> {
  const outside = (): GoldfishError =>
    new GoldfishError('PATH_OUTSIDE_ROOT', {
      message: `"${clip(path)}" leaves the folder it must stay in.`,
      hint: 'Use a relative path without "..", that no symbolic link leads out of.',
    });
  if (path.includes('\0') || isAbsolute(path)) throw outside();
  const normal = normalize(path);
  if (normal === '..' || normal.startsWith(`..${sep}`)) throw outside();
  const realRoot = await realpath(root);
  const real = await realpathOfExisting(join(realRoot, normal)).catch((error: unknown) => {
    // A loop of links, or a name no file can have: nothing inside is meant.
    if (errnoOf(error) === 'ELOOP' || errnoOf(error) === 'ENAMETOOLONG') throw outside();
    throw error;
  });
  if (real !== realRoot && !real.startsWith(realRoot + sep)) throw outside();
  return join(realRoot, normal);
}

/** As many links as Linux follows before it speaks of a loop. */
const MAX_LINKS = 40;

/**
 * The real path of the longest part that exists, with the rest appended. A link whose target does not exist yet is
 * followed too: writing through it would create the target.
 */
async function realpathOfExisting(path: string, links = 0): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const code = errnoOf(error);
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || dirname(path) === path) throw error;
  }
  const parent = await realpathOfExisting(dirname(path), links);
  const last = join(parent, basename(path));
  const target = await readLinkIfAny(last);
  if (target === undefined || links >= MAX_LINKS) return last;
  return realpathOfExisting(resolve(parent, target), links + 1);
}

async function readLinkIfAny(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EINVAL' || code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
