import { constants } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, open } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '../../core/errors.ts';
import { syncFolder } from '../../os/files.ts';

export type Body = Readable | Uint8Array | { file: string; mayLink?: false };

const OBJECT_MODE = 0o444;

/** Content that is whole, durable and read-only under a temporary name; the caller gives it its own name. */
export async function writeTemporary(write: {
  temporary: string;
  body: Body;
  linkBelow: string;
  signal?: AbortSignal;
}): Promise<void> {
  const { temporary, body } = write;
  if (body instanceof Uint8Array) await writeBytes(temporary, body);
  else if ('file' in body) {
    if (!(await tryLink(body, write))) {
      await copyFile(body.file, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    }
  } else await writeStream(temporary, body, write.signal);
  await chmod(temporary, OBJECT_MODE);
  await syncFile(temporary);
  write.signal?.throwIfAborted();
}

async function writeBytes(temporary: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
  } finally {
    await handle.close();
  }
}

async function writeStream(temporary: string, body: Readable, signal?: AbortSignal): Promise<void> {
  const handle = await open(temporary, 'wx', 0o600);
  const written = pipeline(body, handle.createWriteStream(), signal ? { signal } : {});
  if (signal === undefined) return written;
  // A source that has come to a halt is not waited for: what becomes of it is its maker's business.
  const aborted = new AbortController();
  const halted = new Promise<never>((_, reject) => {
    const options = { once: true, signal: aborted.signal };
    signal.addEventListener('abort', () => reject(signal.reason), options);
  });
  written.catch(() => undefined);
  try {
    await Promise.race([written, halted]);
  } finally {
    aborted.abort();
  }
}

/**
 * True when the file itself became the object. Only a plain file with a single name below `linkBelow` may: it turns
 * read-only, and whoever else had a name for it could still change what the object holds.
 */
async function tryLink(
  body: { file: string; mayLink?: false },
  write: { temporary: string; linkBelow: string },
): Promise<boolean> {
  if (body.mayLink === false || !body.file.startsWith(write.linkBelow + sep)) return false;
  const stat = await lstat(body.file);
  if (!stat.isFile() || stat.nlink !== 1) return false;
  try {
    await link(body.file, write.temporary);
    return true;
  } catch (error) {
    if (['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

/** The kernel lets one of several creators win. */
export async function linkExclusive(temporary: string, target: string, taken: () => Error): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw taken();
    throw error;
  }
}

/** Makes a folder and what is missing above it, so that a power cut does not lose any of the names. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
