import { afterEach, describe, expect, it } from 'vitest';
import { workersOfJob } from '../../src/store/workers.ts';
import { createRig, type Rig, type RigOptions } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const WRONG = 'DiskTrouble: the disk cache is not there';
const everythingGone = (): boolean => rig.workers().length === 0 && rig.sim.instances().length === 0;

describe('a launch', () => {
  it('ends after three machines in a row that came up and gave up, and says how the last did', async () => {
    open({ worker: { unfit: () => WRONG } });
    const job = rig.submit();
    await rig.until(() => job.state !== 'open', 600);
    expect([job.state, job.message, rig.inserts()]).toEqual([
      'unfit',
      'Something on it does not work, and it gave up.',
      3,
    ]);
    await rig.until(everythingGone, 600);
    expect(rig.inserts()).toBe(3);
  });

  it('ends so where machines switch themselves off before they were heard of', async () => {
    open();
    rig.sim.faults.add({ kind: 'slow-boot', ms: 60_000, times: 'always' });
    rig.sim.faults.add({ kind: 'stop', afterMs: 20_000, times: 'always' });
    const job = rig.submit();
    await rig.until(() => job.state !== 'open', 1_800);
    expect([job.state, rig.inserts()]).toEqual(['unfit', 3]);
  });

  it('is counted over the lives of supervisors', async () => {
    open({ worker: { unfit: () => WRONG } });
    const job = rig.submit();
    await rig.until(() => rig.inserts() === 2);
    rig.start();
    await rig.until(() => job.state !== 'open', 600);
    // The request under way was sent again, for the same machine.
    expect([job.state, workersOfJob(rig.db, job).length]).toEqual(['unfit', 3]);
  });

  it('goes on after two of them', async () => {
    const machines: string[] = [];
    open({
      worker: {
        unfit: (worker) => {
          if (!machines.includes(worker)) machines.push(worker);
          return machines.indexOf(worker) < 2 ? WRONG : undefined;
        },
      },
    });
    const first = rig.submit();
    await rig.until(() => first.state === 'done', 900);
    expect([rig.inserts(), first.state]).toEqual([3, 'done']);
  });

  it('does not count machines that its provider took back', async () => {
    open();
    rig.sim.faults.add({ kind: 'slow-boot', ms: 60_000, times: 4 });
    rig.sim.faults.add({ kind: 'preempt', afterMs: 20_000, noticeMs: 0, times: 4 });
    const job = rig.submit({ models: ['spot'] });
    await rig.until(() => job.state !== 'open', 1_800);
    expect([job.state, rig.inserts()]).toEqual(['done', 5]);
  });
});
