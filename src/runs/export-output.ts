import {
  chmod,
  constants,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import type { StoredOutput } from '../core/rows.ts';
import { signalFileName } from '../core/signals.ts';
import { nearest } from '../core/suggest.ts';
import { localContent } from '../data/local-content.ts';
import { outputsOfRun } from '../store/signals.ts';
import type { RunsDeps } from './deps.ts';
import { findStageRun } from './find.ts';

export type Exported = { runId: string; output: StoredOutput; path: string };

/**
 * Copies a stored output out of the project, writable and with its own name where `to` is a folder. What is there
 * already is never replaced; a copy that is cut short leaves nothing under the final name.
 * Errors: RUN_NOT_FOUND, INVALID_ARGUMENT (no such output, or no such folder), CONFLICT where the destination exists,
 * INPUT_UNAVAILABLE where the content is gone.
 */
export async function exportOutput(
  deps: RunsDeps,
  request: { runId: string; output: string; to: string; signal?: AbortSignal },
): Promise<Exported> {
  const run = findStageRun(deps.db, request.runId);
  const output = findOutput(outputsOfRun(deps.db, run.id), run.id, request.output);
  const place = await destination(request.to, signalFileName(output.name, output.type));
  const content = await localContent(deps, { hash: output.hash, kind: output.kind }, request.signal);
  const unfinished = join(dirname(place), `.${basename(place)}.${deps.ids.reference()}`);
  try {
    await copyOut(content, unfinished);
    if (await exists(place)) throw occupied(place);
    await rename(unfinished, place);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return { runId: run.id, output, path: place };
}

function findOutput(outputs: readonly StoredOutput[], runId: string, name: string): StoredOutput {
  const found = outputs.find((output) => output.name === name);
  if (found) return found;
  const allowed = outputs.map((output) => output.name);
  const near = nearest(name, allowed);
  const hint = outputs.length === 0 ? 'It stored none.' : `It has ${allowed.join(', ')}.`;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `${runId} has no output "${clip(name)}".`,
    hint: near === undefined ? hint : `Did you mean "${near}"? ${hint}`,
    details: { field: 'output', allowed },
  });
}

async function destination(to: string, fileName: string): Promise<string> {
  // A link to a folder is one, too; what is named in it is looked at as it stands.
  const stats = await stat(to).catch(() => undefined);
  const place = stats?.isDirectory() ? join(to, fileName) : to;
  if (await exists(place)) throw occupied(place);
  if (await exists(dirname(place))) return place;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: 'The folder of the destination does not exist.',
    hint: 'Make it first, or name another.',
    details: { field: 'dest' },
  });
}

function occupied(place: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `"${basename(place)}" exists already; nothing is replaced.`,
    hint: 'Name another destination, or move what is there away.',
    details: { field: 'dest' },
  });
}

/** A copy people can edit: stored content is read-only. */
async function copyOut(from: string, to: string): Promise<void> {
  const stat = await lstat(from);
  if (stat.isSymbolicLink()) return symlink(await readlink(from), to);
  if (!stat.isDirectory()) {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    return chmod(to, (stat.mode & 0o111) === 0 ? 0o644 : 0o755);
  }
  await mkdir(to);
  for (const name of await readdir(from)) await copyOut(join(from, name), join(to, name));
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}
