import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CONTROLLER, claimSchema } from '../../../src/pool/documents.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

const CALLED_OFF = JSON.stringify({ schema: 1, by: CONTROLLER, nonce: '' });
const ran = () => readFile(join(rig.home, 'ran'), 'utf8').catch(() => '');
const counts = () => `echo ran >> '${join(rig.home, 'ran')}'`;

it('never begins a job that was called off', async () => {
  rig.boot();
  const job = await processJob(rig, counts());
  await rig.put(rig.claim(job, 1), CALLED_OFF);
  await rig.assign(job);
  await rig.told({ number: 1, job: 'called_off', phase: 'idle' });
  // The next one is begun.
  const next = await rig.assign(await processJob(rig, counts()));
  expect(await rig.result(next)).toMatchObject({ exitCode: 0 });
  expect(await ran()).toBe('ran\n');
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
});

it('begins nothing before it was heard of', async () => {
  const name = `workers/${rig.worker}/state.json`;
  await rig.fault({ on: 'objects.insert', name, do: { kind: 'status', status: 503 }, forMs: 600_000 });
  rig.boot();
  const job = await rig.assign(await processJob(rig, counts()));
  await rig.until(async () => rig.console.includes('its letter does not get through'), 'a second look');
  expect([await rig.read(rig.claim(job)), await ran()]).toEqual([undefined, '']);
  await rig.noFaults();
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
});

it('begins a job or has it called off, never both, when both are tried at once', async () => {
  rig.boot();
  await rig.told({ phase: 'idle' });
  let begun = 0;
  for (const late of [false, true]) {
    const job = await processJob(rig, counts());
    const assigning = rig.assign(job);
    if (late) {
      await assigning;
      await rig.until(async () => (await rig.read(rig.claim(job))) !== undefined, 'a claim');
    }
    const calledOff = await rig.put(rig.claim(job, late ? 2 : 1), CALLED_OFF, '0').then(
      () => true,
      () => false,
    );
    await assigning;
    const claim = claimSchema.parse(await rig.json(rig.claim(job)));
    expect(claim.by).toBe(calledOff ? CONTROLLER : rig.worker);
    if (!calledOff) begun += 1;
    await rig.told({ phase: 'idle', job: calledOff ? 'called_off' : 'ended' });
    expect((await ran()).length).toBe('ran\n'.length * begun);
  }
  expect(begun).toBeGreaterThan(0);
});

it('is one program on its machine, however often it is started', async () => {
  rig.boot();
  await rig.told({ phase: 'idle' });
  expect(await rig.startAgain()).toContain('runs already');
  const job = await rig.assign(await processJob(rig, counts()));
  await rig.result(job);
  expect([await ran(), (await rig.letter())!.boot]).toEqual(['ran\n', 1]);
});

it('never runs a job again that a reboot cut short, and says that it is lost', async () => {
  rig.boot();
  const script = `${counts()}; echo > "$GOLDFISH_CONTROL/go"; touch "$GOLDFISH_OUTPUTS/.left"; sleep 300`;
  const job = await rig.assign(await processJob(rig, script));
  await rig.until(() => existsSync(join(rig.job, 'attempt/outputs/.left')), 'the program ran');
  await rig.cutPower();
  expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  rig.boot();
  expect(await rig.result(job)).toMatchObject({
    runId: job.runId,
    attempt: 1,
    started: true,
    lost: true,
    exitCode: null,
    error: expect.stringContaining('started anew'),
  });
  expect(await rig.told({ phase: 'idle', boot: 2 })).toMatchObject({ number: 1, job: 'ended' });
  expect(existsSync(rig.job)).toBe(false);
  const next = await rig.assign(await processJob(rig, counts()));
  expect(await rig.result(next)).toMatchObject({ exitCode: 0 });
  expect(await ran()).toBe('ran\nran\n');
});

it('does not take the claim of an earlier boot for its own, though its disk forgot everything', async () => {
  const job = await processJob(rig, counts());
  await rig.put(rig.claim(job, 1), JSON.stringify({ schema: 1, by: rig.worker, nonce: 'of-another-boot' }));
  await rig.assign(job);
  rig.boot();
  expect(await rig.result(job)).toMatchObject({ started: false, lost: true });
  await rig.told({ phase: 'idle', job: 'ended' });
  expect(await ran()).toBe('');
});

it('leaves a result alone that is there already', async () => {
  rig.boot();
  const job = await processJob(rig, 'true');
  await rig.put(`${job.prefix}exit.json`, '{"by": "somebody else"}');
  await rig.assign(job);
  await rig.told({ phase: 'idle', job: 'ended' });
  expect(await rig.json(`${job.prefix}exit.json`)).toEqual({ by: 'somebody else' });
});
