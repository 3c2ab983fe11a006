import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../core/errors.ts';
import type { FileReader } from '../pipeline/file-reader.ts';

/** The files of a checkout, as planning sees them in the version store. */
export function codeFiles(codeDir: string): FileReader {
  return {
    list: async () => {
      const entries = await readdir(codeDir, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => !entry.isDirectory());
      return files.map((entry) => join(entry.parentPath, entry.name).slice(codeDir.length + 1)).sort();
    },
    read: async (path) => {
      try {
        return await readFile(join(codeDir, path), 'utf8');
      } catch (error) {
        if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')) return null;
        throw error;
      }
    },
  };
}
