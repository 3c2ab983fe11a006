import { createHash } from 'node:crypto';
import { isAbsolute, posix } from 'node:path';
import { errnoOf, isGoldfishError } from '../core/errors.ts';
import { readRegularFile, resolveInside } from '../os/files.ts';
import type { FileReader } from '../pipeline/file-reader.ts';
import type { Git } from './git.ts';
import type { TreeContent, TreeEntry } from './trees.ts';

/** One file of a version; `blob` is its content's name in the store. A link's content is its target. */
export type FileEntry = { path: string; mode: '100644' | '100755' | '120000'; blob: string };

/** The files of a version or a slot, as text through `read` and as bytes through `bytes`. Links are followed, inside. */
export type FileTree = FileReader & { bytes(path: string): Promise<Uint8Array | null> };
export type VersionFiles = FileTree & { entries(): Promise<FileEntry[]> };

const MAX_LINKS = 40;

/** Reads from the store. Reads asked for in one turn of the event loop are answered by one process. */
export function versionFiles(git: () => Promise<Git>, content: () => Promise<TreeContent>): VersionFiles {
  const blob = blobReader(git);
  let known: Promise<Map<string, TreeEntry>> | undefined;
  const byPath = (): Promise<Map<string, TreeEntry>> => {
    known ??= content().then(({ files }) => new Map(files.map((file) => [file.path, file])));
    return known;
  };
  const bytes = async (path: string): Promise<Uint8Array | null> => {
    const files = await byPath();
    let at: string | undefined = normalPath(path);
    for (let hops = 0; at !== undefined && hops <= MAX_LINKS; hops += 1) {
      const entry: TreeEntry | undefined = files.get(at);
      if (entry && entry.mode !== '120000') return blob(entry.sha);
      at = await throughLink(files, blob, at);
    }
    return null;
  };
  return {
    list: async () => [...(await byPath()).keys()],
    entries: async () =>
      [...(await byPath()).values()].map(({ path, mode, sha }) => ({
        path,
        mode: mode as FileEntry['mode'],
        blob: sha,
      })),
    bytes,
    read: async (path) => decode(await bytes(path)),
  };
}

/** The live files of a slot: what a version made now would hold, and nothing outside it. */
export function liveFiles(dir: string, paths: () => Promise<string[]>): FileTree {
  const bytes = async (path: string): Promise<Uint8Array | null> => {
    const normal = normalPath(path);
    if (normal === undefined) return null;
    try {
      return await readRegularFile(await resolveInside(dir, normal));
    } catch (error) {
      const absent = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP'].includes(errnoOf(error) ?? '');
      if (absent || isGoldfishError(error)) return null;
      throw error;
    }
  };
  let listed: Promise<Set<string>> | undefined;
  const known = (): Promise<Set<string>> => {
    listed ??= paths().then((found) => new Set(found));
    return listed;
  };
  const visible = async (path: string): Promise<Uint8Array | null> =>
    (await known()).has(normalPath(path) ?? '') ? bytes(path) : null;
  return {
    list: async () => [...(await known())],
    bytes: visible,
    read: async (path) => decode(await visible(path)),
  };
}

function decode(content: Uint8Array | null): string | null {
  return content === null ? null : new TextDecoder().decode(content);
}

/** Undefined for a path that is empty, absolute or leads out. */
function normalPath(path: string): string | undefined {
  if (path === '' || path.includes('\0') || isAbsolute(path)) return undefined;
  const normal = posix.normalize(path);
  return normal === '..' || normal.startsWith('../') ? undefined : normal;
}

/** Where the first link on the path leads, or undefined where there is none or it leads out. */
async function throughLink(
  files: ReadonlyMap<string, TreeEntry>,
  blob: (sha: string) => Promise<Buffer>,
  path: string,
): Promise<string | undefined> {
  const parts = path.split('/');
  for (let n = 1; n <= parts.length; n += 1) {
    const entry = files.get(parts.slice(0, n).join('/'));
    if (entry?.mode !== '120000') continue;
    const target = (await blob(entry.sha)).toString('utf8');
    if (isAbsolute(target)) return undefined;
    return normalPath([...parts.slice(0, n - 1), target, ...parts.slice(n)].join('/'));
  }
  return undefined;
}

function blobReader(git: () => Promise<Git>): (sha: string) => Promise<Buffer> {
  let waiting: { sha: string; done: (content: Buffer) => void; fail: (error: unknown) => void }[] = [];
  const flush = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    try {
      const input = batch.map(({ sha }) => `${sha}\n`).join('');
      const contents = parseBatch(await (await git()).catFile(['--batch'], { input }));
      for (const [i, { done, fail }] of batch.entries()) {
        const content = contents[i];
        if (content) done(content);
        else fail(new Error('an object of the version store is missing'));
      }
    } catch (error) {
      for (const { fail } of batch) fail(error);
    }
  };
  return (sha) =>
    new Promise((done, fail) => {
      waiting.push({ sha, done, fail });
      if (waiting.length === 1) setImmediate(() => void flush());
    });
}

/** `<name> blob <size>\n<bytes>\n` for each object, `<name> missing\n` for one that is not there. */
function parseBatch(output: Buffer): (Buffer | undefined)[] {
  const contents: (Buffer | undefined)[] = [];
  for (let at = 0; at < output.length; ) {
    const end = output.indexOf(10, at);
    const [, type, size] = output.toString('latin1', at, end).split(' ');
    at = end + 1;
    if (type !== 'blob') {
      contents.push(undefined);
      continue;
    }
    contents.push(output.subarray(at, at + Number(size)));
    at += Number(size) + 1;
  }
  return contents;
}

/**
 * The identity of a version's code: `sha256:` of its lines `path\0mode\0blob\n` without what the plan of a stage
 * already holds (`configs/`, `pipeline.yaml`, `pipelines/`). An empty folder has a line of its own.
 */
export function codeHashOf(content: TreeContent): string {
  const hash = createHash('sha256');
  const lines = [
    ...content.files.map(({ path, mode, sha }) => ({ path, line: `${path}\0${mode}\0${sha}\n` })),
    ...content.emptyFolders.map((path) => ({ path, line: `${path}\x00040000\0\n` })),
  ].filter(({ path }) => !/^(configs\/|pipelines\/|configs$|pipelines$|pipeline\.yaml$)/.test(path));
  lines.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  for (const { line } of lines) hash.update(line);
  return `sha256:${hash.digest('hex')}`;
}
