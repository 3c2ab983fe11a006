import { afterEach, describe, expect, it } from 'vitest';
import { assetPath } from '../../src/core/assets.ts';
import { connectStdio } from '../../src/mcp/client.ts';
import { hasRentals, NEEDS_RENTALS } from '../integration/gce/needs.ts';
import { openRentedRig, type RentedRig } from '../integration/gce/rented-rig.ts';
import { until } from '../integration/until.ts';
import { ask, demoOn, endDemos, outputsOf } from './demo-projects.ts';

/** From the moment when its turn came, preparation of image and machine included. */
const SECONDS = `
  SELECT run.stage_name AS stage,
         (julianday(run.ended_at) - julianday(MIN(event.created_at))) * 86400 AS seconds
  FROM stage_runs AS run
  JOIN run_events AS event ON event.run_id = run.id AND event.from_state = 'pending'
  WHERE run.cause = 'success'
  GROUP BY run.id
  ORDER BY run.ended_at`;

let rig: RentedRig | undefined;
afterEach(async () => {
  await endDemos();
  await rig?.close();
});

/** Machines are given back by whoever is asked to, and the supervisor sees to it. */
async function giveBack(folder: string, rented: RentedRig): Promise<void> {
  const client = await connectStdio({
    command: process.execPath,
    args: [assetPath('bin/goldfish.js'), 'serve'],
    cwd: folder,
  });
  try {
    // A machine is still busy with cleaning up for a moment after its last run.
    const isAsked = async (): Promise<boolean> => {
      const answer = await client.call('warm_pool_cleanup', { reason: 'The demonstration is over' });
      return (answer['remaining'] as unknown[]).length === 0;
    };
    await until(isAsked, 'the machine to have no work', 60);
    await until(() => rented.instances().length === 0, 'the machine to be deleted', 120);
  } finally {
    await client.close();
  }
}

describe.skipIf(!hasRentals)(`the demo on a rented machine${NEEDS_RENTALS}`, () => {
  it('takes one machine for all its stages and makes what this machine makes, hash by hash', {
    timeout: 600_000,
  }, async () => {
    const plain = await demoOn('process');
    rig = await openRentedRig();
    const sections = rig.yaml({ enabled: true, max_instances: 1 });
    const rented = await demoOn('gce', { sections, maxParallel: 1 });
    expect(rented.runs).toHaveLength(8);
    expect(Object.keys(plain.runs[0]!.outputs)).not.toEqual([]);
    expect(outputsOf(rented)).toEqual(outputsOf(plain));
    expect(rented.metrics).toEqual(plain.metrics);

    const [cold, ...warm] = ask<{ stage: string; seconds: number }>(rented.folder, SECONDS).map(
      ({ stage, seconds }) => `${stage} ${seconds.toFixed(1)} s`,
    );
    console.log(`cold: ${cold}; warm: ${warm.join(', ')}`);
    expect(warm).toHaveLength(5);
    expect(rig.calls('instances.insert')).toBe(1);
    expect(rig.bills().map(({ machineType }) => machineType)).toEqual(['n2-standard-4']);

    await giveBack(rented.folder, rig);
    expect(rig.bills()).toEqual([expect.objectContaining({ endedAt: expect.any(Number) })]);
    expect(rig.calls('instances.insert')).toBe(1);
    const { remains } = rig;
    await until(async () => (await remains()).length === 0, 'its container to be gone', 60);
  });
});
