import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Assignment, assignmentKey, assignmentSchema } from '../../../src/pool/documents.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig, TOKEN } from './worker-rig.ts';

let rig: Rig;
openForEach((opened) => {
  rig = opened;
});

const assignment = async (): Promise<Assignment> =>
  assignmentSchema.parse(await rig.json(assignmentKey(rig.worker)));
const deletion = () => [
  {
    asked: `DELETE /compute/v1/projects/demo/zones/us-central1-a/instances/${rig.worker}`,
    authorization: undefined,
  },
];

it('closes its assignment when it was idle for too long, tells so, and asks for its own deletion', async () => {
  rig.boot({ idleSeconds: 3 });
  const job = await rig.assign(await processJob(rig, 'true'));
  await rig.result(job);
  await rig.told({ phase: 'idle', number: 1 });
  await rig.told({ phase: 'leaving', leaves: 'idle', number: 1, job: 'ended' });
  expect(await assignment()).toEqual({ schema: 1, worker: rig.worker, number: 1, job: null });
  await rig.until(() => rig.computeCalls.length > 0, 'a deletion');
  // The address is not one of https: the token of the machine goes to nobody in the clear.
  expect(rig.computeCalls).toEqual(deletion());
  // Nobody can give it work any more.
  await expect(rig.name(job)).rejects.toThrow('412');
  expect(rig.console).not.toContain(TOKEN);
});

it('stays where a job was assigned between its last look and its closing, and takes it', async () => {
  rig.boot({ idleSeconds: 2 });
  await rig.told({ phase: 'idle' });
  const job = await processJob(rig, 'true');
  // It does not see what is assigned until it has tried to close.
  const key = assignmentKey(rig.worker);
  await rig.fault({ on: 'objects.read', name: key, do: { kind: 'status', status: 404 }, times: 1000 });
  await rig.assign(job);
  await rig.until(() => rig.console.includes('was given a job'), 'a closing that was refused');
  await rig.noFaults();
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect((await assignment()).number).toBe(1);
});

it('leaves after one job where it is for one job only, without saying that it is idle', async () => {
  rig.boot({ singleUse: true });
  const job = await rig.assign(await processJob(rig, 'true'));
  await rig.result(job);
  const phases = new Set<string>();
  await rig.until(async () => {
    const { phase, leaves } = (await rig.letter())!;
    phases.add(phase);
    return leaves === 'single_use';
  }, 'that it leaves');
  expect([...phases]).not.toContain('idle');
  expect((await assignment()).job).toBeNull();
});

it('leaves after its first job where it is not to be idle', async () => {
  rig.boot({ idleSeconds: 0 });
  await rig.told({ phase: 'idle' });
  const job = await rig.assign(await processJob(rig, 'true'));
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  await rig.told({ phase: 'leaving', leaves: 'idle', job: 'ended' });
});

it('grows old over its boots, by no clock that can be set, and ends what it does when its life is over', async () => {
  const lived = join(rig.root, 'lived');
  rig.boot({ lifeSeconds: 1_000 });
  await rig.told({ phase: 'idle' });
  await rig.until(async () => (await readFile(lived, 'utf8').catch(() => '')) !== '', 'its age on the disk');
  await rig.cutPower();
  const age = Number(await readFile(lived, 'utf8'));
  expect(age).toBeGreaterThan(4);
  expect(age).toBeLessThan(600);
  await writeFile(lived, '982');
  const job = await rig.assign(await processJob(rig, 'while :; do sleep 0.1; done', { stopGraceSeconds: 1 }));
  rig.boot();
  expect(await rig.result(job)).toMatchObject({
    lost: true,
    stoppedBy: null,
    error: expect.stringContaining('end of its life'),
  });
  expect(await rig.told({ phase: 'leaving' })).toMatchObject({ leaves: 'deadline', boot: 2, job: 'ended' });
});

it('claims nothing any more when its life is over', async () => {
  rig.boot({ lifeSeconds: 1_000 });
  await rig.told({ phase: 'idle' });
  await rig.cutPower();
  await writeFile(join(rig.root, 'lived'), '1001');
  const job = await rig.assign(await processJob(rig, 'true'));
  rig.boot();
  await rig.told({ phase: 'leaving', leaves: 'deadline' });
  expect(await rig.read(rig.claim(job))).toBeUndefined();
});

it('leaves at once where an earlier boot has closed its assignment', async () => {
  const closed = { schema: 1, worker: rig.worker, number: 1, job: null };
  await rig.put(assignmentKey(rig.worker), JSON.stringify(closed));
  rig.boot();
  await rig.told({ phase: 'leaving', leaves: 'idle' });
});
