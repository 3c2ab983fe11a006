import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { assetPath } from '../../src/core/assets.ts';

const migrations = readdirSync(assetPath('src/store/migrations'))
  .filter((name) => name.endsWith('.sql'))
  .sort()
  .map((name) => ({
    number: Number(name.slice(0, 4)),
    sql: readFileSync(assetPath(`src/store/migrations/${name}`), 'utf8'),
  }));

export const NEWEST_SCHEMA = migrations.at(-1)?.number ?? 0;
/** Found from the migrations, so that a new one is tried from all before it without a word here. */
export const EARLIER_SCHEMAS = migrations.map(({ number }) => number).filter((n) => n !== NEWEST_SCHEMA);

const fixture = (schema: number, kind: 'sql' | 'git' | 'json'): string =>
  assetPath(`test/fixtures/schema-${schema}.${kind}`);

/** The newest schema up to this one of which rows were kept. */
function frozenFor(schema: number): number {
  const found = migrations.findLast(({ number }) => number <= schema && existsSync(fixture(number, 'sql')));
  if (!found) throw new Error(`there are no rows of schema ${schema} or before`);
  return found.number;
}

/** What the interpreter's identity is in the kept plans. */
const KEPT_KEY = /"environmentKey":"(sha256:[0-9a-f]{64})"/;

function earlierRows(schema: number): string {
  return readFileSync(fixture(frozenFor(schema), 'sql'), 'utf8');
}

/**
 * A database as the program of a schema left it: its rows, brought on by the migrations up to there where none were
 * kept of this very one.
 */
export function makeEarlierDatabase(file: string, of: { schema: number; environmentKey?: string }): void {
  const frozen = frozenFor(of.schema);
  const rows = earlierRows(of.schema);
  const kept = KEPT_KEY.exec(rows)?.[1] ?? '';
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('foreign_keys = OFF');
  for (const { number, sql } of migrations) if (number <= frozen) db.exec(sql);
  db.exec(of.environmentKey === undefined ? rows : rows.replaceAll(kept, of.environmentKey));
  for (const { number, sql } of migrations) if (number > frozen && number <= of.schema) db.exec(sql);
  db.pragma(`user_version = ${of.schema}`);
  db.close();
}

/**
 * The whole project: database, versions, the files of runs and stored objects, and the slot its workspace is in.
 * `environmentKey`: what the machine's interpreter is called now, for the runs that are still to be started.
 */
export function makeEarlierProject(root: string, of: { schema: number; environmentKey: string }): void {
  const frozen = frozenFor(of.schema);
  const state = join(root, '.goldfish');
  mkdirSync(state, { recursive: true, mode: 0o700 });
  writeFileSync(join(root, 'goldfish.yaml'), 'project_name: upgraded\nprocess: { max_parallel: 4 }\n');
  makeEarlierDatabase(join(state, 'goldfish.db'), of);
  const files: Record<string, string> = JSON.parse(readFileSync(fixture(frozen, 'json'), 'utf8'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(state, path)), { recursive: true });
    writeFileSync(join(state, path), text);
  }
  const versions = join(state, 'versions.git');
  const git = (words: string[], options: { input?: Buffer; env?: Record<string, string> } = {}): void => {
    const env = { ...process.env, ...options.env };
    execFileSync('git', words, { stdio: ['pipe', 'ignore', 'pipe'], ...options, env });
  };
  git(['init', '--bare', '--quiet', versions]);
  git([`--git-dir=${versions}`, 'fast-import', '--quiet'], { input: readFileSync(fixture(frozen, 'git')) });
  const slot = join(root, 'workspaces', 'w1');
  mkdirSync(slot, { recursive: true });
  git([`--git-dir=${versions}`, `--work-tree=${slot}`, 'checkout', '--force', 'exp', '--', '.'], {
    env: { GIT_INDEX_FILE: join(root, 'index') },
  });
}

/** Definitions of a database without comments and spacing, and the number of its schema. */
export function schemaOf(file: string): { version: number; definitions: string[] } {
  const db = new Database(file);
  try {
    const rows = db
      .prepare<[], { sql: string }>(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'",
      )
      .all();
    const definitions = rows.map(({ sql }) =>
      sql
        .replaceAll(/--.*$/gm, '')
        .replaceAll(/\s+/g, ' ')
        .replaceAll(/ ?([(),]) ?/g, '$1')
        .trim(),
    );
    return {
      version: Number(db.pragma('user_version', { simple: true })),
      definitions: definitions.sort(),
    };
  } finally {
    db.close();
  }
}

/** Every row by table; of a database that nobody writes to. */
export function allRows(file: string): Map<string, Record<string, unknown>[]> {
  const db = new Database(file, { readonly: true });
  try {
    const tables = db
      .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .pluck()
      .all() as unknown as string[];
    return new Map(
      tables.map((table) => [table, db.prepare(`SELECT * FROM ${table}`).all() as Record<string, unknown>[]]),
    );
  } finally {
    db.close();
  }
}
