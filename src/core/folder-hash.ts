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

/** Reads back what `folderManifest` wrote. Throws on anything else. */
export function parseFolderManifest(text: string): FolderEntry[] {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('folder manifest does not end with a newline');
  return lines.map((line) => {
    const [path, mode, hash, ...rest] = line.split('\0');
    if (path === undefined || mode === undefined || hash === undefined || rest.length > 0) {
      throw new Error('folder manifest line is malformed');
    }
    return { path, mode: mode as FolderEntry['mode'], hash };
  });
}
