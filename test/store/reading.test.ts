import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { insertAudit, listAudit } from '../../src/store/audit.ts';
import { openDatabase, openDatabaseForReading } from '../../src/store/database.ts';
import { countProject } from '../../src/store/overview.ts';
import { insertThought, listThoughts } from '../../src/store/thoughts.ts';
import { errorOf } from '../support/workspaces-project.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-reading-'));
  file = join(folder, 'goldfish.db');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const AT = '2026-01-01T00:00:00.000Z';
const action = { operation: 'run', workspace: null, actor: 'a', reason: null, outcome: 'ok', details: {} };

describe('a database opened for reading', () => {
  it('reads what others write meanwhile, and can itself write nothing', async () => {
    const writer = openDatabase(file, { create: true });
    const reader = openDatabaseForReading(file);
    insertAudit(writer, { ...action, createdAt: AT });
    expect(listAudit(reader, { limit: 10 })).toHaveLength(1);
    expect(await errorOf(() => insertAudit(reader, { ...action, createdAt: AT }))).toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
    });
    expect(listAudit(writer, { limit: 10 })).toHaveLength(1);
    reader.close();
    writer.close();
  });

  it('that is not there yet reads as empty and is not made', () => {
    const reader = openDatabaseForReading(file);
    expect(countProject(reader)).toMatchObject({ workspaces: 0, runs: 0 });
    reader.close();
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    [1, 'This project was last used by an older Goldfish', 'Use it once without read-only'],
    [99, 'This project was last used by a newer Goldfish', 'Use the newer Goldfish'],
  ])('of schema %i is refused with what to do about it', async (schema, message, hint) => {
    openDatabase(file, { create: true }).close();
    const raw = new Database(file);
    raw.pragma(`user_version = ${schema}`);
    raw.close();
    expect(await errorOf(() => openDatabaseForReading(file))).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    });
  });
});

describe('the audit', () => {
  it('is read by workspace, operation and time, newest first, behind any row', () => {
    const db = openDatabase(file, { create: true });
    for (const [n, operation] of ['run', 'tag', 'run', 'mount'].entries()) {
      const workspace = n === 3 ? 'b' : 'a';
      insertAudit(db, { ...action, operation, workspace, createdAt: `2026-01-0${n + 1}T00:00:00.000Z` });
    }
    const ids = (filter: object) => listAudit(db, { limit: 10, ...filter }).map((row) => row.id);
    expect(ids({})).toEqual([4, 3, 2, 1]);
    expect(ids({ workspace: 'a', operation: 'run' })).toEqual([3, 1]);
    expect(ids({ since: '2026-01-03T00:00:00.000Z' })).toEqual([4, 3]);
    expect(ids({ before: 3 })).toEqual([2, 1]);
    expect(ids({ limit: 1 })).toEqual([4]);
    db.close();
  });
});

describe('thoughts', () => {
  it('are kept by workspace, newest first, also where they are of the project only', () => {
    const db = openDatabase(file, { create: true });
    const thought = { workspace: null, runId: null, thought: 't', actor: 'a', createdAt: AT };
    insertThought(db, { ...thought, id: '01A' });
    insertThought(db, { ...thought, id: '01B', thought: 'second' });
    expect(listThoughts(db, { workspace: 'a', limit: 10 })).toEqual([]);
    expect(db.prepare('SELECT count(*) AS n FROM thoughts').get()).toEqual({ n: 2 });
    db.close();
  });
});
