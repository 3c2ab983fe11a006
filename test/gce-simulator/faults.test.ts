import { describe, expect, it } from 'vitest';
import { createFastSimulator, instanceRequest, type Json, SPOT, ZONE } from './fast-simulator.ts';
import { createFaultBook, type FaultInput } from './faults.ts';
import { scriptedMachine } from './scripted-machine.ts';

const INSTANCES = `zones/${ZONE}/instances`;
const ONE = `${INSTANCES}/m1`;

describe('a fault', () => {
  it('strikes as often as it says, where it fits, and until it is lifted', () => {
    const book = createFaultBook();
    const lift = book.add({ kind: 'stock-out', zone: 'a', times: 'always' });
    book.add({ kind: 'stock-out', name: 'spot-*', model: 'SPOT', times: 2, wording: 'stockout' });
    const strikes = (subject: Parameters<typeof book.take>[1]) => book.take('stock-out', subject)?.wording;
    expect(strikes({ zone: 'b', name: 'spot-1', model: 'STANDARD' })).toBeUndefined();
    expect(strikes({ zone: 'a', name: 'x' })).toBe('pool-exhausted');
    expect(strikes({ zone: 'b', name: 'spot-1', model: 'SPOT' })).toBe('stockout');
    expect(strikes({ zone: 'b', name: 'spot-2', model: 'SPOT' })).toBe('stockout');
    expect(strikes({ zone: 'b', name: 'spot-3', model: 'SPOT' })).toBeUndefined();
    lift();
    expect(strikes({ zone: 'a' })).toBeUndefined();
    expect(book.pending()).toEqual([]);
  });

  it('that is none is refused', () => {
    const book = createFaultBook();
    const wrong = { kind: 'stock-out', zones: 'a' } as Json as FaultInput;
    expect(() => book.add(wrong)).toThrow(/zones/);
  });
});

describe('an answer', () => {
  it('fails with the status, before or after the effect, so many times', async () => {
    const sim = createFastSimulator();
    for (const status of [429, 500, 503] as const) {
      sim.faults.add({ kind: 'api-error', method: 'instances.list', status, times: 2 });
    }
    const seen: number[] = [];
    for (let call = 0; call < 7; call++) seen.push((await sim.call('GET', INSTANCES)).status);
    expect(seen).toEqual([429, 429, 500, 500, 503, 503, 200]);
    sim.faults.add({ kind: 'api-error', method: 'instances.insert', status: 503 });
    expect((await sim.call('POST', INSTANCES, instanceRequest())).status).toBe(503);
    expect(sim.instances()).toEqual([]);
    sim.faults.add({ kind: 'api-error', method: 'instances.insert', status: 502, after: true });
    const lost = await sim.call('POST', INSTANCES, instanceRequest());
    expect([lost.status, typeof lost.body, sim.status()]).toEqual([502, 'string', 'PROVISIONING']);
  });

  it('is lost on the way, and the request id finds what was done', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'disconnect', method: 'instances.insert', after: true });
    const path = `${INSTANCES}?requestId=11111111-2222-4333-8444-555555555555`;
    await expect(sim.call('POST', path, instanceRequest())).rejects.toThrow('disconnect');
    expect((await sim.done(await sim.post(path, instanceRequest()))).error).toBeUndefined();
    expect(sim.calls.records.map(({ status }) => status).slice(0, 2)).toEqual([0, 200]);
  });

  it('cannot be given of a zone that is out of reach, which is not an empty zone', async () => {
    const sim = createFastSimulator();
    await sim.start();
    const lift = sim.faults.add({ kind: 'zone-unreachable', zone: ZONE, times: 'always' });
    expect((await sim.call('GET', ONE)).status).toBe(503);
    expect((await sim.call('GET', 'aggregated/instances')).status).toBe(503);
    const partial = await sim.get('aggregated/instances?returnPartialSuccess=true');
    expect(partial.unreachables).toEqual([`zones/${ZONE}`]);
    expect(partial.items[`zones/${ZONE}`].warning.code).toBe('UNREACHABLE');
    expect(partial.items['zones/us-central1-b'].warning.code).toBe('NO_RESULTS_ON_PAGE');
    lift();
    expect((await sim.get('aggregated/instances')).items[`zones/${ZONE}`].instances).toHaveLength(1);
  });
});

