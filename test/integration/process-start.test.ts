import { chmod, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RunSpec } from '../../src/backends/port.ts';
import { startAttempt } from '../../src/backends/start-wrapper.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { findProcesses, until } from '../contracts/backend-harness.ts';

let h: Harness;
let home: string;
beforeEach(async () => {
  h = await openHarness('none');
  home = await realpath(await mkdtemp(join(tmpdir(), 'goldfish-start-')));
});
afterEach(async () => {
  await h.close();
  await rm(home, { recursive: true, force: true });
});

/** An interpreter that hangs, as on a disk that does not answer; its helper is in the same process group. */
async function hangingPython(before = ''): Promise<string> {
  const file = join(home, 'python');
  await writeFile(file, `#!/bin/sh\n${before}sleep 300 & sleep 300\n`);
  await chmod(file, 0o755);
  return file;
}

async function start(spec: RunSpec, change: { python: string; clock?: Clock; signal?: AbortSignal }) {
  const { runId, attempt } = spec;
  const folders = h.layout.attempt(runId, attempt);
  await mkdir(folders.dir, { recursive: true });
  return startAttempt({
    clock: systemClock,
    spec,
    handle: { backend: 'process', runId, attempt, externalId: 'x', data: {} },
    folders,
    path: '/usr/bin:/bin',
    prepare: async () => [],
    ...change,
  });
}

const hanging = (): Promise<number[]> => findProcesses(join(home, 'python'));

it('gives up a wrapper that hangs before it took the job, and can be asked again', async () => {
  const spec = await h.spec();
  const sleep: Clock['sleep'] = async (ms, options) => {
    if (ms < 60_000) return systemClock.sleep(ms, options);
    await until(async () => (await hanging()).length > 0, 'it hangs');
  };
  const python = await hangingPython();
  await expect(start(spec, { python, clock: { ...systemClock, sleep } })).rejects.toMatchObject({
    code: 'BACKEND_UNAVAILABLE',
    retryable: true,
    message: 'The program that runs stages did not answer within 60 s.',
  });
  await until(async () => (await hanging()).length === 0, 'it is gone');
  expect(await readdir(h.layout.attempt(spec.runId, 1).dir)).not.toContain('started');
  const handle = await h.backend.launch(spec);
  await until(async () => (await h.backend.getStatus([handle]))[0]?.phase === 'exited', 'its end');
});

it('lets go of a wrapper that hangs when the caller gives up', async () => {
  const spec = await h.spec();
  const leaving = new AbortController();
  const launched = start(spec, { python: await hangingPython(), signal: leaving.signal });
  const refused = expect(launched).rejects.toMatchObject({ name: 'AbortError' });
  await until(async () => (await hanging()).length > 0, 'it hangs');
  leaving.abort();
  await refused;
  await until(async () => (await hanging()).length === 0, 'it is gone');
});

it('leaves a wrapper alone that has taken the job, although its answer does not come', async () => {
  const spec = await h.spec();
  const { dir } = h.layout.attempt(spec.runId, 1);
  const leaving = new AbortController();
  const python = await hangingPython(`: > '${dir}/started'\n`);
  const launched = start(spec, { python, signal: leaving.signal });
  const refused = expect(launched).rejects.toMatchObject({ name: 'AbortError' });
  await until(async () => (await readdir(dir)).includes('started'), 'it took the job');
  await until(async () => (await hanging()).length > 0, 'it hangs');
  leaving.abort();
  await refused;
  const [pid] = await hanging();
  expect(pid).toBeGreaterThan(1);
  process.kill(-pid!, 'SIGKILL');
});
