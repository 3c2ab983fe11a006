import { afterEach, describe, expect, it } from 'vitest';
import type { FaultInput } from '../gce-simulator/faults.ts';
import { createRig, type Rig, ZONES } from './rig.ts';

let rig: Rig;
afterEach(() => rig.dispose());

const [A = '', B = ''] = ZONES;

function open(...faults: FaultInput[]): Rig {
  rig = createRig();
  for (const fault of faults) rig.sim.faults.add(fault);
  rig.start();
  return rig;
}

const failing = (zone: string, status: 429 | 503): FaultInput => ({
  kind: 'api-error',
  method: 'instances.insert',
  zone,
  status,
  times: 'always',
});
/** Where machines were asked for, one request after the other; repetitions of one count once. */
const asked = (): string[] =>
  rig.sim.calls.records
    .filter(({ id }) => id === 'instances.insert')
    .map(({ path }) => /zones\/([^/]+)/.exec(path)?.[1] ?? '')
    .filter((zone, at, all) => zone !== all[at - 1]);

describe('the search for a place over all machines of one launch', () => {
  it.each([429, 503] as const)('is not held up by a zone whose API keeps failing (%i)', async (status) => {
    open(failing(A, status));
    const job = rig.submit();
    await rig.until(() => job.state === 'done', 600);
    expect(asked()).toEqual([A, B]);
  });

  it('tries a zone that stayed unclear after the others, and comes back to it', async () => {
    open(failing(A, 503), { kind: 'stock-out', zone: B, times: 'always' });
    const job = rig.submit({ capacityWaitSeconds: 900 });
    await rig.until(() => asked().length === 4);
    expect(asked()).toEqual([A, B, A, B]);
    rig.sim.faults.clear();
    await rig.until(() => job.state === 'done', 600);
  });

  it('is over when its time is, however many machines it took, and says what each place said', async () => {
    open(failing(A, 503), failing(B, 429));
    const job = rig.submit({ capacityWaitSeconds: 300 });
    const since = rig.time.now();
    await rig.until(() => job.state !== 'open');
    expect(job.state).toBe('no_place');
    expect(job.message).toMatch(/us-central1-a, standard: .*us-central1-b, standard: /);
    expect(rig.time.now() - since).toBeLessThan(400_000);
    await rig.pass(300);
    expect([rig.workers(), rig.sim.instances()]).toEqual([[], []]);
  });

  it('has its whole time again where a machine was found and its provider took it back', async () => {
    open(
      { kind: 'slow-boot', ms: 90_000, times: 1 },
      { kind: 'preempt', afterMs: 60_000, noticeMs: 0, times: 1 },
    );
    const job = rig.submit({ models: ['spot'], capacityWaitSeconds: 30 });
    await rig.until(() => rig.inserts() === 1);
    for (const zone of ZONES) rig.sim.faults.add({ kind: 'stock-out', zone, times: 1 });
    await rig.until(() => job.state !== 'open', 600);
    expect([job.state, rig.inserts()]).toEqual(['done', 2 + ZONES.length]);
  });

  it('asks every place once, also where the first ones took all of its time', async () => {
    open(
      { kind: 'lost-operation', method: 'instances.insert', how: 'never-done', zone: A, times: 'always' },
      {
        kind: 'slow-provisioning',
        ms: 3_600_000,
        zone: A,
        times: 'always',
      },
    );
    const job = rig.submit({ capacityWaitSeconds: 300 });
    await rig.until(() => job.state === 'done', 1_200);
    expect(asked()).toEqual([A, B]);
  });
});
