import { afterEach, describe, expect, it } from 'vitest';
import { getWorker } from '../../src/store/workers.ts';
import { instanceRequest } from '../gce-simulator/fast-simulator.ts';
import { createRig, type Job, type Rig, type RigOptions, ZONES } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const done =
  (...jobs: Job[]) =>
  (): boolean =>
    jobs.every(({ state }) => state === 'done');
const machines = (): string[] => rig.sim.instances().map(({ name, status }) => `${name} ${status}`);
const begun = (): string[] => rig.deeds.filter(({ what }) => what === 'begin').map(({ job }) => job);

describe('a machine that is kept', () => {
  it('executes the second run too, and the provider was asked for one', async () => {
    open();
    const first = rig.submit();
    await rig.until(done(first));
    const second = rig.submit();
    await rig.until(() => begun().length === 2);
    await rig.pass(10);
    // What the machine said of the first is not taken for the second.
    expect(rig.workers()).toMatchObject([{ state: 'busy', lease: { runId: second.runId, warm: true } }]);
    await rig.until(done(second));
    expect(second.workers).toEqual(first.workers);
    expect(rig.inserts()).toBe(1);
    expect(begun()).toEqual(['stage-000001/1', 'stage-000002/1']);
  });

  it('is not given a run that it may not outlive, which gets a machine of its own', async () => {
    open();
    await rig.until(done(rig.submit()));
    await rig.until(() => rig.workers()[0]?.state === 'idle_ready');
    const long = rig.submit({ maxSeconds: rig.policy.keptSeconds });
    await rig.until(done(long));
    expect(rig.inserts()).toBe(2);
  });

  it('is waited for where it is about to be free', async () => {
    open({ policy: { maxInstances: 1 } });
    const first = rig.submit({ seconds: 30 });
    await rig.until(done(first));
    // It still removes what the first left.
    const second = rig.submit();
    expect(rig.workers()).toMatchObject([{ state: 'draining' }]);
    await rig.until(done(second));
    expect(rig.inserts()).toBe(1);
  });

  it('is given back when it had no work for as long as it is kept, and its end is certain', async () => {
    open({ policy: { idleTimeoutSeconds: 100 } });
    const job = rig.submit();
    await rig.until(done(job));
    await rig.until(() => rig.workers().at(0)?.state === 'idle_ready');
    await rig.pass(90);
    expect(machines()).toHaveLength(1);
    await rig.pass(120);
    expect([machines(), rig.workers()]).toEqual([[], []]);
    expect(getWorker(rig.db, job.workers[0] ?? '')).toMatchObject({
      state: 'gone',
      endReason: 'idle_timeout',
    });
  });

  it('is not given work once it leaves by itself, and the run gets another', async () => {
    // The controller keeps it for longer than it stays.
    open({ policy: { idleTimeoutSeconds: 600 }, worker: { idleSeconds: 60 } });
    const first = rig.submit();
    await rig.until(done(first));
    await rig.until(
      () => rig.storage.text(`workers/${first.workers[0]}/assignment.json`)?.includes('null') === true,
    );
    const second = rig.submit();
    // Nobody waits for a machine that does not listen.
    await rig.until(done(second), 100);
    expect(second.workers).not.toEqual(first.workers);
    expect(getWorker(rig.db, first.workers[0] ?? '')?.endReason).toBe('left');
  });
});

describe('a pool', () => {
  it('that is full rents a machine for the one run, which goes with it', async () => {
    open({ policy: { maxInstances: 1 } });
    const jobs = [rig.submit({ seconds: 200 }), rig.submit({ seconds: 200 })];
    await rig.until(() => begun().length === 2);
    expect(
      rig
        .workers()
        .map(({ pooled }) => pooled)
        .sort(),
    ).toEqual([false, true]);
    await rig.until(done(...jobs));
    await rig.pass(60);
    expect(rig.inserts()).toBe(2);
    expect(machines()).toHaveLength(1);
    expect(rig.workers()).toMatchObject([{ state: 'idle_ready', pooled: true }]);
  });

  it.each([
    ['that is disabled', { enabled: false }],
    ['of size 0', { maxInstances: 0 }],
    ['with an idle timeout of 0', { idleTimeoutSeconds: 0 }],
    ['of other profiles', { profiles: ['h100-spot'] }],
  ])('%s keeps nothing', async (_what, policy) => {
    open({ policy });
    const jobs = [rig.submit(), rig.submit()];
    await rig.until(done(...jobs));
    await rig.pass(60);
    expect(rig.inserts()).toBe(2);
    expect([machines(), rig.workers()]).toEqual([[], []]);
  });
});

