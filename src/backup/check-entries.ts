import { lstat, readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GoldfishError } from '../core/errors.ts';
import { hashFile } from '../data/hash-file.ts';
import { entriesBelow } from './entries.ts';
import { ASIDE_FOLDER, type BackupManifest, VERSIONS_FOLDER } from './manifest.ts';

/**
 * What the manifest lists is there, byte by byte and not through a link, and beside it is nothing in the version store
 * and in what is kept aside. Errors: INVALID_ARGUMENT, by name of the first that is not so.
 */
export async function checkEntries(backup: string, manifest: BackupManifest): Promise<void> {
  const base = await realpath(backup);
  const isOwn = async (path: string): Promise<boolean> =>
    (await realpath(join(base, path)).catch(() => undefined)) === `${base}/${path}`;
  for (const { path, hash } of manifest.files) {
    const found = (await isOwn(path)) ? await hashFile(join(base, path)).catch(() => undefined) : undefined;
    if (found?.hash !== hash) throw damaged(path, found ? 'not what the manifest says' : 'missing');
  }
  for (const { path, target } of manifest.links) {
    const own = await isOwn(dirname(path));
    const found = own ? await readlink(join(base, path)).catch(() => undefined) : undefined;
    if (found === target) continue;
    throw damaged(path, found === undefined ? 'missing' : 'not what the manifest says');
  }
  for (const { path } of manifest.folders) {
    const own = (await isOwn(path)) && (await lstat(join(base, path))).isDirectory();
    if (!own) throw damaged(path, 'missing');
  }
  const listed = new Set([...manifest.files, ...manifest.links].map(({ path }) => path));
  for (const folder of [VERSIONS_FOLDER, ASIDE_FOLDER]) {
    const { files, links, others } = await entriesBelow(base, folder);
    const stray = [...files, ...links.map(({ path }) => path), ...others].find((path) => !listed.has(path));
    if (stray !== undefined) throw damaged(stray, 'not in the manifest');
  }
}

function damaged(path: string, how: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `The backup is damaged: ${path} is ${how}.`,
    hint: 'Restore another backup; nothing was changed.',
    details: { field: 'backup', file: path },
  });
}
