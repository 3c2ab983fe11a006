import { sha256 } from './json.ts';

/** One entry of a folder: git's modes; `hash` is `sha256:<hex>` of the content (of a link: of its target text). */
export type FolderEntry = { path: string; mode: '100644' | '100755' | '120000' | '040000'; hash: string };

/** The mode of an empty folder's own line; folders with content are implied by their files. */
export const EMPTY_FOLDER_HASH = sha256('');

/** The hash of a folder: of its lines `path\0mode\0hash\n`, sorted by the bytes of the path. */
export function folderHash(entries: readonly FolderEntry[]): string {
  return sha256(folderManifest(entries));
}

/** The text that is hashed; stored as the object of a folder, so that its name is its own check. */
export function folderManifest(entries: readonly FolderEntry[]): string {
  const sorted = [...entries].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return sorted.map((entry) => `${entry.path}\0${entry.mode}\0${entry.hash}\n`).join('');
}

/** One line. The path may hold anything but a NUL, newlines included, so the end is found by the hash. */
const MANIFEST_LINE = /([^\0]+)\0(100644|100755|120000|040000)\0(sha256:[0-9a-f]{64})\n/y;

/** Reads back what `folderManifest` wrote. Throws on anything else. */
export function parseFolderManifest(text: string): FolderEntry[] {
  const entries: FolderEntry[] = [];
  const line = new RegExp(MANIFEST_LINE);
  while (line.lastIndex < text.length) {
    const [, path, mode, hash] = line.exec(text) ?? [];
    if (path === undefined || mode === undefined || hash === undefined) {
      throw new Error('folder manifest line is malformed');
    }
    entries.push({ path, mode: mode as FolderEntry['mode'], hash });
  }
  return entries;
}
