import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
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
  /** Copies the database, as of one moment, into a new file while others go on writing. */
  backup(file: string): Promise<void>;
  close(): void;
};

export type Bindable = string | number | bigint | Uint8Array | null;
export type Statement<Row> = {
  get(...params: Bindable[]): Row | undefined;
  all(...params: Bindable[]): Row[];
  /** Rows changed. */
  run(...params: Bindable[]): number;
};

/**
 * Opens the file, creating it where `create` says so, and brings the schema up to date.
 * Errors: STORAGE_UNAVAILABLE where the file cannot be used, CONFLICT where its schema is newer than this program's.
 */
export function openDatabase(file: string, options: { create: boolean }): Db {
  let sqlite: Database.Database | undefined;
  try {
    requireKnownLog(file);
    if (options.create && file !== ':memory:') makePrivate(file);
    sqlite = new Database(file, { fileMustExist: !options.create, timeout: BUSY_TIMEOUT_MS });
    useWriteAheadLog(sqlite);
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma('foreign_keys = ON');
    migrate(sqlite, file);
    return handle(sqlite, file);
  } catch (error) {
    sqlite?.close();
    throw storeError(error) ?? unavailable(error);
  }
}

/** A new file is the user's alone, and so are those that SQLite makes beside it. */
function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch {
    // It is there, or cannot be made; opening it says why.
  }
}

/** What SQLite's own check finds wrong, in one sentence; null where the file is sound. Reads the whole file. */
export function checkDatabase(db: Db): string | null {
  const rows = db.prepare<{ quick_check: string }>('PRAGMA quick_check(1)').all();
  const [first] = rows;
  if (first?.quick_check !== 'ok') return `damaged: ${first?.quick_check ?? 'the check gave no answer'}`;
  return db.prepare('PRAGMA foreign_key_check').get() === undefined
    ? null
    : 'rows refer to others that are not there';
}

/**
 * Opens the file so that nothing can be written through it, nor its schema be brought up to date. Where there is none
 * yet, everything reads as empty. Errors: STORAGE_UNAVAILABLE, CONFLICT where its schema is another than this program's.
 */
export function openDatabaseForReading(file: string): Db {
  if (!existsSync(file)) return openDatabase(':memory:', { create: true });
  let sqlite: Database.Database | undefined;
  try {
    requireKnownLog(file);
    sqlite = new Database(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      requireCurrent(sqlite, file);
    } catch (error) {
      if (!isSqliteError(error, ['SQLITE_CANTOPEN']) || hasLog(file)) throw error;
      sqlite.close();
      sqlite = openBytes(file);
      requireCurrent(sqlite, file);
    }
    return handle(sqlite, file);
  } catch (error) {
    sqlite?.close();
    throw storeError(error) ?? unavailable(error);
  }
}

/**
 * Where the file system is read-only SQLite cannot make the files that readers share. Nobody can write there either, so
 * the bytes as they are are the whole truth; two of them say that there is a log of writes, which there is not.
 */
function openBytes(file: string): Database.Database {
  const bytes = readFileSync(file);
  bytes.fill(1, 18, 20);
  return new Database(bytes, { readonly: true });
}

function hasLog(file: string): boolean {
  return (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** How a log of writes begins, by SQLite's description of its files; zeros: a power cut came before its first commit. */
const LOG_BEGINNINGS = [0x377f0682, 0x377f0683, 0];

/** SQLite takes a log it does not know for an empty one: what was committed to it would be gone without a word. */
function requireKnownLog(file: string): void {
  const first = firstBytes(`${file}-wal`, 4);
  if (first.length === 4 && !LOG_BEGINNINGS.includes(first.readUInt32BE(0))) throw damaged();
}

/** None where the file cannot be read: the last one who used the database may just have removed it. */
function firstBytes(file: string, count: number): Buffer {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const bytes = Buffer.alloc(count);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, count, 0));
  } catch {
    return Buffer.alloc(0);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function damaged(cause?: unknown): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: "The project's database is damaged.",
    hint: 'Stop everything that uses the project, then restore a backup beside it: goldfish restore BACKUP --into FOLDER.',
    cause,
  });
}

const RETRY_MS = 10;

/**
 * When several processes open a new file at once, changing its mode fails at once instead of waiting (each holds a
 * read lock the others would wait for). Once changed it stays, so this is needed only then.
 */
