import { afterEach, describe, expect, it } from 'vitest';
import { getWorker } from '../../src/store/workers.ts';
import { createRig, type Job, type Rig, type RigOptions } from './rig.ts';

const HOUR_MS = 3_600_000;

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const begun = (): number => rig.deeds.filter(({ what }) => what === 'begin').length;
const isDone = (job: Job) => (): boolean => job.state === 'done';
const state = (): string | undefined => rig.workers()[0]?.state;

describe.each([
  ['an hour ahead', HOUR_MS],
  ['an hour back', -HOUR_MS],
])('a wall clock that is set %s', (_how, ms) => {
  it('while a machine is asked for, and not shown yet, costs nothing', async () => {
    open();
    rig.sim.faults.add({ kind: 'late-visibility', ms: 90_000, of: 'lists' });
    const job = rig.submit({ seconds: 30 });
    await rig.until(() => rig.sim.instances().length === 1);
    await rig.pass(5);
    rig.clockAheadMs = ms;
    await rig.until(isDone(job));
    expect([rig.inserts(), job.workers.length]).toEqual([1, 1]);
  });

  it('while a run is executed, and while its machine is cleaned, costs nothing', async () => {
    open();
    const job = rig.submit({ seconds: 100 });
    await rig.until(() => begun() === 1);
    await rig.pass(30);
    rig.clockAheadMs = ms;
    await rig.until(isDone(job));
    expect(state()).toBe('draining');
    rig.clockAheadMs = 2 * ms;
    await rig.until(() => state() === 'idle_ready', 30);
    expect(rig.inserts()).toBe(1);
  });

  it('while a machine rests, gives it back neither sooner nor later', async () => {
    open({ policy: { idleTimeoutSeconds: 300 } });
    const job = rig.submit({ seconds: 30 });
    await rig.until(isDone(job));
    await rig.until(() => state() === 'idle_ready');
    await rig.pass(10);
    rig.clockAheadMs = ms;
    await rig.pass(280);
    expect(state()).toBe('idle_ready');
    await rig.until(() => state() !== 'idle_ready', 15);
    expect(getWorker(rig.db, job.workers[0] ?? '')?.endReason).toBe('idle_timeout');
  });

  it('while a machine is missed, neither hastens nor delays that its run is lost', async () => {
    open();
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => begun() === 1 && state() === 'busy');
    rig.sim.vanish(rig.deeds[0]?.worker ?? '');
    await rig.pass(5);
    rig.clockAheadMs = ms;
    await rig.pass(5);
    expect(job.state).toBe('open');
    await rig.until(() => job.state === 'lost', 20);
  });
});

it('knows the machine that has begun a run, though the clock was set back since another one was lost', async () => {
  open();
  // The first machine is lost before it has begun.
  rig.sim.faults.add({ kind: 'slow-boot', ms: 60_000 });
  rig.sim.faults.add({ kind: 'vanish', afterMs: 10_000 });
  const job = rig.submit({ seconds: 600 });
  await rig.until(() => rig.inserts() === 2);
  rig.clockAheadMs = -HOUR_MS;
  await rig.until(() => begun() === 1);
  await rig.pass(5);
  rig.crash();
  rig.sim.vanish(rig.deeds[0]?.worker ?? '');
  rig.start();
  await rig.until(() => job.state !== 'open', 600);
  await rig.pass(60);
  expect([job.state, begun(), rig.inserts()]).toEqual(['lost', 1, 2]);
});