describe('an operation', () => {
  it('is forgotten, or never done, although it was carried out', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'lost-operation', method: 'instances.insert', how: 'forgotten', name: 'm1' });
    sim.faults.add({ kind: 'lost-operation', method: 'instances.insert', how: 'never-done', name: 'm2' });
    const forgotten = await sim.post(INSTANCES, instanceRequest());
    const endless = await sim.post(INSTANCES, instanceRequest({ name: 'm2' }));
    await sim.time.advance(60_000);
    expect([sim.status('m1'), sim.status('m2')]).toEqual(['RUNNING', 'RUNNING']);
    expect((await sim.call('GET', `zones/${ZONE}/operations/${forgotten.name}`)).status).toBe(404);
    expect(await sim.get(`zones/${ZONE}/operations/${endless.name}`)).toMatchObject({
      status: 'RUNNING',
      progress: 0,
    });
    const asked = sim.post(`zones/${ZONE}/operations/${endless.name}/wait`);
    await sim.time.advance(119_999);
    await expect(Promise.race([asked, 'waits'])).resolves.toBe('waits');
    await sim.time.advance(1);
    expect((await asked).status).toBe('RUNNING');
  });

  it('fails and changes nothing', async () => {
    const sim = createFastSimulator();
    const { metadata } = await sim.start();
    sim.faults.add({
      kind: 'operation-error',
      method: 'instances.setMetadata',
      code: 'RESOURCE_OPERATION_RATE_EXCEEDED',
    });
    const body = { fingerprint: metadata.fingerprint, items: [{ key: 'job', value: '1' }] };
    const { error } = await sim.done(await sim.post(`${ONE}/setMetadata`, body));
    expect(error.errors[0].code).toBe('RESOURCE_OPERATION_RATE_EXCEEDED');
    expect((await sim.get(ONE)).metadata).toEqual(metadata);
    sim.faults.add({ kind: 'operation-error', method: 'instances.insert', name: 'm2' });
    const failed = await sim.done(await sim.post(INSTANCES, instanceRequest({ name: 'm2' })));
    expect([failed.error.errors[0].code, sim.instances().length]).toEqual(['INTERNAL_ERROR', 1]);
  });

  it('of a deletion never ends, the machine costs money, and another deletion gets through', async () => {
    const sim = createFastSimulator();
    await sim.start();
    sim.faults.add({ kind: 'delete-never-confirms' });
    const first = await sim.remove(ONE);
    await sim.time.advance(3_600_000);
    expect([(await sim.get(`zones/${ZONE}/operations/${first.name}`)).status, sim.status()]).toEqual([
      'RUNNING',
      'STOPPING',
    ]);
    expect(sim.ledger.usages()[0]?.endedAt).toBeUndefined();
    const asked = sim.time.now();
    expect((await sim.done(await sim.remove(ONE))).error).toBeUndefined();
    expect(sim.instances()).toEqual([]);
    expect(sim.ledger.usages()[0]?.endedAt).toBeGreaterThan(asked);
  });
});

describe('writing', () => {
  it('needs the fingerprint of now, also where somebody else wrote meanwhile', async () => {
    const sim = createFastSimulator();
    const { metadata, labelFingerprint } = await sim.start();
    const write = (fingerprint: string, value: string) =>
      sim.call('POST', `${ONE}/setMetadata`, { fingerprint, items: [{ key: 'job', value }] });
    const [first, second] = [await write(metadata.fingerprint, '1'), await write(metadata.fingerprint, '2')];
    expect((await sim.done(first.body)).error).toBeUndefined();
    expect((await sim.done(second.body)).error.errors[0].code).toBe('CONDITION_NOT_MET');
    expect(await write(metadata.fingerprint, '3')).toMatchObject({
      status: 412,
      body: {
        error: {
          message: 'Supplied fingerprint does not match current metadata fingerprint.',
          errors: [{ reason: 'conditionNotMet' }],
        },
      },
    });
    expect((await sim.get(ONE)).metadata.items).toEqual([{ key: 'job', value: '1' }]);
    sim.faults.add({ kind: 'stale-fingerprint', method: 'instances.setMetadata' });
    expect((await write((await sim.get(ONE)).metadata.fingerprint, '4')).status).toBe(412);
    const label = (fingerprint: string) =>
      sim.call('POST', `${ONE}/setLabels`, { labelFingerprint: fingerprint, labels: { run: 'r1' } });
    expect((await sim.done((await label(labelFingerprint)).body)).error).toBeUndefined();
    expect((await sim.get(ONE)).labels).toEqual({ run: 'r1' });
    expect((await label(labelFingerprint)).status).toBe(412);
    sim.faults.add({ kind: 'stale-fingerprint', method: 'instances.setLabels' });
    expect((await label((await sim.get(ONE)).labelFingerprint)).status).toBe(412);
  });
});

