import { chmod, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../../core/errors.ts';
import type { SpecInput } from '../port.ts';

/**
 * An empty file or folder for each input, for the engine to lay the input over: below a folder that is read-only in
 * the container it could make no place itself.
 */
export async function inputPlaceholders(inputsDir: string, inputs: readonly SpecInput[]): Promise<void> {
  await mkdir(inputsDir, { recursive: true, mode: 0o755 });
  await chmod(inputsDir, 0o755);
  for (const { fileName, kind } of inputs) {
    const place = join(inputsDir, fileName);
    await mkdir(kind === 'folder' ? place : dirname(place), { recursive: true, mode: 0o755 });
    if (kind === 'file') await makeEmptyFile(place);
  }
}

/** One that a launch before us made is read-only, for an ordinary user too. */
async function makeEmptyFile(place: string): Promise<void> {
  try {
    await (await open(place, 'wx', 0o444)).close();
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}
