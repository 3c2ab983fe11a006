import { posix } from 'node:path';
import { type Problem, problemsError } from '../config/problem.ts';
import { sha256 } from '../core/json.ts';
import type { FileReader } from '../pipeline/file-reader.ts';

export const REQUIREMENTS_FILE = 'requirements.txt';

/** requirements.txt and every file of the version that it leads to, by path, with the files' text. */
export type Requirements = { files: Map<string, string>; problems: Problem[] };

/** Follows -r, -c and local paths. What leads out of the version is a problem: it would not be versioned. */
export async function readRequirements(reader: FileReader): Promise<Requirements> {
  const found: Requirements = { files: new Map(), problems: [] };
  await addRequirementsFile(reader, REQUIREMENTS_FILE, found);
  return found;
}

/** The part of an environment's key that the version decides. */
export function requirementHashes(requirements: Requirements): [string, string][] {
  return [...requirements.files].map(([file, text]): [string, string] => [file, sha256(text)]).sort();
}

/** Errors: INVALID_CONFIG with file and line of every reference that cannot be followed. */
export function requireSoundReferences(requirements: Requirements): void {
  if (requirements.problems.length > 0) throw problemsError('INVALID_CONFIG', requirements.problems);
}

async function addRequirementsFile(reader: FileReader, file: string, found: Requirements): Promise<void> {
  if (found.files.has(file)) return;
  const text = await reader.read(file);
  if (text === null) return;
  found.files.set(file, text);
  for (const { line, words } of logicalLines(text)) {
    const place = { file, line, column: 1 };
    const nested = nestedFile(words);
    if (nested !== undefined) {
      if (nested.includes('://')) continue;
      const path = resolveReference(posix.dirname(file), nested);
      if (path === undefined || (await reader.read(path)) === null) {
        found.problems.push({ ...place, ...problemOf(nested, path) });
      } else await addRequirementsFile(reader, path, found);
      continue;
    }
    const local = localPath(words);
    if (local === undefined) continue;
    if (isEditable(words)) found.problems.push({ ...place, ...editable(local) });
    else await addLocalPath(reader, { place, local }, found);
  }
}

/** A folder or an archive of the version that pip is to install; pip reads it from where it is started. */
async function addLocalPath(
  reader: FileReader,
  reference: { place: { file: string; line: number; column: number }; local: string },
  found: Requirements,
): Promise<void> {
  const path = resolveReference('.', reference.local);
  const all = path === undefined ? [] : await reader.list();
  const matching = all.filter((file) => path === '.' || file === path || file.startsWith(`${path}/`));
  if (matching.length === 0) {
    found.problems.push({ ...reference.place, ...problemOf(reference.local, path) });
  }
  for (const file of matching) {
    if (!found.files.has(file)) found.files.set(file, (await reader.read(file)) ?? '');
  }
}

function problemOf(reference: string, path: string | undefined): { message: string; hint: string } {
  return path === undefined
    ? {
        message: `"${reference}" leads out of the workspace, so it would not be part of the version`,
        hint: 'Copy it into the workspace and refer to it with a relative path.',
      }
    : { message: `"${reference}" is not in the version`, hint: 'Add the file, or correct the path.' };
}

/** An editable install only points to the folder it was made from, and the version's files are not kept there. */
function editable(local: string): { message: string; hint: string } {
  return {
    message: `"${local}" is to be installed in editable form, which would break when the build is over`,
    hint: `Write "${local}" without -e: the version's files are installed as they are.`,
  };
}

function isEditable(words: readonly string[]): boolean {
  return optionValue(words, ['-e', '--editable']) !== undefined;
}

/** Undefined where it leaves the version. */
function resolveReference(from: string, reference: string): string | undefined {
  const path = posix.normalize(posix.join(from, reference.replace(/^file:(\/\/)?/, '')));
  const outside = posix.isAbsolute(reference) || reference.startsWith('file:') || /^\.\.(\/|$)/.test(path);
  return outside ? undefined : path.replace(/\/$/, '');
}

/** Lines with continuations joined and comments gone, each with the number of its first line. */
function logicalLines(text: string): { line: number; words: string[] }[] {
  const lines: { line: number; words: string[] }[] = [];
  let start = 0;
  let joined = '';
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    if (joined === '') start = index + 1;
    if (raw.endsWith('\\')) {
      joined += `${raw.slice(0, -1)} `;
      continue;
    }
    const words = `${joined}${raw}`
      .replace(/(^|\s)#.*$/, '')
      .split(/\s+/)
      .filter((word) => word !== '');
    if (words.length > 0) lines.push({ line: start, words });
    joined = '';
  }
  return lines;
}

function nestedFile(words: readonly string[]): string | undefined {
  return optionValue(words, ['-r', '--requirement', '-c', '--constraint']);
}

/** `./pkg`, `-e ./pkg`, `name @ file:./x`, `wheels/x.whl`. */
function localPath(words: readonly string[]): string | undefined {
  const target = optionValue(words, ['-e', '--editable']) ?? (words[1] === '@' ? words[2] : words[0]);
  if (!isEditable(words) && words[0]?.startsWith('-')) return undefined;
  const path = target?.replace(/\[[^\]]*\]$/, '').replace(/;.*$/, '') ?? '';
  if (/^(\.{1,2}(\/|$)|\/|file:)/.test(path)) return path;
  return /\.(whl|zip|tar\.gz|tgz)$/.test(path) && !path.includes('://') ? path : undefined;
}

/** `-r x`, `-rx`, `--requirement x`, `--requirement=x`. */
function optionValue(words: readonly string[], names: readonly string[]): string | undefined {
  const [first = '', second] = words;
  for (const name of names) {
    if (first === name) return second;
    if (name.startsWith('--')) {
      if (first.startsWith(`${name}=`)) return first.slice(name.length + 1);
    } else if (first.startsWith(name) && !first.startsWith('--')) return first.slice(name.length);
  }
  return undefined;
}
