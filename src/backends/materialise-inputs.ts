import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { pathExists } from './attempt-files.ts';
import { FALLBACK_PATH } from './host-options.ts';
import type { SpecInput } from './port.ts';
import { runCommand } from './run-command.ts';

/**
 * Copies of the inputs below `inputsDir`, read-only, for a stage without a sandbox: a link to the stored object would
 * let the stage's owner change what every other run reads. Whole or not there at all; existing ones are kept.
 * Copies share blocks where the file system can. Errors: INPUT_UNAVAILABLE where content is gone.
 */
export async function copyInputs(inputsDir: string, inputs: readonly SpecInput[]): Promise<void> {
  if (await pathExists(inputsDir)) return;
  const temporary = `${inputsDir}.unfinished`;
  await removeTree(temporary);
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  for (const input of inputs) {
    const target = join(temporary, input.fileName);
    await mkdir(dirname(target), { recursive: true });
    await copyReadOnly(input.localPath, target).catch((error: unknown) => {
      throw errnoOf(error) === 'ENOENT' ? goneInput(input) : error;
    });
  }
  await chmod(temporary, 0o555);
  await rename(temporary, inputsDir);
}

/** Refuses early where a sandbox would only say that it cannot bind a path. */
export async function requireInputs(inputs: readonly SpecInput[]): Promise<void> {
  for (const input of inputs) if (!(await pathExists(input.localPath))) throw goneInput(input);
}

async function copyReadOnly(from: string, to: string): Promise<void> {
  const stat = await lstat(from);
  if (stat.isSymbolicLink()) return symlink(await readlink(from), to);
  if (!stat.isDirectory()) {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    return chmod(to, (stat.mode & 0o111) === 0 ? 0o444 : 0o555);
  }
  await mkdir(to);
  for (const name of await readdir(from)) await copyReadOnly(join(from, name), join(to, name));
  await chmod(to, 0o555);
}

/**
 * Removes a tree whose folders may be read-only. Links are removed, never followed. Throws where something is left,
 * as what is mounted in it is.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    const stat = await lstat(path);
    if (stat.isDirectory()) await openFolders(path, stat.dev);
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && !(await pathExists(path))) return;
    // Folders nested deeper than a path may be long, or other file systems: the machine's own tools can do it.
    await runCommand({ command: ['chmod', '-R', 'u+rwx', '--', path], ...AT_ROOT }).catch(() => undefined);
    await runCommand({ command: ['rm', '-rf', '--one-file-system', '--', path], ...AT_ROOT });
    if (await pathExists(path)) throw error;
  }
}

const AT_ROOT = { cwd: '/', environment: { PATH: FALLBACK_PATH, LC_ALL: 'C' } };

async function openFolders(path: string, device: number): Promise<void> {
  if ((await lstat(path)).dev !== device) throw new Error('another file system is mounted in the tree');
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(path, entry.name), device);
  }
}

/** As far as it goes: a run must not stay unfinished for its scratch. What is left goes with the run's folder. */
export async function removeScratch(
  paths: readonly string[],
  onLeft: (error: unknown) => void = () => undefined,
): Promise<void> {
  for (const path of paths) await removeTree(path).catch(onLeft);
}

function goneInput(input: SpecInput): GoldfishError {
  return new GoldfishError('INPUT_UNAVAILABLE', {
    message: `The content of input "${input.name}" is no longer there.`,
    hint: 'Run the producing stage again with use_cache: false.',
    details: { input: input.name, hash: input.hash },
  });
}
