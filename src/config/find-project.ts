import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

export const CONFIG_FILE = 'goldfish.yaml';

/**
 * The folder of the project: `project` where the caller names one, else GOLDFISH_PROJECT, else the nearest folder
 * with a goldfish.yaml from `start` upward. Undefined where there is none; a folder that was named is not searched
 * upward. Imports nothing heavy: every command and server begins here.
 */
export async function findProject(request: {
  start: string;
  project?: string;
  environment?: Readonly<Record<string, string | undefined>>;
}): Promise<string | undefined> {
  const named = request.project ?? (request.environment?.['GOLDFISH_PROJECT'] || undefined);
  if (named !== undefined) {
    const folder = resolve(request.start, named);
    return (await hasConfig(folder)) ? folder : undefined;
  }
  let folder = resolve(request.start);
  while (!(await hasConfig(folder))) {
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
  return folder;
}

async function hasConfig(folder: string): Promise<boolean> {
  try {
    return (await stat(join(folder, CONFIG_FILE))).isFile();
  } catch {
    // Missing, or a folder that may not be looked into: not a project of this user either way.
    return false;
  }
}