function useWriteAheadLog(sqlite: Database.Database): void {
  for (let left = BUSY_TIMEOUT_MS / RETRY_MS; ; left -= 1) {
    try {
      sqlite.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if (left <= 0 || !isSqliteError(error, ['SQLITE_BUSY'])) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

function isSqliteError(error: unknown, codes: readonly string[]): error is Database.SqliteError {
  // Extended codes have a suffix: SQLITE_IOERR_WRITE.
  return (
    error instanceof Database.SqliteError &&
    codes.some((code) => error.code === code || error.code.startsWith(`${code}_`))
  );
}

function unavailable(cause: unknown): GoldfishError {
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    message: "The project's database cannot be opened.",
    hint: 'Check that .goldfish is readable and writable by this user and that the disk is not full.',
    cause,
  });
}

/** What the machine is to blame for, in the reader's words; undefined for a defect of ours. */
export function storeError(error: unknown): GoldfishError | undefined {
  if (error instanceof GoldfishError) return error;
  if (isSqliteError(error, ['SQLITE_NOTADB', 'SQLITE_CORRUPT'])) {
    return damaged(error);
  }
  if (isSqliteError(error, ['SQLITE_FULL'])) {
    return new GoldfishError('STORAGE_UNAVAILABLE', {
      message: "The disk is full: the project's database has no room.",
      hint: 'Free some space, then retry.',
      details: { errno: 'ENOSPC' },
      retryable: true,
      cause: error,
    });
  }
  if (isSqliteError(error, ['SQLITE_IOERR', 'SQLITE_READONLY'])) {
    return new GoldfishError('STORAGE_UNAVAILABLE', {
      message: "The project's database cannot be written.",
      hint: 'Check that the disk is not full and that .goldfish is writable by this user.',
      cause: error,
    });
  }
  if (isSqliteError(error, ['SQLITE_CANTOPEN'])) return unavailable(error);
  if (isSqliteError(error, ['SQLITE_BUSY'])) {
    return new GoldfishError('CONFLICT', {
      message: 'Another process kept the project busy for too long.',
      hint: 'Repeat the call in a few seconds.',
      retryable: true,
      cause: error,
    });
  }
  return undefined;
}

function handle(sqlite: Database.Database, file: string): Db {
  const statements = new Map<string, Statement<unknown>>();
  const prepare = <Row>(sql: string): Statement<Row> => {
    const known = statements.get(sql);
    if (known) return known as Statement<Row>;
    const prepared = sqlite.prepare(sql);
    const statement: Statement<unknown> = {
      get: (...params) => inWords(() => prepared.get(...params)),
      all: (...params) => inWords(() => prepared.all(...params)),
      run: (...params) => inWords(() => prepared.run(...params).changes),
    };
    statements.set(sql, statement);
    return statement as Statement<Row>;
  };
  return {
    prepare,
    write: (work) => {
      if (sqlite.inTransaction) return work();
      const writing = sqlite.transaction(() => {
        // A newer program may have brought the schema up to date since this one opened it.
        requireCurrent(sqlite, file);
        return work();
      });
      return inWords(() => writing.immediate());
    },
    read: (work) => (sqlite.inTransaction ? work() : inWords(() => sqlite.transaction(work).deferred())),
    backup: async (file) => {
      // The rest in one step: a backup in several begins anew whenever another process writes in between.
      await sqlite.backup(file, { progress: () => Number.MAX_SAFE_INTEGER }).catch((error: unknown) => {
        throw storeError(error) ?? error;
      });
    },
    close: () => {
      sqlite.close();
    },
  };
}

/** A statement may meet a damaged page or a full disk long after the file was opened. */
function inWords<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeError(error) ?? error;
  }
}

type Migration = { number: number; sql: string };

let read: Migration[] | undefined;

/** Read once in a process: they are those of this program. */
function migrations(): Migration[] {
  read ??= readdirSync(MIGRATIONS)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => ({
      number: Number(name.slice(0, 4)),
      sql: readFileSync(join(MIGRATIONS, name), 'utf8'),
    }));
  return read;
}

/** Applies what is missing, one transaction for all; `user_version` is the number of the last one applied. */
function migrate(sqlite: Database.Database, file: string): void {
  const all = migrations();
  const newest = newestSchema();
  if (schemaOf(sqlite) === newest) return;
  sqlite
    .transaction(() => {
      const from = schemaOf(sqlite);
      if (from > newest) throw newerSchema({ file, from, newest });
      for (const migration of all) if (migration.number > from) sqlite.exec(migration.sql);
      sqlite.pragma(`user_version = ${newest}`);
    })
    .immediate();
}

function newestSchema(): number {
  return migrations().at(-1)?.number ?? 0;
}

function schemaOf(sqlite: Database.Database): number {
  return Number(sqlite.pragma('user_version', { simple: true }));
}

function newerSchema(of: { file: string; from: number; newest: number }): GoldfishError {
  const { file, from, newest } = of;
  return new GoldfishError('CONFLICT', {
    message: `This project was last used by a newer Goldfish (schema ${from}; this program knows ${newest}).`,
    hint: 'Use the newer Goldfish for this project.',
    details: { schema: from, known: newest, file: file.split('/').at(-1) ?? '' },
  });
}

/** Whether a newer program has changed the project so that this one may not write to it any more. */
export function isOutgrown(error: unknown): boolean {
  return error instanceof GoldfishError && Number(error.details['schema']) > newestSchema();
}

function requireCurrent(sqlite: Database.Database, file: string): void {
  const from = schemaOf(sqlite);
  const newest = newestSchema();
  if (from > newest) throw newerSchema({ file, from, newest });
  if (from === newest) return;
  throw new GoldfishError('CONFLICT', {
    message: `This project was last used by an older Goldfish (schema ${from}; this program needs ${newest}).`,
    hint: 'Use it once without read-only, which brings its store up to date.',
    details: { schema: from, known: newest },
  });
}
