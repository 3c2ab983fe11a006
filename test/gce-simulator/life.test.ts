import { expect, it } from 'vitest';
import { createFastSimulator, instanceRequest, SPOT, ZONE } from './fast-simulator.ts';
import { scriptedMachine } from './scripted-machine.ts';

const ONE = `zones/${ZONE}/instances/m1`;

it('brings a machine from PROVISIONING over STAGING to RUNNING, and its operation from PENDING to DONE', async () => {
  const sim = createFastSimulator();
  const inserted = await sim.post(`zones/${ZONE}/instances`, instanceRequest());
  expect(inserted).toMatchObject({
    kind: 'compute#operation',
    operationType: 'insert',
    status: 'PENDING',
    progress: 0,
  });
  const path = `zones/${ZONE}/operations/${inserted.name}`;
  const seen: string[] = [];
  for (let step = 0; step < 100; step++) {
    const now = `${(await sim.get(path)).status} ${sim.status()}`;
    if (seen.at(-1) !== now) seen.push(now);
    await sim.time.advance(100);
  }
  expect(seen).toEqual(['PENDING PROVISIONING', 'RUNNING PROVISIONING', 'RUNNING STAGING', 'DONE RUNNING']);
  const ended = await sim.get(path);
  expect(ended).toMatchObject({
    progress: 100,
    targetLink: expect.stringMatching(/\/zones\/us-central1-a\/instances\/m1$/),
  });
  expect(ended.error).toBeUndefined();
});

it('stops, starts and deletes; what is off answers to stop, what is on to start', async () => {
  const sim = createFastSimulator();
  await sim.start();
  for (const [verb, status] of [
    ['start', 'RUNNING'],
    ['stop', 'TERMINATED'],
    ['stop', 'TERMINATED'],
    ['start', 'RUNNING'],
    ['reset', 'RUNNING'],
  ] as const) {
    const operation = await sim.done(await sim.post(`${ONE}/${verb}`));
    expect([verb, operation.error, sim.status()]).toEqual([verb, undefined, status]);
  }
  const deleted = await sim.done(await sim.remove(ONE));
  expect(deleted.error).toBeUndefined();
  expect((await sim.call('GET', ONE)).body.error).toEqual({
    code: 404,
    message: `The resource 'projects/demo/${ONE}' was not found`,
    errors: [
      { message: `The resource 'projects/demo/${ONE}' was not found`, domain: 'global', reason: 'notFound' },
    ],
  });
  expect((await sim.get(`zones/${ZONE}/instances`)).items).toBeUndefined();
});

it('lets a deletion wait for its insert, and a second deletion find nothing', async () => {
  const sim = createFastSimulator();
  const inserted = await sim.post(`zones/${ZONE}/instances`, instanceRequest());
  const first = await sim.remove(ONE);
  const second = await sim.remove(ONE);
  expect((await sim.done(first)).error).toBeUndefined();
  expect((await sim.done(inserted)).error).toBeUndefined();
  expect((await sim.done(second)).status).toBe('DONE');
  expect(sim.instances()).toEqual([]);
  expect(sim.disks()).toEqual([]);
});

it('gives a request id one operation, whatever is asked twice', async () => {
  const sim = createFastSimulator();
  const path = `zones/${ZONE}/instances?requestId=11111111-2222-4333-8444-555555555555`;
  const first = await sim.post(path, instanceRequest());
  await sim.done(first);
  const again = await sim.post(path, instanceRequest());
  expect(again).toMatchObject({
    name: first.name,
    status: 'DONE',
    clientOperationId: '11111111-2222-4333-8444-555555555555',
  });
  expect(sim.instances()).toHaveLength(1);
  expect(await sim.call('POST', `zones/${ZONE}/instances`, instanceRequest())).toMatchObject({
    status: 409,
    body: { error: { code: 409, errors: [{ reason: 'alreadyExists' }] } },
  });
  expect((await sim.call('POST', `zones/${ZONE}/instances?requestId=7`, instanceRequest())).status).toBe(400);
});

it('keeps a disk without autoDelete, and refuses a new machine the name of a disk that is there', async () => {
  const sim = createFastSimulator();
  const [boot] = instanceRequest().disks;
  await sim.start({
    disks: [{ ...boot, autoDelete: false }, { initializeParams: { diskName: 'data', diskSizeGb: '20' } }],
  });
  const inUse = await sim.call('DELETE', `zones/${ZONE}/disks/data`);
  expect(inUse).toMatchObject({
    status: 400,
    body: { error: { errors: [{ reason: 'resourceInUseByAnotherResource' }] } },
  });
  await sim.done(await sim.remove(ONE));
  const left = (await sim.get(`zones/${ZONE}/disks`)).items;
  expect(left.map((disk: { name: string; users?: string[] }) => [disk.name, disk.users])).toEqual([
    ['data', undefined],
    ['m1', undefined],
  ]);
  expect(await sim.call('POST', `zones/${ZONE}/instances`, instanceRequest())).toMatchObject({
    status: 409,
    body: { error: { message: `The resource 'projects/demo/zones/${ZONE}/disks/m1' already exists` } },
  });
  for (const name of ['data', 'm1']) await sim.done(await sim.remove(`zones/${ZONE}/disks/${name}`));
  expect(sim.disks()).toEqual([]);
});

