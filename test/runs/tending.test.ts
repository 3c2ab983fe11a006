import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { projectLayout } from '../../src/core/layout.ts';
import { bootId, processStart } from '../../src/os/process-identity.ts';
import { projectMark } from '../../src/os/project-mark.ts';
import { createTending, type Tending } from '../../src/runs/tending.ts';
import { type Db, openDatabase } from '../../src/store/database.ts';
import { takeLease } from '../../src/store/lease.ts';
import { addWorker } from '../../src/store/workers.ts';
import { createTestClock } from '../support/test-clock.ts';

const NAME = 'GOLDFISH_TEST_PROJECT';
const NOT_SET = `gce.project_id names ${NAME}, which is not set`;
const START_ONE = 'Run "goldfish supervisor" where it is set right: it takes over.';

let root: string;
let db: Db;
let others: ChildProcess[];
const { clock } = createTestClock();

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'goldfish-tending-'));
  const { stateDir, database } = projectLayout(root);
  mkdirSync(stateDir);
  db = openDatabase(database, { create: true });
  others = [];
});
afterEach(() => {
  for (const other of others) other.kill('SIGKILL');
  db.close();
  rmSync(root, { recursive: true, force: true });
});

/** As a process sees it whose environment lacks what the settings name, or has it. */
function seenBy({ has = false, isAtWork = false, at = root } = {}): Tending {
  const references = [{ key: 'gce.project_id', name: NAME }] as const;
  const settings = has ? { references } : { references, problem: NOT_SET };
  return createTending({ backend: 'gce', settings, db, clock, layout: projectLayout(at), isAtWork });
}

/** Another process that lives, with this in its environment. */
function start(environment: Record<string, string>): number {
  const other = spawn('sleep', ['60'], { env: environment, stdio: 'ignore' });
  others.push(other);
  return other.pid ?? 0;
}

function hold(pid: number): void {
  const holder = { pid, start: processStart(pid) ?? '', bootId: bootId(), version: '0.0.0', socket: '' };
  takeLease(db, { holder, at: isoTime(clock.now()), mayTake: () => true });
}

function rent(): void {
  const job = { runId: 'stage-000001', attempt: 1 };
  const at = isoTime(clock.now());
  addWorker(db, { id: 'goldfish-00000000000a', pooled: true, profile: 'cpu-small', shape: 's', job, at });
}

describe('looking after rented machines', () => {
  it('is due while there may be one', () => {
    const tending = seenBy();
    expect(tending.isDue()).toBe(false);
    rent();
    expect(tending.isDue()).toBe(true);
  });

  it('is possible for whoever finds what the settings name, in its environment or in .env', () => {
    const [with_, without] = [start({ [NAME]: 'my-project' }), start({ OTHER: 'x' })];
    const tending = seenBy();
    expect([tending.isPossible(), seenBy({ has: true }).isPossible()]).toEqual([false, true]);
    expect([with_, without].map((pid) => tending.isPossible(pid))).toEqual([true, false]);
    expect(tending.isPossible(start({ [NAME]: 'Not a project' }))).toBe(false);
    // Nobody of that pid.
    expect(tending.isPossible(2 ** 30)).toBeUndefined();
    writeFileSync(join(root, '.env'), `${NAME}=my-project\n`, { mode: 0o600 });
    expect(tending.isPossible(without)).toBe(true);
  });

  it('is kept from a supervisor that was started without it, whatever others have', async () => {
    hold(start({}));
    rent();
    const tending = seenBy({ has: true });
    expect([tending.obstacle('gce'), tending.obstacle('process')]).toEqual([
      `backend gce: ${NOT_SET} where the supervisor was started`,
      null,
    ]);
    expect(await tending.neglect()).toEqual({
      message: `Nobody looks after rented machines: ${NOT_SET} where the supervisor was started.`,
      hint: START_ONE,
    });
  });

  it('is done by a supervisor that has it, whatever others lack', async () => {
    hold(start({ [NAME]: 'my-project' }));
    rent();
    const tending = seenBy();
    expect([tending.obstacle('gce'), await tending.neglect()]).toEqual([null, null]);
  });

  it('is done by nobody where none is at work and the next would lack it', async () => {
    const tending = seenBy();
    expect(await tending.neglect()).toBeNull();
    rent();
    expect(tending.obstacle('gce')).toBe(`backend gce: ${NOT_SET}`);
    expect(await tending.neglect()).toEqual({
      message: `Nobody looks after rented machines: ${NOT_SET}.`,
      hint: START_ONE,
    });
  });

  it('is judged by a supervisor by what it has read', () => {
    writeFileSync(join(root, '.env'), `${NAME}=my-project\n`, { mode: 0o600 });
    hold(process.pid);
    expect(seenBy({ isAtWork: true }).obstacle('gce')).toBe(
      `backend gce: ${NOT_SET} where the supervisor was started`,
    );
    expect(seenBy({ isAtWork: true, has: true }).obstacle('gce')).toBeNull();
  });

  it('is done by nobody in a copy of the project, whose machines they may not be', async () => {
    await projectMark(projectLayout(root), { hasMachines: () => true });
    rent();
    const copy = `${root}-copy`;
    try {
      cpSync(root, copy, { recursive: true });
      expect(await seenBy({ has: true }).neglect()).toBeNull();
      expect(await seenBy({ has: true, at: copy }).neglect()).toEqual({
        message: expect.stringMatching(/^The state folder is not the one from which machines were rented/),
        hint: expect.stringMatching(/^If this is a copy, remove the file "project-mark"/),
      });
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });
});
