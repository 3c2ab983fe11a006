import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, readdir, readlink, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';

/** A constant keeps equal folders equal. */
const MTIME = new Date(0);

/** A folder as a tar archive: files, empty folders, links as they are. Equal folders make equal bytes. */
export async function packFolder(folder: string, file: string, signal?: AbortSignal): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const archive = pack();
  const target = createWriteStream(file, { mode: 0o600 });
  const written = pipeline(Readable.from(archive), target, signal ? { signal } : {});
  try {
    await Promise.all([fill(archive, folder, signal), written]);
  } catch (error) {
    archive.destroy();
    await written.catch(() => undefined);
    await rm(file, { force: true });
    throw error;
  }
}

async function fill(archive: Pack, folder: string, signal: AbortSignal | undefined): Promise<void> {
  const visit = async (below: string): Promise<void> => {
    for (const name of (await readdir(join(folder, below))).sort()) {
      signal?.throwIfAborted();
      const path = below === '' ? name : `${below}/${name}`;
      if (await addEntry(archive, { path, source: join(folder, path) })) await visit(path);
    }
  };
  try {
    await visit('');
    archive.finalize();
  } catch (error) {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** True for a folder, whose content comes next. */
async function addEntry(archive: Pack, { path, source }: { path: string; source: string }): Promise<boolean> {
  const stat = await lstat(source);
  const header = { name: path, mtime: MTIME };
  if (stat.isDirectory()) {
    archive.entry({ ...header, mode: 0o755, type: 'directory' });
    return true;
  }
  if (stat.isSymbolicLink()) {
    archive.entry({ ...header, mode: 0o777, type: 'symlink', linkname: await readlink(source) });
  } else if (stat.isFile()) {
    const mode = (stat.mode & 0o111) === 0 ? 0o644 : 0o755;
    const entry = archive.entry({ ...header, mode, size: stat.size });
    await pipeline(createReadStream(source), entry);
  }
  return false;
}
