import { describe, expect, it } from 'vitest';
import { createFastSimulator, instanceRequest, type Json, SPOT } from './fast-simulator.ts';
import { parseFilter } from './filter.ts';

const RESOURCE = {
  name: 'goldfish-r1',
  status: 'RUNNING',
  labels: { run: 'r1', 'goldfish-worker': 'w1' },
  creationTimestamp: '2026-01-01T02:00:00.000-08:00',
  scheduling: { provisioningModel: 'SPOT', preemptible: true },
  sizeGb: '9',
};

describe('a filter', () => {
  it.each([
    ['labels.run=r1', true],
    ['labels.run = "r1"', true],
    ["labels.run='r2'", false],
    ['labels.run!=r1', false],
    ['labels.none!=r1', true],
    ['labels.goldfish-worker:*', true],
    ['labels.none:*', false],
    ['NOT labels.none:*', true],
    ['-labels.run:*', false],
    ['status=RUNNING', true],
    ['status=RUNNING AND labels.run=r2', false],
    ['status=STOPPING OR labels.run=r1', true],
    ['(status=RUNNING) (labels.run=r1)', true],
    ['((status = RUNNING) OR (status = STAGING)) AND (labels.run = r2)', false],
    ['name:goldfish-*', true],
    ['name:fish*', false],
    ['name:FISH', true],
    ['name eq "goldfish-.*"', true],
    ['name eq ".*\\bgoldfish\\b.*"', true],
    ['name ne "goldfish"', true],
    ['scheduling.provisioningModel=SPOT', true],
    ['scheduling.preemptible=true', true],
    ['creationTimestamp>"2026-01-01T09:59:59Z"', true],
    ['creationTimestamp<"2026-01-01T09:59:59Z"', false],
    ['sizeGb<10', true],
    ['sizeGb>=9', true],
    ['', true],
  ])('%s is %s', (text, expected) => {
    expect(parseFilter(text)(RESOURCE)).toBe(expected);
  });

  it.each([
    'labels.run=',
    '=r1',
    '(status=RUNNING',
    'status RUNNING',
    'status=RUNNING AND',
    'a=b)',
    'status~RUNNING',
  ])('that cannot be read is refused: %s', async (text) => {
    const sim = createFastSimulator();
    const { status, body } = await sim.call(
      'GET',
      `zones/us-east1-b/instances?filter=${encodeURIComponent(text)}`,
    );
    expect([status, body.error?.message]).toEqual([
      400,
      `Invalid value for field 'filter': '${text}'. Invalid list filter expression.`,
    ]);
  });
});

async function fleet() {
  const sim = createFastSimulator();
  for (const [zone, name] of [
    ['us-central1-a', 'm3'],
    ['us-central1-a', 'm1'],
    ['us-east1-b', 'm2'],
    ['us-central1-a', 'm2'],
  ]) {
    const labels = { run: name === 'm1' ? 'r1' : 'r2' };
    await sim.post(`zones/${zone}/instances`, instanceRequest({ name, labels, scheduling: SPOT }, zone));
    await sim.time.advance(1_000);
  }
  return sim;
}

