import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { withLock } from '../../../src/store/lock.ts';

const SOURCE = new URL('../../../src/', import.meta.url).href;
const INSERT = `db.prepare('INSERT INTO audit (operation, actor, outcome, details_json, created_at) VALUES (?, ?, ?, ?, ?)')`;
let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'goldfish-processes-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  rmSync(folder, { recursive: true, force: true });
});

type Program = {
  said: (word: string) => Promise<void>;
  tell: (word: string) => void;
  ended: Promise<string>;
};

/** Runs a program of our own in another process; it talks in lines. */
function start(code: string): Program {
  const program = `
    import { createInterface } from 'node:readline';
    import { openDatabase } from '${SOURCE}store/database.ts';
    import { withLock } from '${SOURCE}store/lock.ts';
    import { systemClock } from '${SOURCE}core/clock.ts';
    const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    const hear = () => lines.next();
    const say = (word) => process.stdout.write(word + '\\n');
    ${code}
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const ended = once(child, 'close').then(() => output);
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    child.emit('said');
  });
  const said = async (word: string): Promise<void> => {
    while (!output.split('\n').includes(word)) {
      await Promise.race([once(child, 'said'), ended]);
      if (child.exitCode !== null && !output.split('\n').includes(word)) throw new Error(output);
    }
  };
  return { said, tell: (word) => child.stdin.write(`${word}\n`), ended };
}

describe('a new database opened by several processes at once', () => {
  it('is built once and usable by all of them', async () => {
    const rounds = 80;
    const programs = Array.from({ length: 3 }, () =>
      start(`
        say('ready');
        const start = Number((await hear()).value);
        for (let i = 0; i < ${rounds}; i += 1) {
          // All at the same moment, as far as the machine allows.
          while (Date.now() < start + i * 20);
          const db = openDatabase(${JSON.stringify(folder)} + '/' + i + '.db', { create: true });
          db.write(() => ${INSERT}.run(String(process.pid), 'a', 'ok', '{}', ''));
          db.close();
        }
        say('done');`),
    );
    await Promise.all(programs.map((program) => program.said('ready')));
    for (const program of programs) program.tell(`${systemClock.now() + 100}`);
    expect(await Promise.all(programs.map((program) => program.ended))).toEqual(
      programs.map(() => 'ready\ndone\n'),
    );
    for (let i = 0; i < rounds; i += 1) {
      const db = openDatabase(join(folder, `${i}.db`), { create: false });
      expect(db.prepare('SELECT count(DISTINCT operation) AS writers FROM audit').get()).toEqual({
        writers: 3,
      });
      db.close();
    }
  });

  it('loses no write of processes that write at the same time', async () => {
    const file = join(folder, 'goldfish.db');
    openDatabase(file, { create: true }).close();
    const programs = Array.from({ length: 3 }, () =>
      start(`
        const db = openDatabase(${JSON.stringify(file)}, { create: false });
        const read = db.prepare('SELECT token FROM supervisor_lease');
        for (let i = 0; i < 50; i += 1) db.write(() => {
          const token = (read.get()?.token ?? 0) + 1;
          db.prepare('INSERT INTO supervisor_lease (id, token) VALUES (1, ?) ON CONFLICT DO UPDATE SET token = excluded.token').run(token);
        });
        say('done');`),
    );
    await Promise.all(programs.map((program) => program.said('done')));
    const db = openDatabase(file, { create: false });
    expect(db.prepare('SELECT token FROM supervisor_lease').get()).toEqual({ token: 150 });
    db.close();
  });

  it('keeps a committed write of a process that was killed right after, and nothing of an open one', async () => {
    const file = join(folder, 'goldfish.db');
    const program = start(`
      const db = openDatabase(${JSON.stringify(file)}, { create: true });
      db.write(() => ${INSERT}.run('committed', 'a', 'ok', '{}', ''));
      db.write(() => { ${INSERT}.run('open', 'a', 'ok', '{}', ''); process.kill(process.pid, 'SIGKILL'); while (true); });`);
    await program.ended;
    const db = openDatabase(file, { create: false });
    expect(db.prepare('SELECT operation FROM audit').all()).toEqual([{ operation: 'committed' }]);
    db.close();
  });
});

describe('a lock held by another process', () => {
  const options = { clock: systemClock, what: 'slot w1' };
  const holder = (file: string): Program =>
    start(`
      await withLock(${JSON.stringify(file)}, { clock: systemClock, what: 'x' }, async () => {
        say('held');
        await hear();
      });
      say('free');
      await hear();`);

  it('keeps others out until it is released', async () => {
    const file = join(folder, 'w1.lock');
    const other = holder(file);
    await other.said('held');
    await expect(withLock(file, { ...options, waitMs: 50 }, async () => 'in')).rejects.toMatchObject({
      code: 'CONFLICT',
      retryable: true,
    });
    const waiting = withLock(file, options, async () => 'in');
    other.tell('release');
    await other.said('free');
    expect(await waiting).toBe('in');
  });

  it('is free once its holder was killed', async () => {
    const file = join(folder, 'w1.lock');
    const other = holder(file);
    await other.said('held');
    const waiting = withLock(file, options, async () => 'in');
    children[0]?.kill('SIGKILL');
    expect(await waiting).toBe('in');
  });
});
