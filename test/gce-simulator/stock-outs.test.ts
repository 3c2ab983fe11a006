import { describe, expect, it } from 'vitest';
import { createFastSimulator, instanceRequest, type Json, SPOT, ZONE } from './fast-simulator.ts';
import { STOCK_OUT_WORDINGS } from './faults.ts';

const INSTANCES = `zones/${ZONE}/instances`;
const ONE = `${INSTANCES}/m1`;

describe('a stock-out', () => {
  const CODES: Record<string, string> = {
    'pool-exhausted': 'ZONE_RESOURCE_POOL_EXHAUSTED',
    'pool-exhausted-resource-type': 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
    'pool-exhausted-state': 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
    'pool-exhausted-other-zones': 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
    'region-pool-exhausted': 'REGION_RESOURCE_POOL_EXHAUSTED',
    stockout: 'STOCKOUT',
    'preempted-at-start': 'UNSUPPORTED_OPERATION',
    'incompatible-under-this-code': 'ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS',
  };

  it.each(STOCK_OUT_WORDINGS.filter((wording) => wording !== 'refused-at-once'))(
    'worded as %s shows in the operation, and leaves neither machine nor disk',
    async (wording) => {
      const sim = createFastSimulator();
      sim.faults.add({ kind: 'stock-out', zone: ZONE, wording });
      const inserted = await sim.post(INSTANCES, instanceRequest());
      expect(sim.status()).toBe('PROVISIONING');
      const ended = await sim.done(inserted);
      expect(ended.error.errors).toHaveLength(1);
      expect(ended.error.errors[0].code).toBe(CODES[wording]);
      expect(ended.httpErrorStatusCode).toBe(wording === 'incompatible-under-this-code' ? 400 : 503);
      expect([sim.instances(), sim.disks(), sim.ledger.usages()]).toEqual([[], [], []]);
      await sim.start();
    },
  );

  it('names the zones that have some, as the service does', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'stock-out', model: 'SPOT', wording: 'pool-exhausted-other-zones' });
    const request = instanceRequest({
      machineType: `zones/${ZONE}/machineTypes/a3-highgpu-1g`,
      scheduling: SPOT,
    });
    const { error } = await sim.done(await sim.post(INSTANCES, request));
    expect(error.errors[0].message).toBe(
      `The zone 'projects/demo/zones/${ZONE}' does not have enough resources available to fulfill the request.  '(resource type:compute)'.`,
    );
    expect(error.errors[0].errorDetails[2].errorInfo).toEqual({
      domain: 'compute.googleapis.com',
      reason: 'resource_availability',
      metadatas: {
        attachment: 'nvidia-h100-80gb:1',
        vmType: 'a3-highgpu-1g',
        zone: ZONE,
        zonesAvailable: 'us-central1-b,us-central1-c',
      },
    });
  });

  it('may refuse the request itself', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'stock-out', wording: 'refused-at-once' });
    expect(await sim.call('POST', INSTANCES, instanceRequest())).toMatchObject({
      status: 503,
      body: { error: { errors: [{ reason: 'insufficientCapacity' }] } },
    });
    expect(sim.instances()).toEqual([]);
  });

  it('also keeps a stopped machine from starting, which stays as it was', async () => {
    const sim = createFastSimulator();
    await sim.start();
    await sim.done(await sim.post(`${ONE}/stop`));
    sim.faults.add({ kind: 'stock-out' });
    const { error } = await sim.done(await sim.post(`${ONE}/start`));
    expect(error.errors[0].code).toBe('ZONE_RESOURCE_POOL_EXHAUSTED');
    expect(sim.status()).toBe('TERMINATED');
  });
});

describe('quota', () => {
  it('is counted per region and in all, and frees what is off', async () => {
    const sim = createFastSimulator({ quotas: { 'us-central1': { CPUS: 7 } } });
    await sim.start();
    const { error, httpErrorStatusCode } = await sim.done(
      await sim.post(INSTANCES, instanceRequest({ name: 'm2' })),
    );
    expect(httpErrorStatusCode).toBe(403);
    expect(error.errors).toEqual([
      {
        code: 'QUOTA_EXCEEDED',
        message: "Quota 'CPUS' exceeded.  Limit: 7.0 in region us-central1.",
        errorDetails: [
          {
            quotaInfo: {
              metricName: 'compute.googleapis.com/cpus',
              limitName: 'CPUS-per-project-region',
              dimensions: { region: 'us-central1' },
              limit: 7,
            },
          },
        ],
      },
    ]);
    const cpus = async () =>
      (await sim.get('regions/us-central1')).quotas.find(({ metric }: Json) => metric === 'CPUS').usage;
    expect(await cpus()).toBe(4);
    await sim.start({ name: 's1', scheduling: SPOT });
    expect(await cpus()).toBe(4);
    await sim.done(await sim.post(`${ONE}/stop`));
    expect(await cpus()).toBe(0);
  });

  it('may be said to be used up, by the request or by its operation', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'quota', metric: 'NVIDIA_A100_GPUS', limit: 0, as: 'request' });
    expect((await sim.call('POST', INSTANCES, instanceRequest())).body.error).toMatchObject({
      code: 403,
      message: "Quota 'NVIDIA_A100_GPUS' exceeded.  Limit: 0.0 in region us-central1.",
      errors: [{ reason: 'quotaExceeded' }],
    });
    sim.faults.add({ kind: 'quota' });
    const { error } = await sim.done(await sim.post(INSTANCES, instanceRequest()));
    expect(error.errors[0].code).toBe('QUOTA_EXCEEDED');
  });
});
