import { afterEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { assignmentKey, letterKey } from '../../src/pool/documents.ts';
import { applyWorkerChanges } from '../../src/store/worker-changes.ts';
import { getWorker, workersOfJob } from '../../src/store/workers.ts';
import { createRig, type Job, type Rig, type RigOptions } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const begun = (): string[] => rig.deeds.filter(({ what }) => what === 'begin').map(({ job }) => job);
const isOver = (job: Job) => (): boolean => job.state !== 'open';
const machines = (): number => rig.sim.instances().length;

/** The supervisor dies when it has asked for the machine of a run, and nobody sees what that does. */
async function diesAfterAsking(job: Job): Promise<string> {
  await rig.until(() => machines() === 1);
  rig.crash();
  await rig.until(() => begun().length === 1);
  expect(workersOfJob(rig.db, job)).toMatchObject([{ claimedAt: null, endedAt: null }]);
  return workersOfJob(rig.db, job)[0]?.workerId ?? '';
}

/** From when it works on, no letter of a machine arrives; everything else does. */
function mute(): void {
  const { storage } = rig;
  rig.world.storage = {
    ...storage,
    put: (key, ...rest) =>
      key.endsWith('state.json') && begun().length > 0
        ? Promise.reject(new Error('lost'))
        : storage.put(key, ...rest),
  };
}

async function removeTraces(worker: string): Promise<void> {
  await rig.storage.delete(letterKey(worker));
  await rig.storage.delete(assignmentKey(worker));
}

describe('a run that was begun while nobody looked', () => {
  it('and is over, its machine and its letters gone, is found as begun, and its result counts', async () => {
    open();
    const job = rig.submit({ seconds: 30 });
    const worker = await diesAfterAsking(job);
    await rig.until(() => machines() === 0);
    await removeTraces(worker);
    rig.start();
    await rig.until(isOver(job));
    await rig.pass(5);
    expect([job.state, job.workers, begun(), rig.inserts()]).toEqual([
      'done',
      [worker],
      ['stage-000001/1'],
      1,
    ]);
  });

  it('and was lost with its machine, without a letter, is lost, and not begun again', async () => {
    open();
    mute();
    const job = rig.submit({ seconds: 600 });
    const worker = await diesAfterAsking(job);
    rig.sim.vanish(worker);
    await removeTraces(worker);
    rig.start();
    await rig.until(isOver(job));
    expect([job.state, job.workers, begun(), rig.inserts()]).toEqual([
      'lost',
      [worker],
      ['stage-000001/1'],
      1,
    ]);
    expect(workersOfJob(rig.db, job)).toMatchObject([{ claimedAt: expect.any(String), outcome: 'lost' }]);
  });

  it('is found by its claim, though its machine cannot say so', async () => {
    open();
    mute();
    const job = rig.submit({ seconds: 200 });
    const worker = await diesAfterAsking(job);
    rig.start();
    await rig.until(() => job.workers.length === 1, 5);
    expect(getWorker(rig.db, worker)).toMatchObject({
      state: 'busy',
      lease: { claimedAt: expect.any(String) },
    });
    await rig.until(isOver(job));
    expect([job.state, job.workers, rig.inserts()]).toEqual(['done', [worker], 1]);
  });

  it('and is canceled takes its machine with it, and is known to have begun', async () => {
    open();
    mute();
    const job = rig.submit({ seconds: 600 });
    await diesAfterAsking(job);
    rig.cancel(job);
    rig.start();
    await rig.until(isOver(job), 5);
    expect(workersOfJob(rig.db, job)).toMatchObject([
      { claimedAt: expect.any(String), outcome: 'lost', reason: 'run_stopped' },
    ]);
    await rig.until(() => machines() === 0, 120);
  });

  it('and is canceled in the moment in which that is noticed is not left to run on', async () => {
    open({
      bucket: (storage) => ({
        ...storage,
        put: (key, ...rest) => {
          if (key.includes('/claims/')) noticeNow();
          return storage.put(key, ...rest);
        },
      }),
    });
    mute();
    const job = rig.submit({ seconds: 600 });
    await diesAfterAsking(job);
    rig.cancel(job);
    rig.start();
    await rig.until(isOver(job), 5);
    await rig.until(() => machines() === 0, 120);
  });

  /** As if a look had come first. */
  function noticeNow(): void {
    const at = isoTime(rig.time.now());
    for (const worker of rig.workers())
      if (worker.state === 'launching')
        applyWorkerChanges(rig.db, [{ worker, event: 'start', claimed: true }], at);
  }
});

describe('a machine that has begun its run', () => {
  it('is not given up for having said nothing of it, as long as it may still say something', async () => {
    open();
    const first = rig.submit({ seconds: 30 });
    await rig.until(() => rig.workers()[0]?.state === 'idle_ready');
    // The bucket takes everything but its letters from now on; the watchdog waits longer than the run takes.
    const { storage } = rig;
    const put = storage.put;
    storage.put = (key, ...rest) =>
      key.endsWith('state.json') ? Promise.reject(new Error('lost')) : put(key, ...rest);
    const second = rig.submit({ seconds: 200 });
    await rig.until(isOver(second));
    storage.put = put;
    expect([second.state, second.workers, rig.inserts()]).toEqual(['done', first.workers, 1]);
  });
});

describe('a run that is canceled while the bucket does not answer', () => {
  async function givenToARestingMachine(): Promise<Job> {
    await rig.until(isOver(rig.submit({ seconds: 30 })));
    await rig.until(() => rig.workers()[0]?.state === 'idle_ready');
    rig.storage.out = true;
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => rig.workers()[0]?.state === 'busy');
    rig.cancel(job);
    return job;
  }

  it('waits for it for a while, and is then taken from its machine together with that', async () => {
    open();
    const job = await givenToARestingMachine();
    const [{ id } = { id: '' }] = rig.workers();
    await rig.pass(50);
    expect([job.state, machines()]).toEqual(['open', 1]);
    await rig.until(() => machines() === 0, 120);
    expect([job.state, getWorker(rig.db, id)?.endReason, begun()]).toEqual([
      'canceled',
      'run_stopped',
      ['stage-000001/1'],
    ]);
    rig.storage.out = false;
    await rig.until(() => rig.workers().length === 0);
  });

  it('is called off where it answers again in time, and the machine lives on', async () => {
    open();
    const job = await givenToARestingMachine();
    await rig.pass(30);
    rig.storage.out = false;
    await rig.until(isOver(job), 5);
    const third = rig.submit({ seconds: 30 });
    await rig.until(isOver(third));
    expect([job.state, third.state, begun(), rig.inserts()]).toEqual([
      'canceled',
      'done',
      ['stage-000001/1', 'stage-000003/1'],
      1,
    ]);
  });
});
