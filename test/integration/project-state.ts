import { createHash } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/**
 * Every row, and every file but the database's own and the logs, with its content: equal before and after a call that
 * changed nothing. Rows of the audit count only where asked for: a refusal leaves one. The lease is a supervisor's own.
 */
export async function wholeProject(
  folder: string,
  options: { audit: boolean } = { audit: false },
): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  const db = new Database(join(folder, '.goldfish/goldfish.db'), { readonly: true });
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[];
  for (const table of tables) {
    if (table === 'supervisor_lease' || table.startsWith('sqlite_')) continue;
    if (table === 'audit' && !options.audit) continue;
    state[`table ${table}`] = JSON.stringify(db.prepare(`SELECT * FROM ${table}`).all());
  }
  db.close();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (/^\.goldfish\/(goldfish\.db|log\/)/.test(name)) continue;
    if (entry.isFile())
      state[name] = createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    else state[name] = entry.isSymbolicLink() ? await readlink(path) : 'folder';
  }
  return state;
}
