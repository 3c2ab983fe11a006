import { mkdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assetPath } from '../../core/assets.ts';
import { errnoOf } from '../../core/errors.ts';

/** The folder of the stage library for Node, as the kernel knows it. */
export function nodeLibrary(): Promise<string> {
  return realpath(assetPath('sdk/node'));
}

/**
 * Puts the library where Node looks for a package `goldfish` from a stage's code and its scratch folder (ADR 11). Renamed
 * into place: a stage that imports at this moment finds the old one or the new one. `maker` is unique among callers.
 */
export async function linkNodeLibrary(link: string, maker: string): Promise<void> {
  const target = await nodeLibrary();
  if ((await readlink(link).catch(() => undefined)) === target) return;
  const temporary = `${link}.${maker}`;
  await mkdir(dirname(link), { recursive: true });
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  try {
    await rename(temporary, link);
  } catch (error) {
    if (!['EISDIR', 'ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error;
    // Somebody made a folder there.
    await rm(link, { recursive: true });
    await rename(temporary, link);
  }
}
