import { describe, expect, it } from 'vitest';
import { createFastSimulator, type FastSimulator, type Json, ZONE } from './fast-simulator.ts';
import type { PowerCycle } from './machine.ts';
import { scriptedMachine } from './scripted-machine.ts';
import { createSerialLog } from './serial-log.ts';

const ONE = `zones/${ZONE}/instances/m1`;

async function write(sim: FastSimulator, items: Json): Promise<void> {
  const { metadata } = await sim.get(ONE);
  const { error } = await sim.done(
    await sim.post(`${ONE}/setMetadata`, { fingerprint: metadata.fingerprint, items }),
  );
  expect(error).toBeUndefined();
}

describe('the metadata of a machine', () => {
  const SERVICE_ACCOUNTS = [{ email: 'worker@demo.iam.gserviceaccount.com', scopes: ['a', 'b'] }];

  it('has paths in its own words, folders that list, and one JSON of all', async () => {
    const sim = createFastSimulator();
    const { id } = await sim.start({
      metadata: { items: [{ key: 'my-job', value: 'a\nb' }] },
      serviceAccounts: SERVICE_ACCOUNTS,
    });
    const { answer, value } = sim.metadata('m1');
    expect(value('instance/attributes/my-job')).toBe('a\nb');
    expect(value('instance/id')).toBe(id);
    expect(value('instance/zone')).toBe(`projects/123456789012/zones/${ZONE}`);
    expect(value('instance/service-accounts/default/email')).toBe('worker@demo.iam.gserviceaccount.com');
    expect(value('project/project-id')).toBe('demo');
    expect(answer({ path: 'instance/scheduling/' }).body).toBe(
      'automatic-restart\non-host-maintenance\npreemptible\n',
    );
    expect(answer({ path: 'instance/attributes' })).toMatchObject({
      status: 301,
      location: '/computeMetadata/v1/instance/attributes/',
    });
    for (const path of ['instance/nothing', 'instance/name/', 'instance/attributes/toString']) {
      expect(answer({ path }).status).toBe(404);
    }
    const all = answer({ path: 'instance/', recursive: true }).body;
    expect(all).toContain(`"id":${id}`);
    expect(JSON.parse(all)).toMatchObject({
      attributes: { 'my-job': 'a\nb' },
      preempted: 'FALSE',
      scheduling: { onHostMaintenance: 'MIGRATE', automaticRestart: 'TRUE' },
      serviceAccounts: { default: { scopes: ['a', 'b'] } },
    });
    expect(answer({ path: 'instance/scheduling/', recursive: true, alt: 'text' }).body).toBe(
      'automatic-restart TRUE\non-host-maintenance MIGRATE\npreemptible FALSE\n',
    );
    expect(answer({ path: 'instance/name', alt: 'json' }).body).toBe('"m1"');
  });

  it('answers who waits when the value is another one, at once when it was missed, and when time is up', async () => {
    const sim = createFastSimulator();
    await sim.start({ metadata: { items: [{ key: 'job', value: '1' }] } });
    const { answer, waitForChange } = sim.metadata('m1');
    const path = 'instance/attributes/job';
    const { etag } = answer({ path });
    const waiting = waitForChange({ path }, { lastEtag: etag });
    await write(sim, [
      { key: 'job', value: '1' },
      { key: 'other', value: '1' },
    ]);
    await expect(Promise.race([waiting, 'waits'])).resolves.toBe('waits');
    await write(sim, [{ key: 'job', value: '2' }]);
    expect(await waiting).toMatchObject({ body: '2' });
    expect((await waitForChange({ path }, { lastEtag: etag })).body).toBe('2');
    const timed = waitForChange({ path }, { timeoutSeconds: 10 });
    await sim.time.advance(9_999);
    await expect(Promise.race([timed, 'waits'])).resolves.toBe('waits');
    await sim.time.advance(1);
    expect((await timed).body).toBe('2');
    const removed = waitForChange({ path });
    await write(sim, []);
    expect((await removed).status).toBe(404);
  });
});