describe('a machine', () => {
  it('comes late: out of provisioning, into lists, up', async () => {
    const sim = createFastSimulator({ createMachine: scriptedMachine((guest) => guest.print('up')) });
    sim.faults.add({ kind: 'slow-provisioning', ms: 600_000 });
    sim.faults.add({ kind: 'late-visibility', ms: 300_000, of: 'lists and get', name: 'm1' });
    sim.faults.add({ kind: 'slow-boot', ms: 120_000 });
    await sim.post(INSTANCES, instanceRequest());
    const shown = async () => [(await sim.call('GET', ONE)).status, (await sim.get(INSTANCES)).items?.length];
    expect(await shown()).toEqual([404, undefined]);
    await sim.time.advance(300_000);
    expect([...(await shown()), sim.status()]).toEqual([200, 1, 'PROVISIONING']);
    await sim.time.until(() => sim.status() === 'RUNNING');
    expect((await sim.get(`${ONE}/serialPort`)).contents).toBe('');
    await sim.time.advance(120_000);
    expect((await sim.get(`${ONE}/serialPort`)).contents).toBe('up\n');
  });

  it.each([
    ['preempt', 'TERMINATED', ['insert', 'compute.instances.preempted']],
    ['stop', 'TERMINATED', ['insert', 'stop']],
    ['vanish', undefined, ['insert']],
    ['host-error', 'TERMINATED', ['insert', 'compute.instances.hostError']],
  ] as const)('suffers a %s some time after it runs', async (kind, status, operations) => {
    const sim = createFastSimulator();
    sim.faults.add({ kind, name: 'm1', afterMs: 60_000 });
    await sim.start({ scheduling: SPOT });
    await sim.time.advance(59_999);
    expect(sim.status()).toBe('RUNNING');
    await sim.time.advance(60_000);
    expect(sim.status()).toBe(status);
    const { items } = await sim.get(`zones/${ZONE}/operations`);
    expect(items.map(({ operationType }: Json) => operationType).sort()).toEqual([...operations].sort());
    expect(sim.ledger.usages()).toMatchObject([{ endedAt: expect.any(Number) }]);
  });

  it('that vanishes under an operation lets it fail, and a deletion succeed', async () => {
    const sim = createFastSimulator();
    await sim.start();
    const { metadata } = await sim.get(ONE);
    const write = await sim.post(`${ONE}/setMetadata`, { fingerprint: metadata.fingerprint, items: [] });
    const stop = await sim.post(`${ONE}/stop`);
    const remove = await sim.remove(ONE);
    await sim.time.advance(300);
    sim.vanish('m1');
    for (const operation of [write, stop]) {
      expect((await sim.done(operation)).error.errors[0].code).toBe('RESOURCE_NOT_FOUND');
    }
    expect((await sim.done(remove)).error).toBeUndefined();
  });

  it('is preempted without a notice', async () => {
    const sim = createFastSimulator();
    sim.faults.add({ kind: 'preempt', noticeMs: 0 });
    await sim.start({ scheduling: SPOT });
    await sim.time.advance(0);
    expect(sim.status()).toBe('TERMINATED');
  });
});

it('lets the clocks of the service and of machines go wrong', async () => {
  let guestNow = 0;
  const sim = createFastSimulator({
    createMachine: scriptedMachine((guest) => {
      guestNow = guest.now();
    }),
  });
  sim.faults.add({ kind: 'clock-skew', of: 'service', ms: -3_600_000, times: 'always' });
  sim.faults.add({ kind: 'clock-skew', of: 'machine', ms: 60_000, times: 'always' });
  const before = sim.time.now();
  const { creationTimestamp } = await sim.start();
  expect(creationTimestamp).toMatch(/-08:00$/);
  expect(Date.parse(creationTimestamp)).toBe(before - 3_600_000);
  expect(guestNow - sim.time.now()).toBeGreaterThan(50_000);
});
