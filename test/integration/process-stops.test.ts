import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunHandle, StopReason } from '../../src/backends/port.ts';
import { cleanUpAttempt } from '../../src/backends/process/stop.ts';
import { stopAttempt } from '../../src/backends/stop-attempt.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { type Harness, openHarness } from '../backends/process-harness.ts';
import { endOf, findProcesses, statusOf, until } from '../contracts/backend-harness.ts';

const WAIT = 'echo > "$GOLDFISH_CONTROL/go"; sleep 300';

let h: Harness;
beforeEach(async () => {
  h = await openHarness('none');
});
afterEach(() => h.close());

/** A run whose wrapper was stopped (SIGSTOP) and hears nothing. */
async function startDeaf(): Promise<RunHandle> {
  const { handle } = await h.start({ command: ['/bin/sh', '-c', WAIT] });
  await h.ready(handle);
  await until(async () => (await statusOf(h.backend, handle)).phase === 'running', 'it runs');
  process.kill(await wrapperPid(handle), 'SIGSTOP');
  return handle;
}

async function wrapperPid(handle: RunHandle): Promise<number> {
  return JSON.parse(await readFile(h.layout.attempt(handle.runId, 1).wrapper, 'utf8')).pid;
}

async function request(handle: RunHandle): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(h.layout.attempt(handle.runId, 1).dir, 'stop-request.json'), 'utf8'));
}

type Life = { clock: Clock; waits: () => number; pass: (ms: number) => void; jump: (ms: number) => void };

/** A supervisor's life of its own: its clock, and a deaf wrapper's patience that never ends in it. */
function lifeAt(offsetMs: number): Life {
  let waits = 0;
  let passed = 0;
  let jumped = offsetMs;
  const clock: Clock = {
    now: () => systemClock.now() + jumped + passed,
    monotonic: () => systemClock.monotonic() + passed,
    sleep: () => {
      waits += 1;
      return new Promise(() => undefined);
    },
  };
  return {
    clock,
    waits: () => waits,
    pass: (ms) => {
      passed += ms;
    },
    jump: (ms) => {
      jumped += ms;
    },
  };
}

function ask(clock: Clock, handle: RunHandle, asked: { reason: StopReason; graceSeconds: number }) {
  const endAll = (): Promise<unknown> => h.another().cleanup(handle);
  return stopAttempt({ layout: h.layout, clock, endAll }, handle, asked);
}

describe('a stop that is asked for again', () => {
  it('keeps the time and the reason of the first request, and the shortest grace period', async () => {
    const handle = await startDeaf();
    await ask(lifeAt(0).clock, handle, { reason: 'timeout', graceSeconds: 20 });
    const first = await request(handle);
    expect(first).toMatchObject({ reason: 'timeout', graceSeconds: 20 });
    await ask(lifeAt(3_000).clock, handle, { reason: 'cancel', graceSeconds: 60 });
    expect(await request(handle)).toEqual(first);
    await ask(lifeAt(3_000).clock, handle, { reason: 'cancel', graceSeconds: 1 });
    expect(await request(handle)).toMatchObject({
      reason: 'timeout',
      graceSeconds: 1,
      requestedAt: first['requestedAt'],
    });
  });

  it('waits for a wrapper in one place only, however often it is asked in one life', async () => {
    const handle = await startDeaf();
    const life = lifeAt(0);
    for (let n = 0; n < 3; n += 1) await ask(life.clock, handle, { reason: 'cancel', graceSeconds: 20 });
    expect(life.waits()).toBe(1);
  });

  it.each(['timeout', 'heartbeat', 'cancel', 'monitor'] as const)(
    'in a later life kills a deaf wrapper soon when its time is over: %s',
    async (reason) => {
      const handle = await startDeaf();
      await ask(lifeAt(0).clock, handle, { reason, graceSeconds: 2 });
      const later = lifeAt(60_000);
      await ask(later.clock, handle, { reason: 'cancel', graceSeconds: 2 });
      later.pass(4_500);
      await ask(later.clock, handle, { reason: 'cancel', graceSeconds: 2 });
      expect((await statusOf(h.backend, handle)).phase, 'it may be about to hear').toBe('running');
      later.pass(1_000);
      await ask(later.clock, handle, { reason: 'cancel', graceSeconds: 2 });
      expect(await endOf(h.backend, handle)).toMatchObject({
        started: true,
        stoppedBy: reason,
        lost: false,
        exitCode: null,
        signal: 'SIGKILL',
        startedAt: expect.stringMatching(/Z$/),
        endedAt: expect.stringMatching(/Z$/),
      });
      expect(await h.remains(handle)).toEqual([]);
    },
  );

  it.each([3_600_000, -3_600_000])(
    'neither shortens nor lengthens the time of a wrapper where the wall clock jumps by %i ms',
    async (ms) => {
      const handle = await startDeaf();
      const life = lifeAt(0);
      const again = () => ask(life.clock, handle, { reason: 'cancel', graceSeconds: 20 });
      await again();
      life.jump(ms);
      life.pass(25_000);
      await again();
      expect((await statusOf(h.backend, handle)).phase).toBe('running');
      life.pass(1_500);
      await again();
      expect(await endOf(h.backend, handle)).toMatchObject({ stoppedBy: 'cancel', signal: 'SIGKILL' });
    },
  );

  it('does not take the death of a wrapper that nobody of us killed for a stop', async () => {
    const handle = await startDeaf();
    await ask(lifeAt(0).clock, handle, { reason: 'cancel', graceSeconds: 20 });
    process.kill(await wrapperPid(handle), 'SIGKILL');
    await until(async () => (await statusOf(h.backend, handle)).phase === 'absent', 'absence');
    await ask(lifeAt(60_000).clock, handle, { reason: 'cancel', graceSeconds: 20 });
    expect(await statusOf(h.backend, handle)).toMatchObject({ phase: 'absent', result: null });
  });
});