describe('a scripted machine', () => {
  it('sees attributes change, keeps its disk, and ends everything with its power', async () => {
    const createMachine = scriptedMachine((guest) => {
      guest.disk.set('boots', `${guest.disk.get('boots') ?? ''}${guest.boot}`);
      guest.print(`boots ${guest.disk.get('boots')} job ${guest.attribute('job')}`);
      guest.onAttribute('job', (job) => guest.print(`job ${job}`));
      guest.after(120_000, () => guest.print('two minutes'));
    });
    const sim = createFastSimulator({ createMachine });
    await sim.start({ metadata: { items: [{ key: 'job', value: '1' }] } });
    await write(sim, [{ key: 'job', value: '2' }]);
    await sim.done(await sim.post(`${ONE}/reset`));
    await write(sim, [{ key: 'job', value: '3' }]);
    await sim.time.advance(100_000);
    expect((await sim.get(`${ONE}/serialPort`)).contents).toBe(
      'boots 1 job 1\njob 2\nboots 12 job 2\njob 3\n',
    );
    await sim.time.advance(20_000);
    expect((await sim.get(`${ONE}/serialPort?start=${'boots 1 job 1\n'.length}`)).contents).toBe(
      'job 2\nboots 12 job 2\njob 3\ntwo minutes\n',
    );
    await sim.done(await sim.post(`${ONE}/stop`));
    expect(await sim.call('GET', `${ONE}/serialPort`)).toMatchObject({
      status: 400,
      body: { error: { errors: [{ reason: 'resourceNotReady' }] } },
    });
  });

  it('does nothing any more when its power is cut', async () => {
    const done: string[] = [];
    const createMachine = scriptedMachine((guest) => {
      guest.after(60_000, () => done.push(`timer of boot ${guest.boot}`));
      guest.onAttribute('job', (job) => done.push(`job ${job} at boot ${guest.boot}`));
    });
    const sim = createFastSimulator({ createMachine });
    await sim.start();
    await sim.done(await sim.post(`${ONE}/reset`));
    await write(sim, [{ key: 'job', value: '1' }]);
    await sim.time.advance(120_000);
    expect(done).toEqual(['job 1 at boot 2', 'timer of boot 2']);
  });
});

it('does not hear a machine of which an earlier boot speaks up late', async () => {
  const cycles: PowerCycle[] = [];
  const sim = createFastSimulator({
    createMachine: () => ({
      start: (cycle) => {
        cycles.push(cycle);
      },
      pressPowerButton: () => undefined,
      kill: () => undefined,
      remove: () => undefined,
    }),
  });
  await sim.start();
  await sim.done(await sim.post(`${ONE}/reset`));
  const [first, second] = cycles;
  first?.writeSerial('late\n');
  first?.poweredOff();
  second?.writeSerial('here\n');
  await sim.time.advance(60_000);
  expect([sim.status(), (await sim.get(`${ONE}/serialPort`)).contents]).toEqual(['RUNNING', 'here\n']);
});

it('lets no machine that cannot boot stay on', async () => {
  const sim = createFastSimulator({
    createMachine: () => ({
      start: () => Promise.reject(new Error('no such image')),
      pressPowerButton: () => undefined,
      kill: () => Promise.resolve(),
      remove: () => undefined,
    }),
  });
  await sim.start();
  await sim.time.until(() => sim.status() === 'TERMINATED', 60_000);
});

describe('the serial log', () => {
  it('keeps the last MiB, counts from the first byte ever, and says where it begins', () => {
    const log = createSerialLog();
    log.append('x'.repeat(1024 * 1024));
    log.append('12345');
    expect(log.read(0)).toMatchObject({ start: 5, next: 1024 * 1024 + 5 });
    expect(log.read(1024 * 1024)).toEqual({ contents: '12345', start: 1024 * 1024, next: 1024 * 1024 + 5 });
    expect(log.read(-3).contents).toBe('345');
    expect(log.read(2 ** 40)).toEqual({ contents: '', start: 1024 * 1024 + 5, next: 1024 * 1024 + 5 });
  });
});
