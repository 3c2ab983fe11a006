import { afterEach, describe, expect, it } from 'vitest';
import { letterKey } from '../../src/pool/documents.ts';
import { getWorker } from '../../src/store/workers.ts';
import { createRig, type Job, type Rig, type RigOptions } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const begun = (): number => rig.deeds.filter(({ what }) => what === 'begin').length;
const done =
  (...jobs: Job[]) =>
  (): boolean =>
    jobs.every(({ state }) => state === 'done');
const stateOf = (id = rig.workers()[0]?.id ?? ''): string | undefined => getWorker(rig.db, id)?.state;

async function running(seconds: number): Promise<Job> {
  const job = rig.submit({ seconds });
  await rig.until(() => begun() === 1);
  await rig.until(() => stateOf() === 'busy');
  return job;
}

async function resting(): Promise<void> {
  await rig.until(done(rig.submit({ seconds: 30 })));
  await rig.until(() => stateOf() === 'idle_ready');
}

/** Everything was done by the machine that was rented first, as if nothing had happened. */
async function expectOneMachine(...jobs: Job[]): Promise<void> {
  await rig.until(done(...jobs));
  expect([rig.inserts(), new Set(jobs.flatMap(({ workers }) => workers)).size]).toEqual([1, 1]);
  expect(begun()).toBe(rig.jobs.length);
}

describe('an outage of the bucket', () => {
  it('that is longer than the watchdog waits costs no machine that works', async () => {
    open();
    const job = await running(2_000);
    rig.storage.out = true;
    await rig.pass(1_000);
    rig.storage.out = false;
    await expectOneMachine(job);
  });

  it('while a machine comes up does not count as its time to report', async () => {
    open({ policy: { launchSeconds: 100 } });
    rig.sim.faults.add({ kind: 'slow-boot', ms: 150_000 });
    const job = rig.submit();
    await rig.until(() => rig.sim.instances().some(({ status }) => status === 'RUNNING'));
    rig.storage.out = true;
    await rig.pass(300);
    rig.storage.out = false;
    await expectOneMachine(job);
  });

  it('does not count as the time in which a job is to be picked up', async () => {
    open();
    await resting();
    rig.storage.out = true;
    const second = rig.submit();
    await rig.pass(300);
    expect(rig.workers()).toMatchObject([{ state: 'busy', lease: { runId: second.runId, claimedAt: null } }]);
    rig.storage.out = false;
    await expectOneMachine(second);
  });

  it('does not count as the time in which the last job is to be removed', async () => {
    open();
    await rig.until(done(rig.submit({ seconds: 30 })));
    expect(stateOf()).toBe('draining');
    rig.storage.out = true;
    await rig.pass(350);
    rig.storage.out = false;
    await rig.until(() => stateOf() === 'idle_ready', 30);
    await expectOneMachine(rig.submit());
  });

  it('that concerns the letter of one machine neither costs that one nor hides the others', async () => {
    const broken = new Set<string>();
    open({
      bucket: (storage) => ({
        ...storage,
        get: (key, ...rest) =>
          broken.has(key) ? Promise.reject(new Error('unreachable')) : storage.get(key, ...rest),
      }),
    });
    const first = await running(2_000);
    broken.add(letterKey(rig.workers()[0]?.id ?? ''));
    const second = rig.submit({ seconds: 30 });
    await rig.until(done(second));
    await rig.until(() => stateOf(second.workers[0]) === 'idle_ready');
    await rig.pass(600);
    expect(first.state).toBe('open');
    broken.clear();
    await rig.until(done(first));
    expect(rig.inserts()).toBe(2);
  });
});

describe('an outage of the list of machines', () => {
  it('hides no beginning and no end of a run, and costs no machine', async () => {
    open();
    const job = rig.submit({ seconds: 100 });
    await rig.until(() => rig.sim.instances().length === 1);
    const lift = rig.sim.faults.add({
      kind: 'api-error',
      method: 'instances.aggregatedList',
      status: 500,
      times: 'always',
    });
    await rig.until(() => rig.workers()[0]?.lease?.claimedAt != null, 60);
    await rig.until(() => stateOf() === 'idle_ready', 200);
    await expectOneMachine(job, rig.submit({ seconds: 1_000 }));
    lift();
    await rig.pass(60);
    expect(rig.sim.instances()).toHaveLength(1);
  });
});

describe('a list of all zones that is refused', () => {
  it('costs no machine of a zone that is not configured any more', async () => {
    open();
    const job = rig.submit({ seconds: 600, zones: ['us-central1-c'] });
    await rig.until(() => begun() === 1);
    rig.sim.faults.add({
      kind: 'api-error',
      method: 'instances.aggregatedList',
      status: 503,
      times: 'always',
    });
    await expectOneMachine(job);
  });
});

describe('a supervisor', () => {
  it('that slept costs no machine, also where the bucket is away when it wakes', async () => {
    open();
    const job = await running(5_000);
    rig.isAsleep = true;
    await rig.pass(3_600);
    rig.isAsleep = false;
    rig.storage.out = true;
    await rig.pass(60);
    rig.storage.out = false;
    await expectOneMachine(job);
  });

  it('that follows another one while the bucket is away judges no machine by letters that it cannot read', async () => {
    open();
    const job = await running(5_000);
    rig.crash();
    await rig.pass(1_000);
    rig.storage.out = true;
    rig.start();
    await rig.pass(250);
    rig.storage.out = false;
    await rig.until(done(job), 6_000);
    expect([rig.inserts(), begun()]).toEqual([1, 1]);
  });
});

it('gives a machine up that says nothing while it could be heard, when the watchdog has waited for it', async () => {
  open();
  const { storage } = rig;
  let isMute = false;
  rig.world.storage = {
    ...storage,
    put: (key, ...rest) =>
      isMute && key.endsWith('state.json') ? Promise.reject(new Error('lost')) : storage.put(key, ...rest),
  };
  const job = await running(2_000);
  const [{ id } = { id: '' }] = rig.workers();
  isMute = true;
  await rig.pass(250);
  expect(job.state).toBe('open');
  await rig.until(() => job.state === 'lost', 100);
  await rig.until(() => stateOf(id) === 'gone', 200);
  expect(getWorker(rig.db, id)?.endReason).toBe('silent');
});
