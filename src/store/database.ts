import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { GoldfishError } from '../core/errors.ts';

const MIGRATIONS = fileURLToPath(new URL('migrations/', import.meta.url));
/** How long a writer waits for another process's transaction. Ours are short, so this is never reached in health. */
const BUSY_TIMEOUT_MS = 15_000;

/**
 * The one handle on the database file. Rooms of the store take it and nothing else of SQLite.
 * Reads run alone; every write goes through `write`, one short immediate transaction.
 */
export type Db = {
  /** One prepared statement per text, kept for the life of the connection. */
  prepare<Row = unknown>(sql: string): Statement<Row>;
  /** Runs `work` in an immediate transaction; nested calls join the outer one. Throws what `work` throws, rolled back. */
  write<T>(work: () => T): T;
  /** A consistent snapshot for several reads. */
  read<T>(work: () => T): T;
  close(): void;
};

export type Bindable = string | number | bigint | Uint8Array | null;
export type Statement<Row> = {
  get(...params: Bindable[]): Row | undefined;
  all(...params: Bindable[]): Row[];
  /** Rows changed. */
  run(...params: Bindable[]): number;
};

/** Opens the file, creating it where `create` says so, and brings the schema up to date. */
export function openDatabase(file: string, options: { create: boolean }): Db {
  const sqlite = openFile(file, options.create);
  sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
  sqlite.pragma('journal_mode = WAL');
  sqlite.pragma('synchronous = FULL');
  sqlite.pragma('foreign_keys = ON');
  migrate(sqlite, file);
  return handle(sqlite);
}

function openFile(file: string, create: boolean): Database.Database {
  try {
    return new Database(file, { fileMustExist: !create, timeout: BUSY_TIMEOUT_MS });
  } catch (cause) {
    throw new GoldfishError('STORAGE_UNAVAILABLE', {
      message: "The project's database cannot be opened.",
      hint: 'Check that .goldfish is readable and writable by this user and that the disk is not full.',
      cause,
    });
  }
}

function handle(sqlite: Database.Database): Db {
  const statements = new Map<string, Statement<unknown>>();
  const prepare = <Row>(sql: string): Statement<Row> => {
    const known = statements.get(sql);
    if (known) return known as Statement<Row>;
    const prepared = sqlite.prepare(sql);
    const statement: Statement<unknown> = {
      get: (...params) => prepared.get(...params),
      all: (...params) => prepared.all(...params),
      run: (...params) => prepared.run(...params).changes,
    };
    statements.set(sql, statement);
    return statement as Statement<Row>;
  };
  return {
    prepare,
    write: (work) => (sqlite.inTransaction ? work() : sqlite.transaction(work).immediate()),
    read: (work) => (sqlite.inTransaction ? work() : sqlite.transaction(work).deferred()),
    close: () => {
      sqlite.close();
    },
  };
}

type Migration = { number: number; sql: string };

function migrations(): Migration[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({
      number: Number(name.slice(0, 4)),
      sql: readFileSync(join(MIGRATIONS, name), 'utf8'),
    }));
}

/** Applies what is missing, one transaction for all; `user_version` is the number of the last one applied. */
function migrate(sqlite: Database.Database, file: string): void {
  const all = migrations();
  const newest = all.at(-1)?.number ?? 0;
  const current = (): number => Number(sqlite.pragma('user_version', { simple: true }));
  if (current() === newest) return;
  sqlite
    .transaction(() => {
      const from = current();
      if (from > newest) {
        throw new GoldfishError('CONFLICT', {
          message: `This project was last used by a newer Goldfish (schema ${from}; this program knows ${newest}).`,
          hint: 'Use the newer Goldfish for this project.',
          details: { schema: from, known: newest, file: file.split('/').at(-1) ?? '' },
        });
      }
      for (const migration of all) if (migration.number > from) sqlite.exec(migration.sql);
      sqlite.pragma(`user_version = ${newest}`);
    })
    .immediate();
}
