import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import { innerLink } from './hash-file.ts';

/**
 * One entry of what is to be copied; the path of a single file, and of the folder itself, is ''. `stamp` is what the
 * file system says of it: an entry that is written to while it is copied has another one afterwards.
 */
export type SurveyedEntry =
  | { kind: 'file'; path: string; stamp: string; size: number; executable: boolean }
  | { kind: 'folder'; path: string }
  | { kind: 'link'; path: string; target: string };

export type Survey = { kind: 'file' | 'folder'; entries: SurveyedEntry[]; size: number };

/**
 * Everything at a place, without reading the content. `root` has no link in it.
 * Errors: INVALID_ARGUMENT for what can be no part of a source: special files, links out of the folder, what cannot be
 * read, names that are no text.
 */
export async function surveySource(root: string, signal?: AbortSignal): Promise<Survey> {
  const survey: Survey = { kind: 'folder', entries: [], size: 0 };
  try {
    const stat = await lstat(root, { bigint: true });
    if (stat.isDirectory()) await visit({ root, survey, path: '', ...(signal ? { signal } : {}) });
    else if (stat.isFile()) {
      survey.kind = 'file';
      addFile(survey, '', stat);
    } else throw refused('It is neither a file nor a folder.');
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (errno === 'EACCES' || errno === 'EPERM') throw refused('Part of it cannot be read by this user.');
    if (errno === 'ENOENT' || errno === 'ENOTDIR') throw changedWhileRead('part of it went away');
    throw error;
  }
  return survey;
}

type Visit = { root: string; survey: Survey; path: string; signal?: AbortSignal };

async function visit(at: Visit): Promise<void> {
  const { root, survey, path, signal } = at;
  survey.entries.push({ kind: 'folder', path });
  const names = await readdir(join(root, path));
  signal?.throwIfAborted();
  for (const name of names.sort()) {
    const below = path === '' ? name : `${path}/${name}`;
    if (/[\n\0\uFFFD]/.test(name)) {
      throw refused(`The name of ${JSON.stringify(clip(below))} has a line break or is not UTF-8.`);
    }
    const full = join(root, below);
    const stat = await lstat(full, { bigint: true });
    if (stat.isDirectory()) await visit({ ...at, path: below });
    else if (stat.isFile()) addFile(survey, below, stat);
    else if (stat.isSymbolicLink()) survey.entries.push(await linkEntry(root, below));
    else throw refused(`"${clip(below)}" is neither a file nor a folder.`);
  }
}

async function linkEntry(root: string, path: string): Promise<SurveyedEntry> {
  const target = await innerLink(root, join(root, path));
  if (target !== undefined) return { kind: 'link', path, target };
  throw refused(`"${clip(path)}" is a link that leaves the folder.`);
}

function addFile(survey: Survey, path: string, stat: BigIntStats): void {
  const executable = (stat.mode & 0o111n) !== 0n;
  survey.entries.push({ kind: 'file', path, stamp: stampOf(stat), size: Number(stat.size), executable });
  survey.size += Number(stat.size);
}

/** The time of change is the kernel's own; a program can set the other back, but not this one. */
export function stampOf(stat: BigIntStats): string {
  return `${stat.ino}.${stat.size}.${stat.mode}.${stat.mtimeNs}.${stat.ctimeNs}`;
}

function refused(message: string): GoldfishError {
  return new GoldfishError('INVALID_ARGUMENT', {
    message: `This cannot be registered. ${message}`,
    hint: 'A source is a file, or a folder of files and of links that stay inside it.',
    details: { field: 'uri' },
  });
}

export function changedWhileRead(what: string): GoldfishError {
  return new GoldfishError('CONFLICT', {
    message: `The data changed while they were read: ${what}.`,
    hint: 'Register them once nothing writes to them any more.',
    details: { field: 'uri' },
    retryable: true,
  });
}
