import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assetPath } from '../../../src/core/assets.ts';
import { systemClock } from '../../../src/core/clock.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { connectStdio } from '../../../src/mcp/client.ts';
import { until } from '../../integration/until.ts';
import { readTold } from '../kit/executions.ts';
import { copyFaultProject, type FaultProject, type Server } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { calm, createTellingProject, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { isAliveNow, sendSignal } from './processes.ts';
import { notAnswered, otherRefusal, refusalOf } from './refusal.ts';

const REASON = 'A fault of the database';
/** Longer than a writer waits, also in the short form. */
const LOCKED_S = LONG ? 35 : 17;
const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const MOUNTS = canMount ? '' : ' (needs the right to mount: run as root)';

const BUSY = {
  code: 'CONFLICT',
  message: 'Another process kept the project busy for too long.',
  hint: 'Repeat the call in a few seconds.',
  retryable: true,
};
const DAMAGED = {
  code: 'STORAGE_UNAVAILABLE',
  message: "The project's database is damaged.",
  hint: 'Stop everything that uses the project, then restore a backup beside it: goldfish restore BACKUP --into FOLDER.',
};
const NOT_WRITTEN = {
  code: 'STORAGE_UNAVAILABLE',
  message: "The project's database cannot be written.",
  hint: 'Check that the disk is not full and that .goldfish is writable by this user.',
};
const READ_ONLY = {
  code: 'STORAGE_UNAVAILABLE',
  message: 'The disk under the project can only be read.',
  hint: 'Mount it so that it can be written; until then goldfish serve --read-only reads what is there.',
};

let project: FaultProject;
let server: Server;
let runId: string;
let backup: string;

async function submit(config: JsonObject): Promise<string> {
  const answer = await server.call('run', {
    workspace: WORKSPACE,
    reason: REASON,
    config_override: { one: { ...ledgerOf(project, 'process'), ...config } },
  });
  return String((answer['runs'] as JsonObject[])[0]?.['run_id']);
}

/** Another program holds the database, without an end in sight. */
function holdDatabase(): { release(): void } {
  const db = new Database(project.layout.database);
  db.exec('BEGIN IMMEDIATE');
  return {
    release: () => {
      db.exec('COMMIT');
      db.close();
    },
  };
}

beforeAll(async () => {
  ({ project, server } = await createTellingProject({ backend: 'process', stages: ['one'] }));
  runId = await submit({ batch: 1 });
  await calm(project);
  const made = await server.call('backup', { action: 'create' });
  backup = join(project.root, String((made['backup'] as JsonObject)['folder']));
});
afterAll(async () => {
  await server.close();
  await project.dispose();
});

it(`ends its work right where another program holds the database for ${LOCKED_S} s`, async () => {
  const tally = createTally();
  const gate = join(project.outside, 'gate');
  const id = await submit({ batch: 2, gate });
  const told = (word: string): boolean =>
    readTold(project).some((line) => line.word === word && line.runId === id);
  await until(() => told('begin'), 'the begin of the program');
  const reader = await project.server();
  await reader.call('list_runs', {});
  const held = holdDatabase();
  const lockedAt = systemClock.monotonic();
  try {
    writeFileSync(gate, '');
    const thought = refusalOf(server, 'log_thought', { thought: 'Nobody can write this down now' });
    const { state } = await reader.call('inspect_run', { run_id: runId });
    tally.count('clear-refusal', state === 'completed' ? undefined : `read as ${state} beside a writer`);
    tally.count('clear-refusal', otherRefusal(await thought, BUSY));
    await until(() => told('end'), 'the end of the program');
    const left = LOCKED_S * 1000 - (systemClock.monotonic() - lockedAt);
    await until(() => systemClock.monotonic() - lockedAt >= LOCKED_S * 1000, 'the time', left / 1000 + 5);
  } finally {
    held.release();
  }
  await calm(project);
  const run = await reader.call('inspect_run', { run_id: id, include: ['events'] });
  const ends = (run['events'] as JsonObject[]).filter(({ event }) => event === 'complete');
  tally.count('right-end', run['cause'] === 'success' && ends.length === 1 ? undefined : `${run['cause']}`);
  const times = readTold(project).filter((line) => line.word === 'begin' && line.runId === id).length;
  tally.count('once', times === 1 ? undefined : `${times} executions`);
  tally.count('clear-refusal', notAnswered(await refusalOf(server, 'log_thought', { thought: 'Now' })));
  await reader.close();
  tally.state({ fault: `database held by another program for ${LOCKED_S} s`, backend: 'process' });
});

/** A copy of the project whose programs have ended and whose database lies in one file. */
async function stillCopy(): Promise<FaultProject> {
  await until(() => project.leaseHolder() === undefined, 'the end of an idle supervisor', 60);
  const db = new Database(project.layout.database);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  return copyFaultProject(project);
}

async function inCopy(work: (copy: FaultProject, good: string) => Promise<void>): Promise<void> {
  const copy = await stillCopy();
  const good = join(copy.outside, 'good.db');
  copyFileSync(copy.layout.database, good);
  try {
    await work(copy, good);
  } finally {
    await copy.endPrograms('SIGKILL').catch(() => undefined);
    for (const end of ['-wal', '-shm']) rmSync(copy.layout.database + end, { force: true });
    copyFileSync(good, copy.layout.database);
    await copy.dispose();
  }
}

/** The page where a table begins. */
function spoilTable(file: string): void {
  const db = new Database(file, { readonly: true });
  const page = Number(db.pragma('page_size', { simple: true }));
  const row = db.prepare("SELECT rootpage FROM sqlite_master WHERE name = 'stage_runs'").get();
  db.close();
  // In place: others may have the file open.
  const descriptor = openSync(file, 'r+');
  writeSync(
    descriptor,
    Buffer.alloc(page, 0xa5),
    0,
    page,
    (Number((row as JsonObject)['rootpage']) - 1) * page,
  );
  closeSync(descriptor);
}

const DAMAGES: [string, (file: string) => void][] = [
  ['whose first bytes are others', (file) => writeFileSync(file, readFileSync(file).fill(0xa5, 0, 100))],
  ['of which a page in the middle is others', spoilTable],
  ['that is cut off', (file) => truncateSync(file, 3 * 4096 + 100)],
  [
    'beside whose log of writes lies garbage',
    (file) => writeFileSync(`${file}-wal`, Buffer.alloc(40_000, 0xa5)),
  ],
];

it.each(DAMAGES)('refuses a database %s, and says how a backup is restored', async (what, spoil) => {
  const tally = createTally();
  await inCopy(async (copy) => {
    spoil(copy.layout.database);
    const damaged = readFileSync(copy.layout.database);
    const beside = await copy.server();
    const refused = [
      await refusalOf(beside, 'inspect_run', { run_id: runId }),
      await refusalOf(beside, 'run', { workspace: WORKSPACE, reason: REASON }),
      await refusalOf(beside, 'list_runs', {}),
    ];
    for (const refusal of refused) tally.count('clear-refusal', otherRefusal(refusal, DAMAGED));
    await beside.close();
    // One that is damaged within is only noticed where it is read.
    const isSame = spoil === spoilTable || readFileSync(copy.layout.database).equals(damaged);
    tally.count('clear-refusal', isSame ? undefined : 'the damaged file was changed');
    tally.count('clear-refusal', await restoredBeside(copy));
  });
  tally.state({ fault: `database ${what}` });
});

it('refuses a database that is damaged under a run at work, whose program ends by itself, and is restored beside it', async () => {
  const tally = createTally();
  await inCopy(async (copy) => {
    const gate = join(copy.outside, 'gate');
    const beside = await copy.server();
    const answer = await beside.call('run', {
      workspace: WORKSPACE,
      reason: REASON,
      config_override: { one: { ...ledgerOf(copy, 'process'), batch: 3, gate } },
    });
    const id = String((answer['runs'] as JsonObject[])[0]?.['run_id']);
    await until(() => readTold(copy).some((line) => line.runId === id), 'the begin of the program', 60);
    const supervisor = copy.leaseHolder() ?? 0;
    await emptyLog(copy.layout.database);
    spoilTable(copy.layout.database);
    // They may have read the page a moment ago; somebody else's write makes them read it again.
    let refusal: JsonObject | undefined;
    await until(async () => {
      refusal = await refusalOf(beside, 'inspect_run', { run_id: id });
      return refusal !== undefined;
    }, 'a refusal');
    tally.count('clear-refusal', otherRefusal(refusal, DAMAGED));
    const more = await refusalOf(beside, 'run', { workspace: WORKSPACE, reason: REASON });
    tally.count('clear-refusal', otherRefusal(more, DAMAGED));
    writeFileSync(gate, '');
    const { result } = copy.layout.attempt(id, 1);
    await until(() => existsSync(result), 'the result of the program');
    const { exitCode } = JSON.parse(readFileSync(result, 'utf8')) as { exitCode: number };
    tally.count('clear-refusal', exitCode === 0 ? undefined : `the program ended with ${exitCode}`);
    await beside.close();
    sendSignal(supervisor, 'SIGTERM');
    await until(() => !isAliveNow(supervisor), 'the end of the supervisor', 60);
    tally.count('clear-refusal', await restoredBeside(copy));
  });
  tally.state({ fault: 'database of which a page becomes others under a run at work' });
});

/** All that was written stands in the file itself then. Others may be at work: the log is empty for a moment. */
async function emptyLog(file: string): Promise<void> {
  const db = new Database(file);
  const isEmpty = (): boolean => {
    const [row] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    return row?.busy === 0;
  };
  await until(isEmpty, 'an empty log of writes');
  db.close();
}

/** Does what the refusal says, and reads the run and its output there. */
async function restoredBeside(copy: FaultProject): Promise<string | undefined> {
  const into = join(copy.outside, 'restored');
  execFileSync(process.execPath, [assetPath('bin/goldfish.js'), 'restore', backup, '--into', into], {
    stdio: 'pipe',
  });
  const client = await connectStdio({
    command: process.execPath,
    args: [assetPath('bin/goldfish.js'), 'serve'],
    cwd: into,
  });
  try {
    const run = await client.call('inspect_run', { run_id: runId, include: ['outputs'] });
    const outputs = run['outputs'] as { path: string }[];
    const are = outputs.filter(({ path }) => existsSync(join(into, path)));
    return run['state'] === 'completed' && are.length === 2
      ? undefined
      : `restored as ${JSON.stringify(run)}`;
  } finally {
    await client.close();
  }
}

describe.skipIf(!canMount)('a project that cannot be written', () => {
  it.each([
    ['file', NOT_WRITTEN, (copy: FaultProject) => copy.layout.database],
    ['file system', READ_ONLY, (copy: FaultProject) => copy.layout.stateDir],
  ])(
    `says so where its database is on a read-only %s, and goes on afterwards${MOUNTS}`,
    async (what, expected, place) => {
      const tally = createTally();
      await inCopy(async (copy) => {
        const path = place(copy);
        execFileSync('mount', ['--bind', path, path]);
        try {
          execFileSync('mount', ['-o', 'remount,bind,ro', path]);
          const beside = await copy.server();
          const refusal = await refusalOf(beside, 'run', { workspace: WORKSPACE, reason: REASON });
          tally.count('clear-refusal', otherRefusal(refusal, expected));
          tally.count('clear-refusal', notAnswered(await refusalOf(beside, 'list_runs', {})));
          await beside.close();
        } finally {
          await copy.endPrograms('SIGKILL');
          execFileSync('umount', ['--lazy', path]);
        }
        const after = await copy.server();
        const { state } = await after.call('inspect_run', { run_id: runId });
        tally.count('clear-refusal', state === 'completed' ? undefined : `afterwards it is ${state}`);
        const more = await after.call('log_thought', { thought: 'It can be written again' });
        tally.count('clear-refusal', more['thought_id'] === undefined ? 'nothing is written' : undefined);
        await after.close();
      });
      tally.state({ fault: `database on a read-only ${what}` });
    },
  );
});

it('leaves nothing behind', async () => {
  await server.close();
  await project.endPrograms('SIGTERM');
  expect(await leftovers(project.place())).toEqual([]);
});
