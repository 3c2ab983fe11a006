import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { openDatabase } from '../../../src/store/database.ts';
import {
  allRows,
  EARLIER_SCHEMAS,
  makeEarlierDatabase,
  NEWEST_SCHEMA,
  schemaOf,
} from '../../support/earlier-project.ts';

const SOURCE = new URL('../../../src/', import.meta.url).href;

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-upgrade-'));
  file = join(folder, 'goldfish.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const program = (code: string): string[] => [
  '--input-type=module',
  '-e',
  `import { openDatabase } from '${SOURCE}store/database.ts';\n${code}`,
];

describe.each(EARLIER_SCHEMAS)('a database of schema %i', (schema) => {
  it('is brought up to date once by three processes that open it at the same moment', async () => {
    const rounds = 15;
    const place = (round: number): string => join(folder, `${round}.db`);
    for (let round = 0; round < rounds; round += 1) makeEarlierDatabase(place(round), { schema });
    const start = systemClock.now() + 2_000;
    const code = `
      for (let round = 0; round < ${rounds}; round += 1) {
        // All at the same moment, as far as the machine allows.
        while (Date.now() < ${start} + round * 30);
        const db = openDatabase(${JSON.stringify(folder)} + '/' + round + '.db', { create: false });
        db.write(() => db.prepare("INSERT INTO thoughts VALUES (?, NULL, NULL, 'was here', 'a', '2026')").run(String(process.pid)));
        db.close();
      }`;
    const opened = await Promise.all(
      [1, 2, 3].map(async () => {
        const child = spawn(process.execPath, program(code), { stdio: ['ignore', 'ignore', 'pipe'] });
        let said = '';
        child.stderr.on('data', (chunk: Buffer) => {
          said += chunk.toString();
        });
        const [exitCode] = await once(child, 'close');
        return { exitCode, said };
      }),
    );
    expect(opened).toEqual(opened.map(() => ({ exitCode: 0, said: '' })));
    makeEarlierDatabase(file, { schema });
    openDatabase(file, { create: false }).close();
    for (let round = 0; round < rounds; round += 1) {
      expect(schemaOf(place(round))).toEqual(schemaOf(file));
      const written = allRows(place(round))
        .get('thoughts')
        ?.filter((row) => row['thought'] === 'was here');
      expect(written).toHaveLength(3);
    }
  });

  /** Kills itself at a step of its migration: `statement` of the n-th file, the number written, all of it committed. */
  const killedAt = (point: { file: number } | 'numbered' | 'committed'): NodeJS.Signals | null => {
    const code = `
      import { createRequire } from 'node:module';
      const { prototype } = createRequire('${SOURCE}store/database.ts')('better-sqlite3');
      const point = ${JSON.stringify(point)};
      const die = () => process.kill(process.pid, 'SIGKILL');
      const { exec, pragma } = prototype;
      let files = 0;
      prototype.exec = function (sql) {
        if (++files !== point.file) return exec.call(this, sql);
        // Half of it: up to the first statement.
        exec.call(this, sql.slice(0, sql.indexOf(';', sql.search(/^(CREATE|ALTER|UPDATE|INSERT)/m)) + 1));
        die();
      };
      prototype.pragma = function (text, options) {
        const result = pragma.call(this, text, options);
        if (point === 'numbered' && text.startsWith('user_version =')) die();
        return result;
      };
      openDatabase(${JSON.stringify(file)}, { create: false });
      if (point === 'committed') die();`;
    return spawnSync(process.execPath, program(code)).signal;
  };

  it('is left as it was by a kill at any step of its migration, and new by one that comes after', () => {
    makeEarlierDatabase(file, { schema });
    const [old, rows] = [schemaOf(file), allRows(file)];
    expect(old.version).toBe(schema);
    const files = EARLIER_SCHEMAS.filter((number) => number >= schema).length;
    for (const point of [
      ...Array.from({ length: files }, (_, n) => ({ file: n + 1 })),
      'numbered' as const,
    ]) {
      expect({ point, signal: killedAt(point) }).toEqual({ point, signal: 'SIGKILL' });
      expect({ point, ...schemaOf(file) }).toEqual({ point, ...old });
      expect(allRows(file)).toEqual(rows);
    }
    expect(killedAt('committed')).toBe('SIGKILL');
    expect(schemaOf(file).version).toBe(NEWEST_SCHEMA);
    openDatabase(file, { create: false }).close();
    for (const [table, before] of rows) {
      expect(allRows(file).get(table), table).toMatchObject(before);
    }
  });
});
