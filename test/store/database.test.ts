import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { asOrdinaryUser } from '../support/ordinary-user.ts';

let folder: string;
let file: string;
const open: Db[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-database-'));
  file = join(folder, 'goldfish.db');
});

afterEach(() => {
  for (const db of open.splice(0)) db.close();
  rmSync(folder, { recursive: true, force: true });
});

function openNew(): Db {
  const db = openDatabase(file, { create: true });
  open.push(db);
  return db;
}

function names(db: Db): string[] {
  return db
    .prepare<{ name: string }>('SELECT name FROM project ORDER BY id')
    .all()
    .map((row) => row.name);
}

function addProject(db: Db, name: string): void {
  db.prepare('INSERT INTO project (id, name, created_at) VALUES (1, ?, ?)').run(
    name,
    '2026-01-01T00:00:00.000Z',
  );
}

/** The definitions of a database without comments and spacing. */
function definitions(sqlite: Database.Database): string[] {
  const rows = sqlite
    .prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    .all();
  return (rows as { sql: string }[])
    .map(({ sql }) =>
      sql
        .replaceAll(/--.*$/gm, '')
        .replaceAll(/\s+/g, ' ')
        .replaceAll(/ ?([(),]) ?/g, '$1')
        .trim(),
    )
    .sort();
}

const migrationFiles = readdirSync(assetPath('src/store/migrations'))
  .filter((name) => name.endsWith('.sql'))
  .sort();

describe('the schema', () => {
  it('is the same in schema.sql and in what the migrations build', () => {
    openNew();
    const built = new Database(file, { readonly: true });
    const written = new Database(':memory:');
    written.exec(readFileSync(assetPath('schema.sql'), 'utf8'));
    expect(definitions(built).length).toBeGreaterThan(20);
    expect(definitions(written)).toEqual(definitions(built));
    built.close();
    written.close();
  });

  it('refers only to tables and columns that exist', () => {
    const db = openNew();
    expect(db.prepare('PRAGMA foreign_key_check').all()).toEqual([]);
    // Preparing a write to each table makes SQLite look up every parent key.
    const tables = db.prepare<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name } of tables) db.prepare(`DELETE FROM ${name} WHERE 0`).run();
  });

  it('numbers its migrations from 1 without a gap', () => {
    const db = openNew();
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: migrationFiles.length });
    const numbers = migrationFiles.map((name) => Number(name.slice(0, 4)));
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });
});

describe('opening', () => {
  it('sets every connection to what the promises need', () => {
    const db = openNew();
    const pragma = (name: string): unknown =>
      Object.values(db.prepare<object>(`PRAGMA ${name}`).get() ?? {})[0];
    expect({
      journal: pragma('journal_mode'),
      synchronous: pragma('synchronous'),
      foreignKeys: pragma('foreign_keys'),
      busy: pragma('busy_timeout'),
    }).toEqual({ journal: 'wal', synchronous: 2, foreignKeys: 1, busy: 15_000 });
  });

  it('keeps what was written before', () => {
    addProject(openNew(), 'first');
    expect(names(openNew())).toEqual(['first']);
  });

  it('does not create a file unless told to', () => {
    expect(() => openDatabase(file, { create: false })).toThrow(
      expect.objectContaining({
        code: 'STORAGE_UNAVAILABLE',
        message: "The project's database cannot be opened.",
      }),
    );
  });

  it('refuses a schema newer than it knows and leaves the file as it is', () => {
    openNew().prepare('PRAGMA user_version = 999').run();
    const before = readFileSync(file);
    expect(() => openDatabase(file, { create: false })).toThrow(
      expect.objectContaining({
        code: 'CONFLICT',
        message: `This project was last used by a newer Goldfish (schema 999; this program knows ${migrationFiles.length}).`,
        hint: 'Use the newer Goldfish for this project.',
      }),
    );
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it.each([
    [
      'is no database',
      () => writeFileSync(file, 'not a database, but long enough to be looked at '.repeat(100)),
    ],
    [
      'was cut off',
      () => {
        openNew().close();
        open.length = 0;
        truncateSync(file, 8_192);
      },
    ],
  ])('says that a file is damaged that %s', (_, damage) => {
    damage();
    expect(() => openDatabase(file, { create: false }).prepare('SELECT * FROM audit').all()).toThrow(
      expect.objectContaining({
        code: 'STORAGE_UNAVAILABLE',
        message: "The project's database is damaged.",
      }),
    );
  });

  it('says in the words of the project that a folder stands in its place', () => {
    mkdirSync(file);
    expect(() => openDatabase(file, { create: true })).toThrow(
      expect.objectContaining({ code: 'STORAGE_UNAVAILABLE' }),
    );
  });

  it('opens a file it may only read, and says so when something is to be written', async () => {
    openNew().close();
    open.length = 0;
    chmodSync(file, 0o400);
    await asOrdinaryUser([folder, file], () => {
      const db = openDatabase(file, { create: false });
      open.push(db);
      expect(names(db)).toEqual([]);
      expect(() => db.write(() => addProject(db, 'new'))).toThrow(
        expect.objectContaining({
          code: 'STORAGE_UNAVAILABLE',
          message: "The project's database cannot be written.",
        }),
      );
    });
  });
});

describe('a write', () => {
  it('happens whole or not at all', () => {
    const db = openNew();
    expect(() =>
      db.write(() => {
        addProject(db, 'lost');
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(names(db)).toEqual([]);
  });

  it('is refused where a newer program has brought the schema up to date since it was opened', () => {
    const db = openNew();
    addProject(db, 'before');
    const newer = new Database(file);
    newer.pragma('user_version = 999');
    newer.close();
    const write = () => db.write(() => db.prepare('UPDATE project SET name = ?').run('after'));
    expect(write).toThrow(
      expect.objectContaining({ code: 'CONFLICT', hint: expect.stringContaining('newer') }),
    );
    expect(names(db)).toEqual(['before']);
  });

  it('joins the write around it', () => {
    const db = openNew();
    expect(() =>
      db.write(() => {
        db.write(() => addProject(db, 'lost'));
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(names(db)).toEqual([]);
  });

  it('answers with what its work answers, and tells how many rows changed', () => {
    const db = openNew();
    addProject(db, 'one');
    const change = db.prepare('UPDATE project SET name = ?');
    expect(db.write(() => [change.run('two'), change.run('three')])).toEqual([1, 1]);
  });

  it('is refused where it would break a reference', () => {
    const db = openNew();
    const orphan = "INSERT INTO slots (name, workspace_name) VALUES ('w1', 'nobody')";
    expect(() => db.prepare(orphan).run()).toThrow('FOREIGN KEY');
  });

  it('cannot wait for anything, so that it stays short', () => {
    const db = openNew();
    expect(() => db.write(async () => addProject(db, 'late'))).toThrow('promise');
    expect(names(db)).toEqual([]);
  });
});

it('reads several things as of one moment', () => {
  const db = openNew();
  const other = openNew();
  addProject(db, 'before');
  const seen = db.read(() => {
    const first = names(db);
    other.prepare('UPDATE project SET name = ?').run('after');
    return [...first, ...names(db)];
  });
  expect(seen).toEqual(['before', 'before']);
  expect(names(db)).toEqual(['after']);
});
