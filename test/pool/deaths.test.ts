import { afterEach, describe, expect, it } from 'vitest';
import { createRig, type Job, type Rig, type RigOptions } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

function open(options: RigOptions): void {
  rig = createRig(options);
  rig.start();
}

const done = (job: Job) => (): boolean => job.state === 'done';

describe('a supervisor that dies between two steps', () => {
  it('before it noted that it named a run costs no machine: the one that did it gets the next run too', async () => {
    let isToDie = false;
    open({
      bucket: (storage) => ({
        ...storage,
        put: async (key, ...more) => {
          const stat = await storage.put(key, ...more);
          if (isToDie && key.endsWith('/assignment.json')) rig.crash();
          return stat;
        },
      }),
    });
    const resting = (): boolean => rig.workers().at(0)?.state === 'idle_ready';
    await rig.until(done(rig.submit()));
    await rig.until(resting);
    isToDie = true;
    const second = rig.submit();
    await rig.until(() => !rig.isAlive());
    isToDie = false;
    await rig.pass(10);
    rig.start();
    await rig.until(done(second));
    await rig.until(resting);
    const third = rig.submit();
    await rig.until(done(third));
    expect(third.workers).toEqual(second.workers);
    expect(rig.inserts()).toBe(1);
  });

  it('before it removed what is kept of a machine that is gone leaves that to the next one', async () => {
    let isOut = true;
    open({
      policy: { idleTimeoutSeconds: 0 },
      bucket: (storage) => ({
        ...storage,
        delete: async (...args) => {
          if (isOut) throw new Error('It does not answer.');
          return storage.delete(...args);
        },
      }),
    });
    const kept = (): string[] => rig.storage.keys().filter((key) => key.startsWith('workers/'));
    await rig.until(done(rig.submit()));
    await rig.until(() => rig.workers().length === 0);
    expect(kept()).toHaveLength(2);
    rig.crash();
    isOut = false;
    rig.start();
    await rig.pass(5);
    expect(kept()).toEqual([]);
  });
});