it('ends what gave up its environment after the wrapper was killed', async () => {
  const mark = `86400.${process.pid}`;
  const { handle } = await h.start({ command: ['/bin/sh', '-c', `env -i sleep ${mark} & ${WAIT}`] });
  await h.ready(handle);
  const sleeping = (): Promise<number[]> => findProcesses(`sleep\0${mark}`);
  await until(async () => (await sleeping()).length === 1, 'it sleeps');
  await h.loseExecutor(handle);
  await h.backend.cleanup(handle);
  expect(await sleeping()).toEqual([]);
});

it('tells a wrapper that took the job and cannot be seen yet to start nothing, and no other', async () => {
  const { handle } = await h.start({ command: ['/bin/sh', '-c', WAIT] });
  const { dir } = h.layout.attempt(handle.runId, handle.attempt);
  await h.ready(handle);
  await h.backend.terminate(handle, { reason: 'cancel', graceSeconds: 0 });
  await until(async () => (await statusOf(h.backend, handle)).phase === 'exited', 'its end');
  await h.backend.cleanup(handle);
  expect(await readdir(dir)).not.toContain('given-up');
  await Promise.all([rm(join(dir, 'exit.json')), rm(join(dir, 'wrapper.json'))]);
  await h.backend.cleanup(handle);
  expect(await readdir(dir)).toContain('given-up');
});

it('is not taken for done by a cleanup while something of the run lives that cannot be ended', async () => {
  const { handle } = await h.start({ command: ['/bin/sh', '-c', WAIT] });
  await h.ready(handle);
  // No time to end anything in.
  let now = 0;
  const hurried = { ...systemClock, monotonic: () => (now += 1e9) };
  await expect(cleanUpAttempt({ layout: h.layout, clock: hurried }, handle)).rejects.toMatchObject({
    code: 'BACKEND_UNAVAILABLE',
    retryable: true,
    message: 'Processes of the run live on: they could not be ended within 5 s.',
  });
  await h.backend.cleanup(handle);
  expect(await h.remains(handle)).toEqual([]);
});

it('is carried out on a deaf wrapper without being asked for again, and says whose fault it was', async () => {
  const handle = await startDeaf();
  const because = { rank: 0, message: 'Rank 0 gave no sign of life for 5 s.' };
  const began = performance.now();
  await h.backend.terminate(handle, { reason: 'heartbeat', graceSeconds: 0.2, because });
  expect(await endOf(h.backend, handle)).toMatchObject({
    stoppedBy: 'heartbeat',
    error: because.message,
    rank: 0,
  });
  expect(performance.now() - began).toBeLessThan(9_000);
  await until(async () => (await h.remains(handle)).length === 0, 'nothing is left');
});