describe('a pool that is changed while it has machines', () => {
  const endOf = (job: Job) => getWorker(rig.db, job.workers[0] ?? '')?.endReason;

  async function twoAtRest(): Promise<[Job, Job]> {
    open();
    const jobs: [Job, Job] = [rig.submit({ seconds: 20 }), rig.submit({ seconds: 60 })];
    await rig.until(done(...jobs));
    await rig.until(() => rig.workers().every(({ state }) => state === 'idle_ready'));
    return jobs;
  }

  it('to a smaller size gives those back that rested longest, and no more of them', async () => {
    const [early, late] = await twoAtRest();
    rig.policy.maxInstances = 1;
    await rig.pass(60);
    expect(rig.workers()).toMatchObject([{ id: late.workers[0], state: 'idle_ready' }]);
    expect(endOf(early)).toBe('pool_smaller');
  });

  it('to a smaller size ends no run, and gives the machine of one that ends back', async () => {
    open();
    const jobs = [rig.submit({ seconds: 100 }), rig.submit({ seconds: 200 })];
    await rig.until(() => begun().length === 2);
    rig.policy.maxInstances = 1;
    await rig.until(done(...jobs));
    await rig.pass(60);
    expect(jobs.map(endOf)).toEqual(['pool_smaller', null]);
    expect([machines().length, rig.inserts()]).toEqual([1, 2]);
  });

  it.each([
    ['to none', 'pool_smaller', { enabled: false }],
    ['to the size 0', 'pool_smaller', { maxInstances: 0 }],
    ['to machines of other profiles', 'pool_smaller', { profiles: ['h100-spot'] }],
    ['to an idle timeout of 0', 'idle_timeout', { idleTimeoutSeconds: 0 }],
  ] as const)(
    '%s gives back what rests at once, and what works when it has ended',
    async (_what, why, change) => {
      const jobs = await twoAtRest();
      const third = rig.submit({ seconds: 100 });
      await rig.until(() => begun().length === 3);
      Object.assign(rig.policy, change);
      await rig.pass(30);
      expect([rig.workers().map(({ state }) => state), third.state]).toEqual([['busy'], 'open']);
      await rig.until(done(third));
      await rig.pass(60);
      expect([machines(), rig.workers()]).toEqual([[], []]);
      expect(jobs.map(endOf)).toEqual([why, why]);
      expect(rig.inserts()).toBe(2);
    },
  );

  it('to a larger size rents more at once', async () => {
    open({ policy: { maxInstances: 1 } });
    rig.submit({ seconds: 600 });
    await rig.until(() => begun().length === 1);
    rig.policy.maxInstances = 2;
    await rig.until(done(rig.submit({ seconds: 20 })));
    await rig.pass(30);
    expect(rig.workers().map(({ pooled }) => pooled)).toEqual([true, true]);
  });
});

describe('a machine', () => {
  it('that nobody knows is deleted, and those of others are not', async () => {
    open();
    for (const [name, project] of [
      ['stranger', 'p1'],
      ['neighbour', 'p2'],
    ])
      await rig.sim.call({
        method: 'POST',
        path: `/compute/v1/projects/${rig.sim.project}/zones/${ZONES[0]}/instances`,
        body: instanceRequest({ name, labels: { 'goldfish-project': project } }),
      });
    await rig.pass(300);
    expect(machines()).toEqual(['neighbour RUNNING']);
  });

  it('whose deletion does not show is asked to go again', async () => {
    open({ policy: { enabled: false } });
    rig.sim.faults.add({ kind: 'delete-never-confirms' });
    const job = rig.submit();
    await rig.until(done(job));
    await rig.until(() => rig.workers().length === 0);
    expect(machines()).toEqual([]);
    expect(rig.sim.calls.count('instances.delete')).toBeGreaterThan(1);
  });
});

describe('a run that is canceled', () => {
  it('while a place is looked for, leaves no machine', async () => {
    open();
    rig.sim.faults.add({ kind: 'slow-provisioning', ms: 60_000 });
    const job = rig.submit();
    await rig.until(() => rig.sim.instances().length === 1);
    rig.cancel(job);
    const [{ id } = { id: '' }] = rig.workers();
    await rig.until(() => rig.sim.instances().length === 0 && rig.workers().length === 0);
    expect([job.state, begun()]).toEqual(['canceled', []]);
    expect(getWorker(rig.db, id)?.endReason).toBe('canceled');
  });

  it('before the machine that is there has picked it up, is never begun, and the machine lives on', async () => {
    open();
    const first = rig.submit();
    await rig.until(() => rig.workers().at(0)?.state === 'idle_ready');
    const second = rig.submit();
    await rig.until(() => rig.workers().at(0)?.state === 'busy' && begun().length === 1);
    rig.cancel(second);
    await rig.until(() => rig.workers().at(0)?.state === 'idle_ready');
    const third = rig.submit();
    await rig.until(done(third));
    expect(begun()).toEqual(['stage-000001/1', 'stage-000003/1']);
    expect([first.state, third.workers, rig.inserts()]).toEqual(['done', first.workers, 1]);
  });

  it('while it is executed, takes its machine with it', async () => {
    open();
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => begun().length === 1);
    rig.cancel(job);
    await rig.until(() => machines().length === 0 && rig.workers().length === 0);
    expect(getWorker(rig.db, rig.deeds[0]?.worker ?? '')?.endReason).toBe('run_stopped');
  });
});

