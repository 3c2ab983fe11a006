import { expect, it } from 'vitest';
import { openRented } from '../../../src/backends/gce/open-rented.ts';
import { GCE_PROFILES, gceProfile } from '../../../src/config/gce-profiles.ts';
import type { ProvisioningModel } from '../../../src/core/rows.ts';
import { poolReport } from '../../../src/pool/pool-report.ts';
import { createSimulator } from '../../gce-simulator/simulator.ts';
import { clockOf, createManualTime } from '../../gce-simulator/time.ts';
import { simulatedCompute } from '../../support/simulated-compute.ts';
import { createRentedRig } from './rented-rig.ts';

it.each<[ProvisioningModel, number | null]>([
  ['spot', 0.2],
  ['standard', null],
])('a machine that is had as %s costs what its profile says of that way of paying', async (model, price) => {
  const rig = createRentedRig();
  try {
    const time = createManualTime();
    const sim = createSimulator({ time });
    if (model === 'standard') sim.faults.add({ kind: 'stock-out', model: 'SPOT', times: 'always' });
    const mine = gceProfile({
      description: 'Both ways of paying, and one price',
      machineType: 'n2-standard-4',
      models: ['spot', 'standard'],
      pricePerHour: { spot: 0.2, standard: null },
    });
    const { gce, db } = rig.deps;
    const { pool } = await openRented({
      ...rig.deps,
      gce: { ...gce, profiles: { ...GCE_PROFILES, mine } },
      clock: clockOf(time),
      openCompute: async () => simulatedCompute(sim),
    });
    const job = { runId: 'stage-0123456789ab', attempt: 1 };
    const abort = new AbortController();
    const acquired = pool.acquire(
      {
        ...job,
        profile: 'mine',
        shape: 'mine',
        zones: gce.zones,
        models: mine.models,
        images: [],
        capacityWaitSeconds: 60,
        maxSeconds: 3600,
      },
      { signal: abort.signal },
    );
    await time.until(() => sim.instances().some(({ status }) => status === 'RUNNING'));
    const { workers } = poolReport(db, { policy: { ...gce.warmPool }, now: time.now() });
    expect(workers).toMatchObject([{ model, pricePerHour: price }]);
    abort.abort();
    await time.advance(60_000);
    await acquired;
  } finally {
    rig.dispose();
  }
});
