import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Assignment, assignmentKey } from '../../../src/pool/documents.ts';
import { startMachineEngine } from './machine-engine.ts';
import { fewPrograms } from './machine-programs.ts';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
/** All programs that the machine has. */
let bin: string;
openForEach(async (opened) => {
  rig = opened;
  bin = await fewPrograms(rig);
});

const socket = () => join(rig.home, 'another.sock');
/** Nothing listens there, and nothing that is not installed is waited for. */
const without = () => ({
  PATH: bin,
  GOLDFISH_WORKER_ENGINE: `unix://${socket()}`,
  GOLDFISH_WORKER_PATIENCE: '0',
});
const sentence = (what: string): string =>
  `The image projects/debian-cloud/global/images/family/debian-12 has no ${what}. Name one that has in gce.profile_overrides.cpu-small.boot_disk.image (docs/gce.md, step 7).`;
const deletion = () => `DELETE /compute/v1/projects/demo/zones/us-central1-a/instances/${rig.worker}`;

async function install(name: string, script = ''): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
}

describe('a machine whose image has no container engine', () => {
  it('ends what it was given with that sentence, and goes at once', async () => {
    const job = await rig.assign(await processJob(rig, 'true', { secrets: true }));
    rig.boot({}, without());
    expect(await rig.result(job)).toMatchObject({
      started: false,
      lost: false,
      error: sentence('container engine'),
      failedStep: 'machine',
    });
    await rig.told({ phase: 'leaving', leaves: 'failed', number: 1, job: 'ended' });
    await rig.until(() => rig.computeCalls.length > 0, 'a deletion');
    expect(rig.computeCalls.map(({ asked }) => asked)).toEqual([deletion()]);
    expect(rig.console).toContain(`goldfish: ${sentence('container engine')}\n`);
    // Nobody gives it another one.
    expect(await rig.json<Assignment>(assignmentKey(rig.worker))).toMatchObject({ number: 1, job: null });
  });

  it('begins nothing that was called off before, and goes all the same', async () => {
    const job = await processJob(rig, 'true');
    await rig.assign(job);
    await rig.put(rig.claim(job), JSON.stringify({ schema: 1, by: 'controller', nonce: 'x' }), '0');
    rig.boot({}, without());
    await rig.told({ phase: 'leaving', leaves: 'failed', number: 1, job: 'called_off' });
    expect(await rig.read(`${job.prefix}exit.json`)).toBeUndefined();
  });

  it('goes also where it was given nothing', async () => {
    rig.boot({}, without());
    await rig.told({ phase: 'leaving', leaves: 'failed', number: 0, job: 'none' });
    await rig.until(() => rig.computeCalls.length > 0, 'a deletion');
  });
});

it('waits for an engine that is installed and does not answer yet', async () => {
  await install('dockerd');
  const job = await rig.assign(await processJob(rig, 'true'));
  rig.boot({}, without());
  await rig.until(() => rig.console.includes('waits for the container engine'), 'a first look');
  const engine = await startMachineEngine(socket());
  try {
    expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  } finally {
    await engine.close();
  }
});

it('ends what it was given where its image has no driver for its GPUs', async () => {
  const job = await rig.assign(await processJob(rig, 'true'));
  rig.boot({ accelerators: true }, { PATH: bin, GOLDFISH_WORKER_PATIENCE: '0' });
  expect(await rig.result(job)).toMatchObject({
    error: sentence('driver for its GPUs'),
    failedStep: 'machine',
  });
  await rig.told({ phase: 'leaving', leaves: 'failed' });
});

it('waits for a driver that is installed and does not answer yet', async () => {
  await install('nvidia-smi', `test -e '${rig.home}/ready' && echo 580.1`);
  const job = await rig.assign(await processJob(rig, 'true'));
  rig.boot({ accelerators: true }, { PATH: bin, GOLDFISH_WORKER_PATIENCE: '0' });
  await rig.until(() => rig.console.includes('waits for the driver'), 'a first look');
  await writeFile(join(rig.home, 'ready'), '');
  expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
  expect((await rig.letter())!.driver).toBe('580.1');
});