describe('a machine that is lost', () => {
  it('before it began the run, costs the run nothing: another one executes it', async () => {
    open();
    rig.sim.faults.add({ kind: 'slow-boot', ms: 60_000 });
    rig.sim.faults.add({ kind: 'vanish', afterMs: 10_000 });
    const job = rig.submit();
    await rig.until(done(job), 1800);
    expect([rig.inserts(), begun()]).toEqual([2, ['stage-000001/1']]);
  });

  it('while it executed the run, is told apart by why', async () => {
    open();
    const preempted = rig.submit({ seconds: 600, models: ['spot'] });
    await rig.until(() => begun().length === 1);
    rig.sim.preempt(rig.deeds[0]?.worker ?? '');
    await rig.until(() => preempted.state === 'lost');
    const vanished = rig.submit({ seconds: 600 });
    await rig.until(() => begun().length === 2);
    rig.sim.vanish(rig.deeds.at(-1)?.worker ?? '');
    await rig.until(() => vanished.state === 'lost');
    const reasons = [preempted, vanished].map(
      ({ workers }) => getWorker(rig.db, workers[0] ?? '')?.endReason,
    );
    expect(reasons).toEqual(['preempted', 'vanished']);
  });

  it('after it began the run and before it could say so takes the run with it: nothing is begun twice', async () => {
    open();
    const { storage } = rig;
    rig.world.storage = {
      ...storage,
      put: (key, ...rest) =>
        key.endsWith('state.json') && begun().length > 0
          ? Promise.reject(new Error('no letter arrives'))
          : storage.put(key, ...rest),
    };
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => begun().length === 1);
    rig.sim.vanish(rig.deeds[0]?.worker ?? '');
    await rig.until(() => job.state !== 'open', 1800);
    expect([job.state, begun()]).toEqual(['lost', ['stage-000001/1']]);
  });

  it.each([
    ['somebody stopped it', 'stop'],
    ['its host broke', 'breakHost'],
  ] as const)('because %s is deleted with its disks', async (_what, how) => {
    open();
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => begun().length === 1);
    rig.sim[how](rig.deeds[0]?.worker ?? '');
    await rig.until(() => job.state === 'lost' && rig.workers().length === 0);
    expect([machines(), rig.sim.disks()]).toEqual([[], []]);
    expect(getWorker(rig.db, job.workers[0] ?? '')?.endReason).toBe('stopped');
  });

  it.each(['stop', 'breakHost'] as const)(
    'while it rests (%s) is deleted, and the next run gets another',
    async (how) => {
      open();
      const first = rig.submit();
      await rig.until(() => rig.workers().at(0)?.state === 'idle_ready');
      const id = first.workers[0] ?? '';
      rig.sim[how](id);
      await rig.until(() => getWorker(rig.db, id)?.state === 'gone', 120);
      expect([machines(), getWorker(rig.db, id)?.endReason]).toEqual([[], 'stopped']);
      const second = rig.submit();
      await rig.until(done(second));
      expect(rig.inserts()).toBe(2);
    },
  );

  it('because somebody stopped it while it came up, costs the run nothing', async () => {
    open();
    rig.sim.faults.add({ kind: 'slow-boot', ms: 60_000 });
    const job = rig.submit();
    await rig.until(() => rig.workers().at(0)?.runningAt != null);
    const [{ id } = { id: '' }] = rig.workers();
    rig.sim.stop(id);
    await rig.until(done(job));
    expect([rig.inserts(), begun(), getWorker(rig.db, id)?.endReason]).toEqual([
      2,
      ['stage-000001/1'],
      'stopped',
    ]);
  });

  it('is not taken for gone because a list is late', async () => {
    open();
    rig.sim.faults.add({ kind: 'late-visibility', ms: 90_000, of: 'lists' });
    const job = rig.submit({ seconds: 200 });
    await rig.until(done(job));
    expect([rig.inserts(), job.workers.length]).toEqual([1, 1]);
  });
});

describe('a supervisor that dies', () => {
  it.each([0, 1, 2, 3, 5, 8, 13, 20, 40])(
    '%i s after the run was stored is followed by one that finds the machine',
    async (seconds) => {
      open();
      const job = rig.submit({ seconds: 30 });
      await rig.pass(seconds);
      rig.crash();
      await rig.pass(25);
      rig.start();
      await rig.until(done(job));
      expect([begun(), rig.inserts()]).toEqual([['stage-000001/1'], 1]);
      await rig.pass(1_000);
      expect([machines(), rig.workers()]).toEqual([[], []]);
    },
  );

  it('and is followed by none leaves no machine that is paid for ever', async () => {
    open();
    const job = rig.submit({ seconds: 30 });
    await rig.until(() => begun().length === 1);
    rig.crash();
    await rig.pass(30 + rig.policy.idleTimeoutSeconds + 120 + 60 + 60);
    expect([job.state, machines()]).toEqual(['open', []]);
    expect(rig.sim.ledger.usages().every(({ endedAt }) => endedAt !== undefined)).toBe(true);
  });
});
