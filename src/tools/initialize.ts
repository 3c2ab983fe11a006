import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONFIG_FILE } from '../config/find-project.ts';
import { renderNewConfig } from '../config/new-config.ts';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';

/**
 * Writes goldfish.yaml into a folder, which is made where it is missing. The file appears whole or not at all, and
 * of two that do it at once one wins. Returns false where there is one already.
 * Errors: INVALID_ARGUMENT for a bad name or a path that cannot be a folder, STORAGE_UNAVAILABLE.
 */
export async function createProjectFile(folder: string, name: string, ids: Ids): Promise<boolean> {
  const content = renderNewConfig(name);
  const target = join(folder, CONFIG_FILE);
  const temporary = join(folder, `.${CONFIG_FILE}.${ids.reference()}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(temporary, content, { flag: 'wx' });
    // A link, unlike a rename, never replaces what another process has just made.
    await link(temporary, target);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await isProjectFile(folder))) return false;
    throw translated(error);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

async function isProjectFile(folder: string): Promise<boolean> {
  const { findProject } = await import('../config/find-project.ts');
  return (await findProject({ start: folder, project: folder })) !== undefined;
}

function translated(error: unknown): unknown {
  const code = errnoOf(error);
  if (code === 'ENOTDIR' || code === 'EEXIST' || code === 'ENAMETOOLONG') {
    return new GoldfishError('INVALID_ARGUMENT', {
      message: '"path" cannot be made a folder: something else is there, or the name is too long.',
      hint: 'Choose a path that is free or a folder.',
      details: { field: 'path' },
      cause: error,
    });
  }
  if (code === undefined) return error;
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: 'The project cannot be written there.',
    hint: 'Check that the folder is writable by this user and that the disk is not full.',
    cause: error,
  });
}
