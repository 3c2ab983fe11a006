import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, rename, symlink } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { errnoOf, messageOf } from '../../core/errors.ts';
import { syncTree } from '../../workspaces/moves.ts';
import { pathExists } from '../attempt-files.ts';
import { removeTree } from '../materialise-inputs.ts';

/** The archive holds what no archive of a machine of ours holds. */
export class BadArchive extends Error {}

/**
 * What a machine packed of a folder, as that folder; whole or not there. The machine ran somebody's program: no path and no
 * link may lead out, and nothing is written through a link, for links are made last.
 * Errors: BadArchive.
 */
export async function unpackFolder(archive: string, folder: string): Promise<void> {
  if (await pathExists(folder)) return;
  const temporary = `${folder}.unfinished`;
  await removeTree(temporary);
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  try {
    await fill(archive, temporary);
    await syncTree(temporary);
    await rename(temporary, folder);
  } catch (error) {
    await removeTree(temporary);
    throw archiveError(error);
  }
}

async function fill(archive: string, folder: string): Promise<void> {
  const links: { path: string; target: string }[] = [];
  const tar = extract();
  const read = pipeline(createReadStream(archive), tar);
  // Whoever reads the entries meets its error too.
  read.catch(() => undefined);
  for await (const entry of tar) {
    const { name, type, linkname, mode } = entry.header;
    const path = insidePath(name);
    if (type === 'directory') await mkdir(join(folder, path), { recursive: true, mode: 0o700 });
    else if (type === 'symlink') links.push({ path, target: insideLink(path, linkname ?? '') });
    else if (type === 'file') await writeFile(join(folder, path), { entry, mode: mode ?? 0o644 });
    else throw new BadArchive(`${JSON.stringify(path)} is neither a file nor a folder`);
    entry.resume();
  }
  await read;
  for (const { path, target } of links) await makeLink(folder, { path, target, links });
}

/** Of the system's errors those that only the archive can be blamed for. A disk that is full is not among them. */
const OF_THE_ARCHIVE = ['EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG'];

function archiveError(error: unknown): unknown {
  if (error instanceof BadArchive) return error;
  const errno = errnoOf(error);
  if (errno !== undefined && /^E[A-Z0-9]+$/.test(errno) && !OF_THE_ARCHIVE.includes(errno)) return error;
  return new BadArchive(`the archive of a folder is damaged: ${messageOf(error)}`);
}

async function writeFile(
  file: string,
  { entry, mode }: { entry: AsyncIterable<unknown>; mode: number },
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await pipeline(Readable.from(entry), createWriteStream(file, { flags: 'wx', mode: 0o600 }));
  if ((mode & 0o100) !== 0) await chmod(file, 0o700);
}

async function makeLink(
  root: string,
  { path, target, links }: { path: string; target: string; links: readonly { path: string }[] },
): Promise<void> {
  if (links.some((other) => other.path !== path && path.startsWith(`${other.path}/`))) {
    throw new BadArchive(`${JSON.stringify(path)} leads through a link`);
  }
  await mkdir(dirname(join(root, path)), { recursive: true, mode: 0o700 });
  await symlink(target, join(root, path));
}

function insidePath(name: string): string {
  const path = name.replace(/\/+$/, '');
  const isInside = path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (isInside && !path.includes('\0')) return path;
  throw new BadArchive(`${JSON.stringify(name)} leads out of the folder`);
}

/** Relative, and inside by its words; links to links are judged where outputs are stored. */
function insideLink(path: string, target: string): string {
  const place = posix.normalize(posix.join(posix.dirname(path), target));
  const leavesIt = place === '..' || place.startsWith('../');
  if (target === '' || posix.isAbsolute(target) || leavesIt) {
    throw new BadArchive(`${JSON.stringify(path)} is a link that leaves the folder`);
  }
  return target;
}
