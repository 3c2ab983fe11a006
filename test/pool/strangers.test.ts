import { afterEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { addWorker, placeWorker } from '../../src/store/workers.ts';
import { instanceRequest } from '../gce-simulator/fast-simulator.ts';
import { createRig, type Rig, ZONES } from './rig.ts';

const [A = '', B = ''] = ZONES;
const NAME = 'goldfish-00000000cafe';

let rig: Rig;
afterEach(() => rig.dispose());

function open(): void {
  rig = createRig();
  rig.start();
}

/** A machine of the project that no pool has asked for. */
async function makeMachine(name: string, zone: string): Promise<void> {
  const body = instanceRequest({ name, labels: { 'goldfish-project': 'p1' } }, zone);
  const path = `/compute/v1/projects/${rig.sim.project}/zones/${zone}/instances`;
  await rig.sim.call({ method: 'POST', path, body });
}

const machines = (): string[] =>
  rig.sim.instances().map(({ name, zone, status }) => `${name} ${zone.split('/').at(-1)} ${status}`);

describe('a machine that no row names', () => {
  it('is left alone for as long as it may be somebody’s who is about to say so, and then deleted', async () => {
    open();
    await makeMachine(NAME, A);
    await rig.pass(115);
    expect(machines()).toEqual([`${NAME} ${A} RUNNING`]);
    expect(rig.sim.calls.count('instances.delete')).toBe(0);
    await rig.until(() => machines().length === 0, 30);
  });

  it('has as much time again where another supervisor takes over', async () => {
    open();
    await makeMachine(NAME, A);
    await rig.pass(100);
    rig.crash();
    rig.start();
    await rig.pass(100);
    expect(rig.sim.calls.count('instances.delete')).toBe(0);
    await rig.until(() => machines().length === 0, 60);
  });

  it('is not deleted when it gets its row between the reading of the rows and of the machines', async () => {
    open();
    await makeMachine(NAME, A);
    await rig.pass(60);
    const { call } = rig.sim;
    let written = false;
    rig.sim.call = (request) => {
      if (!written && request.path.includes('/aggregated/instances')) {
        written = true;
        // From this very look on it is overdue.
        rig.policy.visibilitySeconds = 1;
        const at = isoTime(rig.time.now());
        const job = { runId: 'stage-ffffffffffff', attempt: 1 };
        addWorker(rig.db, { id: NAME, pooled: false, profile: 'cpu-small', shape: 'cpu-small', job, at });
        placeWorker(rig.db, NAME, { zone: A, model: 'standard', pricePerHour: null, at });
      }
      return call(request);
    };
    await rig.pass(30);
    expect(written).toBe(true);
    expect(machines()).toEqual([`${NAME} ${A} RUNNING`]);
    expect(rig.sim.calls.count('instances.delete')).toBe(0);
  });

  it('is deleted where it has the name of a worker in another zone, and the worker’s own is not', async () => {
    open();
    const job = rig.submit({ seconds: 600 });
    await rig.until(() => rig.deeds.length === 1);
    const [{ id, zone } = { id: '', zone: null }] = rig.workers();
    expect(zone).toBe(A);
    await makeMachine(id, B);
    await rig.pass(100);
    expect(machines().sort()).toEqual([`${id} ${A} RUNNING`, `${id} ${B} RUNNING`]);
    await rig.until(() => machines().length === 1, 60);
    expect(machines()).toEqual([`${id} ${A} RUNNING`]);
    // What the other one told was not taken for the worker's word.
    expect(rig.workers()).toMatchObject([{ id, state: 'busy', lease: { runId: job.runId } }]);
    await rig.until(() => job.state === 'done');
    expect(rig.deeds.map(({ what }) => what)).toEqual(['begin', 'end']);
  });
});
