import { afterEach, describe, expect, it } from 'vitest';
import { createRig, type Rig, type RigOptions } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions = {}): Rig {
  rig = createRig(options);
  rig.start();
  return rig;
}

const WRONG = 'DiskTrouble: the disk cache is not there';
const workerOf = (): string => rig.deeds[0]?.worker ?? '';

async function begun(options: Parameters<Rig['submit']>[0] = {}) {
  const job = rig.submit({ seconds: 600, ...options });
  await rig.until(() => rig.deeds.length === 1);
  await rig.until(() => rig.workers()[0]?.lease?.claimedAt != null);
  return job;
}

describe('what a machine wrote to its serial port', () => {
  it('is kept where it gives up before it began the run, for each of them', async () => {
    open({ worker: { unfit: () => WRONG } });
    const job = rig.submit();
    await rig.until(() => job.state === 'unfit', 600);
    expect(rig.consoles).toMatchObject([0, 1, 2].map(() => ({ job: { runId: job.runId, attempt: 1 } })));
    expect(rig.consoles.every(({ begun, text }) => !begun && text.includes(WRONG))).toBe(true);
    expect(new Set(rig.consoles.map(({ workerId }) => workerId)).size).toBe(3);
  });

  it('is kept where it deletes itself and nobody hears of that', async () => {
    open({ worker: { unfit: () => WRONG } });
    rig.sim.faults.add({ kind: 'slow-boot', ms: 10_000, times: 'always' });
    const { storage } = rig;
    rig.world.storage = {
      ...storage,
      put: (key, ...rest) =>
        key.endsWith('state.json')
          ? Promise.reject(new Error('no letter arrives'))
          : storage.put(key, ...rest),
    };
    const job = rig.submit();
    await rig.until(() => job.state === 'unfit', 1_200);
    expect(rig.consoles.map(({ text }) => text.includes(WRONG))).toEqual([true, true, true]);
  });

  it('is kept where it is lost with its run, before it is deleted', async () => {
    open();
    const job = await begun();
    rig.world.storage.put = () => Promise.reject(new Error('it says nothing any more'));
    await rig.until(() => job.state === 'lost', 900);
    expect(rig.consoles).toEqual([
      {
        job: { runId: job.runId, attempt: 1 },
        workerId: workerOf(),
        begun: true,
        text: `goldfish: begins ${job.runId}/1\n`,
      },
    ]);
    await rig.until(() => rig.sim.instances().length === 0, 300);
  });

  it('is not asked for where nothing went wrong, nor kept where there is none or its provider took it back', async () => {
    open({ policy: { enabled: false } });
    const well = rig.submit({ seconds: 30 });
    await rig.until(() => well.state === 'done');
    await rig.until(() => rig.workers().length === 0);
    expect(rig.sim.calls.count('instances.getSerialPortOutput')).toBe(0);
    rig.deeds.length = 0;
    const vanished = await begun();
    rig.sim.vanish(workerOf());
    await rig.until(() => vanished.state === 'lost');
    rig.deeds.length = 0;
    const preempted = await begun({ models: ['spot'] });
    rig.sim.preempt(workerOf());
    await rig.until(() => preempted.state === 'lost');
    expect(rig.consoles).toEqual([]);
  });

  it('that cannot be read keeps nothing from going on', async () => {
    open();
    rig.sim.faults.add({
      kind: 'api-error',
      method: 'instances.getSerialPortOutput',
      status: 503,
      times: 'always',
    });
    const job = await begun();
    rig.sim.stop(workerOf());
    await rig.until(() => job.state === 'lost' && rig.sim.instances().length === 0);
    expect([rig.consoles, rig.defects]).toEqual([[], []]);
  });
});