describe('a list', () => {
  it('comes in pages that neither repeat nor hide, whatever is deleted between', async () => {
    const sim = await fleet();
    await sim.time.advance(60_000);
    const path = 'zones/us-central1-a/instances?maxResults=1';
    const first = await sim.get(path);
    expect(first.items.map(({ name }: Json) => name)).toEqual(['m1']);
    await sim.done(await sim.remove('zones/us-central1-a/instances/m1'));
    const second = await sim.get(`${path}&pageToken=${first.nextPageToken}`);
    expect(second.items.map(({ name }: Json) => name)).toEqual(['m2']);
    const third = await sim.get(`${path}&pageToken=${second.nextPageToken}`);
    expect(third.items.map(({ name }: Json) => name)).toEqual(['m3']);
    expect(third.nextPageToken).toBeUndefined();
  });

  it('of all zones names each zone, and pages over them', async () => {
    const sim = await fleet();
    const seen: string[] = [];
    let token = '';
    do {
      const { items, nextPageToken } = await sim.get(
        `aggregated/instances?maxResults=1&filter=labels.run=r2&pageToken=${token}`,
      );
      expect(Object.keys(items)).toContain('zones/europe-west4-b');
      for (const [scope, found] of Object.entries<Json>(items)) {
        for (const { name } of found.instances ?? []) seen.push(`${scope} ${name}`);
        if (!found.instances) expect(found.warning.code).toBe('NO_RESULTS_ON_PAGE');
      }
      token = nextPageToken;
    } while (token);
    expect(seen).toEqual(['zones/us-central1-a m2', 'zones/us-central1-a m3', 'zones/us-east1-b m2']);
  });

  it('can begin with the newest', async () => {
    const sim = await fleet();
    const { items } = await sim.get('zones/us-central1-a/instances?orderBy=creationTimestamp%20desc');
    expect(items.map(({ name }: Json) => name)).toEqual(['m2', 'm1', 'm3']);
  });

  it.each(['maxResults=501', 'maxResults=x', 'pageToken=abc', 'orderBy=status'])(
    'is refused with %s',
    async (query) => {
      const sim = createFastSimulator();
      expect((await sim.call('GET', `zones/us-central1-a/instances?${query}`)).status).toBe(400);
    },
  );

  it('of operations tells what happened to one machine, over all zones too', async () => {
    const sim = await fleet();
    await sim.time.advance(60_000);
    const link = 'https://www.googleapis.com/compute/v1/projects/demo/zones/us-central1-a/instances/m1';
    sim.preempt('m1');
    const filter = encodeURIComponent(
      `(operationType="compute.instances.preempted") AND (targetLink="${link}")`,
    );
    const { items } = await sim.get(`zones/us-central1-a/operations?filter=${filter}`);
    expect(items).toHaveLength(1);
    const aggregated = await sim.get(`aggregated/operations?filter=${filter}`);
    expect(aggregated.items['zones/us-central1-a'].operations).toEqual(items);
    expect((await sim.get('global/operations')).items).toBeUndefined();
    expect((await sim.call('GET', 'global/operations/operation-1')).status).toBe(404);
  });
});

describe('what is there before anything is rented', () => {
  it('is a project with quotas, regions, zones, machine types and images', async () => {
    const sim = createFastSimulator();
    const { quotas } = await sim.get('regions/us-central1');
    expect(quotas).toContainEqual({ metric: 'CPUS', limit: 5_000, usage: 0 });
    const zones = (await sim.get('zones')).items.map(({ name }: Json) => name);
    expect(zones).toContain('us-central1-f');
    expect(await sim.get('zones/us-central1-f')).toMatchObject({ status: 'UP' });
    const types = await sim.get('zones/us-central1-f/machineTypes?filter=name:a*');
    expect(types.items.map(({ name }: Json) => name)).toEqual(['a2-highgpu-1g', 'a2-highgpu-8g']);
    expect(await sim.get('zones/us-central1-a/machineTypes/a2-highgpu-1g')).toMatchObject({
      guestCpus: 12,
      memoryMb: 87_040,
      accelerators: [{ guestAcceleratorType: 'nvidia-tesla-a100', guestAcceleratorCount: 1 }],
    });
    expect((await sim.call('GET', 'zones/us-central1-f/machineTypes/a3-highgpu-1g')).status).toBe(404);
    expect((await sim.get('regions')).items).toHaveLength(4);
    expect((await sim.call('GET', 'regions/nowhere')).status).toBe(400);
    expect((await sim.call('GET', 'zones/us-central1-z')).body.error.message).toBe(
      "Invalid value for field 'zone': 'us-central1-z'. Unknown zone.",
    );
  });
});