it('cuts the power of a system that does not shut down in time', async () => {
  const createMachine = scriptedMachine((guest) => {
    guest.onPowerButton(() => guest.print('no'));
    guest.after(95_000, () => guest.print('still here'));
  });
  const sim = createFastSimulator({ createMachine });
  await sim.start();
  await sim.post(`${ONE}/stop`);
  await sim.time.advance(90_000);
  expect(sim.status()).toBe('STOPPING');
  expect((await sim.get(`${ONE}/serialPort`)).contents).toBe('no\n');
  await sim.time.advance(1_000);
  expect(sim.status()).toBe('TERMINATED');
});

it('is TERMINATED when the system shuts itself down, with the event of the service', async () => {
  const sim = createFastSimulator({
    createMachine: scriptedMachine((guest) => guest.after(10_000, guest.halt)),
  });
  await sim.start();
  await sim.time.until(() => sim.status() === 'TERMINATED');
  const { items } = await sim.get(
    `zones/${ZONE}/operations?filter=operationType="compute.instances.guestTerminate"`,
  );
  expect(items).toHaveLength(1);
});

it('ends a machine when its run time is over, and deletes it where that was asked', async () => {
  const sim = createFastSimulator();
  const limits = { maxRunDuration: { seconds: '600' }, instanceTerminationAction: 'DELETE' };
  const instance = await sim.start({ scheduling: limits });
  const ends = Date.parse(instance.resourceStatus.scheduling.terminationTimestamp);
  expect(ends - Date.parse(instance.lastStartTimestamp)).toBe(600_000);
  await sim.time.until(() => sim.instances().length === 0);
  expect(sim.time.now()).toBeGreaterThanOrEqual(ends);
  expect(sim.disks()).toEqual([]);
});

it('preempts a spot machine: notice, shutdown, an event of the service, TERMINATED', async () => {
  const said: string[] = [];
  const createMachine = scriptedMachine((guest) => {
    guest.onPreempted(() => said.push('preempted'));
    guest.onPowerButton(() => said.push('power button'));
    if (guest.boot > 1) said.push(`boot ${guest.boot}`);
  });
  const sim = createFastSimulator({ createMachine });
  await sim.start({ scheduling: SPOT });
  sim.preempt('m1');
  expect(said).toEqual(['preempted', 'power button']);
  expect(sim.status()).toBe('STOPPING');
  await sim.time.advance(29_000);
  expect(sim.status()).toBe('STOPPING');
  await sim.time.advance(1_000);
  expect(sim.status()).toBe('TERMINATED');
  const found = await sim.get(
    `zones/${ZONE}/operations?filter=operationType%3D%22compute.instances.preempted%22`,
  );
  expect(found.items).toMatchObject([
    {
      name: expect.stringMatching(/^systemevent-/),
      status: 'DONE',
      user: 'system',
      statusMessage: 'Instance was preempted.',
      targetLink: `https://www.googleapis.com/compute/v1/projects/demo/${ONE}`,
    },
  ]);
  await sim.done(await sim.post(`${ONE}/start`));
  expect(said.at(-1)).toBe('boot 2');
  expect(sim.metadata('m1').value('instance/preempted')).toBe('FALSE');
});

it('is off as soon as the system has shut down at the notice', async () => {
  const sim = createFastSimulator({
    createMachine: scriptedMachine((guest) => guest.onPreempted(guest.halt)),
  });
  await sim.start({ scheduling: SPOT });
  sim.preempt('m1');
  await sim.time.advance(0);
  expect(sim.status()).toBe('TERMINATED');
});

it('deletes a preempted machine where its scheduling says so, and preempts no other than spot machines', async () => {
  const sim = createFastSimulator();
  await sim.start({ scheduling: { ...SPOT, instanceTerminationAction: 'DELETE' } });
  sim.preempt('m1');
  await sim.time.until(() => sim.instances().length === 0);
  expect(sim.disks()).toEqual([]);
  await sim.start({ name: 'm2' });
  expect(() => sim.preempt('m2')).toThrow('m2 is no spot machine.');
});

it('restarts a machine after a broken host only where it may', async () => {
  const sim = createFastSimulator();
  await sim.start();
  await sim.start({ name: 's1', scheduling: SPOT });
  sim.breakHost('m1');
  sim.breakHost('s1');
  expect([sim.status('m1'), sim.status('s1')]).toEqual(['STAGING', 'TERMINATED']);
  await sim.time.advance(120_000);
  expect([sim.status('m1'), sim.status('s1')]).toEqual(['RUNNING', 'TERMINATED']);
});
