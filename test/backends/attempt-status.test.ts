import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { attemptStatus } from '../../src/backends/attempt-status.ts';
import type { RunHandle } from '../../src/backends/port.ts';
import { assetPath } from '../../src/core/assets.ts';
import { type Layout, projectLayout } from '../../src/core/layout.ts';
import { currentProcess } from '../../src/os/process-identity.ts';

let root: string;
let layout: Layout;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-status-'));
  layout = projectLayout(root);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const handle: RunHandle = {
  backend: 'process',
  runId: 'train-0123456789ab',
  attempt: 1,
  externalId: 'x',
  data: {},
};

/** An attempt whose wrapper is this very process, or one that is dead. */
async function attempt({ alive }: { alive: boolean }): Promise<string> {
  const folders = layout.attempt(handle.runId, handle.attempt);
  await mkdir(folders.dir, { recursive: true });
  const identity = alive ? currentProcess() : { ...currentProcess(), start: '1' };
  await writeFile(
    folders.wrapper,
    JSON.stringify({ ...identity, startedAt: '2026-11-21T22:00:00.123Z', ranks: [] }),
  );
  return folders.result;
}

it('is unknown where the disk fails to give the result document, whether the wrapper lives or not', async () => {
  for (const alive of [true, false]) {
    const result = await attempt({ alive });
    // Reading a process's memory at 0 is an input/output error.
    await symlink('/proc/self/mem', result);
    expect(await attemptStatus(layout, handle)).toMatchObject({
      phase: 'unknown',
      result: null,
      error: 'The result document cannot be read (EIO).',
    });
    await rm(result);
  }
});

it('goes on running while the wrapper lives, whatever stands where its result will be', async () => {
  const result = await attempt({ alive: true });
  await writeFile(result, 'garbage');
  expect(await attemptStatus(layout, handle)).toMatchObject({ phase: 'running', result: null });
  await rm(result);
  await mkdir(result);
  expect(await attemptStatus(layout, handle)).toMatchObject({ phase: 'running', result: null });
});

it('has ended without a readable result where the wrapper is dead', async () => {
  const result = await attempt({ alive: false });
  await writeFile(result, 'garbage');
  expect(await attemptStatus(layout, handle)).toMatchObject({ phase: 'exited', result: { kind: 'garbled' } });
  await rm(result);
  await mkdir(result);
  expect(await attemptStatus(layout, handle)).toMatchObject({
    phase: 'exited',
    result: { kind: 'unreadable' },
  });
});

/** Looks at 400 attempts at once in a process that may have 60 files open. */
const MANY = `
import { attemptStatus } from ${JSON.stringify(assetPath('src/backends/attempt-status.ts'))};
import { projectLayout } from ${JSON.stringify(assetPath('src/core/layout.ts'))};
const [root, handle] = JSON.parse(process.argv[1]);
const layout = projectLayout(root);
const all = await Promise.all(Array.from({ length: 400 }, () => attemptStatus(layout, handle)));
console.log([...new Set(all.map(({ phase, error }) => phase + ' ' + error))].join());
`;
const prlimit = spawnSync('prlimit', ['--version']).status === 0;

it.skipIf(!prlimit)(
  `can be asked of hundreds of attempts with few open files${prlimit ? '' : ' (needs prlimit: apt-get install util-linux)'}`,
  async () => {
    await attempt({ alive: true });
    const argument = JSON.stringify([root, handle]);
    const answer = spawnSync(
      'prlimit',
      ['--nofile=60', process.execPath, '--input-type=module', '-e', MANY, argument],
      { encoding: 'utf8' },
    );
    expect(answer.stdout.trim()).toBe('running null');
  },
);
