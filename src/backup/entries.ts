import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';

/** Everything below a folder; paths are relative to what they were asked for, `/`-separated and sorted. */
export type Entries = {
  files: string[];
  links: { path: string; target: string }[];
  /** `mode`: its permissions. */
  folders: { path: string; mode: number }[];
  /** Pipes, sockets, devices. */
  others: string[];
};

/** What lies below `base/folder`; nothing where it is not there. No link is followed. */
export async function entriesBelow(base: string, folder: string): Promise<Entries> {
  const found: Entries = { files: [], links: [], folders: [], others: [] };
  const visit = async (path: string): Promise<void> => {
    const entries = await readdir(join(base, path), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const below = path === '' ? entry.name : `${path}/${entry.name}`;
      const full = join(base, below);
      if (entry.isDirectory()) {
        found.folders.push({ path: below, mode: (await lstat(full)).mode & 0o7777 });
        await visit(below);
      } else if (entry.isFile()) found.files.push(below);
      else if (entry.isSymbolicLink()) found.links.push({ path: below, target: await readlink(full) });
      else found.others.push(below);
    }
  };
  await visit(folder).catch(unlessMissing(undefined));
  return found;
}

/** What is not there is no failure: this stands for it. */
export function unlessMissing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (errnoOf(error) === 'ENOENT') return instead;
    throw error;
  };
}
