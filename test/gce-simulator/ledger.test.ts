import { expect, it } from 'vitest';
import { MACHINE_TYPES, SPOT_ONLY } from './catalog.ts';
import { createFastSimulator, instanceRequest, SPOT, ZONE } from './fast-simulator.ts';
import { pricePerHour } from './prices.ts';

it('bills whole seconds until a machine is TERMINATED, a minute at least, each start anew', async () => {
  const sim = createFastSimulator();
  await sim.start();
  await sim.time.advance(10_000);
  expect(sim.ledger.usages()).toMatchObject([{ name: 'm1', seconds: 60, machineType: 'n2-standard-4' }]);
  await sim.time.advance(3_590_400);
  expect(sim.ledger.usages()[0]).toMatchObject({ seconds: 3_601 });
  const shuttingDown = 1;
  await sim.done(await sim.post(`zones/${ZONE}/instances/m1/stop`));
  const seconds = sim.ledger.usages()[0]?.seconds ?? 0;
  expect(seconds).toBe(3_601 + shuttingDown);
  expect(sim.ledger.usd('m1')).toBeCloseTo((0.194236 * seconds) / 3600, 9);
  await sim.time.advance(3_600_000);
  expect(sim.ledger.usd()).toBe(sim.ledger.usd('m1'));
  await sim.done(await sim.post(`zones/${ZONE}/instances/m1/start`));
  expect(sim.ledger.usages().map((usage) => usage.seconds)).toEqual([seconds, 60]);
});

it('bills nothing for a machine that never ran', async () => {
  const sim = createFastSimulator();
  sim.faults.add({ kind: 'stock-out' });
  await sim.done(await sim.post(`zones/${ZONE}/instances`, instanceRequest()));
  expect(sim.ledger.usages()).toEqual([]);
});

it.each(Object.keys(MACHINE_TYPES))('knows what a %s costs, and that spot is cheaper', (machineType) => {
  const spot = pricePerHour({ machineType, model: 'SPOT' });
  expect(spot).toBeGreaterThan(0);
  if (!SPOT_ONLY.includes(machineType))
    expect(pricePerHour({ machineType, model: 'STANDARD' })).toBeGreaterThan(spot);
});

it('knows the prices of both provisioning models, attached accelerators, and of nothing unknown', async () => {
  expect(pricePerHour({ machineType: 'a2-highgpu-1g', model: 'STANDARD' })).toBe(3.673385);
  const sim = createFastSimulator();
  await sim.start({
    machineType: `zones/${ZONE}/machineTypes/n1-standard-4`,
    guestAccelerators: [
      { acceleratorType: `zones/${ZONE}/acceleratorTypes/nvidia-tesla-t4`, acceleratorCount: 2 },
    ],
    scheduling: SPOT,
  });
  expect(sim.ledger.usages()[0]?.usd).toBeCloseTo((0.04 + 2 * 0.14) / 60, 9);
  expect(() => pricePerHour({ machineType: 'a3-highgpu-1g', model: 'STANDARD' })).toThrow(
    'There is no price for a STANDARD a3-highgpu-1g.',
  );
});
