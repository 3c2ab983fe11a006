import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import type { ContextEntry } from '../image-builder.ts';

/** The builder compares content, not times; a constant keeps equal contexts equal. */
const MTIME = new Date(0);
/** What decides no image: the same files that the hash of a version's code leaves out. */
const NO_CODE = /^(configs|pipelines)(\/|$)|^pipeline\.yaml$/;

/** Everything a Dockerfile of a version may copy: its files without configs and pipelines. */
export async function codeContext(codeDir: string): Promise<ContextEntry[]> {
  const entries: ContextEntry[] = [];
  const visit = async (folder: string): Promise<void> => {
    for (const name of (await readdir(join(codeDir, folder))).sort()) {
      const path = folder === '' ? name : `${folder}/${name}`;
      if (NO_CODE.test(path)) continue;
      const source = join(codeDir, path);
      const stat = await lstat(source);
      if (stat.isSymbolicLink()) entries.push({ path, kind: 'link', target: await readlink(source) });
      else if (stat.isFile())
        entries.push({ path, kind: 'file', source, executable: (stat.mode & 0o111) !== 0 });
      else if (stat.isDirectory()) {
        entries.push({ path, kind: 'folder' });
        await visit(path);
      }
    }
  };
  await visit('');
  return entries;
}

/** A tar of the entries, written while it is read. Its errors are the stream's. */
export function packContext(entries: readonly ContextEntry[]): Readable {
  const archive = pack();
  fill(archive, entries).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  return Readable.from(archive);
}

async function fill(archive: Pack, entries: readonly ContextEntry[]): Promise<void> {
  for (const entry of entries) await addEntry(archive, entry);
  archive.finalize();
}

async function addEntry(archive: Pack, entry: ContextEntry): Promise<void> {
  const header = { name: entry.path, mtime: MTIME };
  switch (entry.kind) {
    case 'text':
      archive.entry({ ...header, mode: 0o644 }, entry.text);
      return;
    case 'link':
      archive.entry({ ...header, mode: 0o777, type: 'symlink', linkname: entry.target });
      return;
    case 'folder':
      archive.entry({ ...header, mode: 0o755, type: 'directory' });
      return;
    case 'file': {
      const { size } = await lstat(entry.source);
      const mode = entry.executable ? 0o755 : 0o644;
      await pipeline(createReadStream(entry.source), archive.entry({ ...header, mode, size }));
    }
  }
}
