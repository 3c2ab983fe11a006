import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { EmulatorProcess } from '../../support/gcs-emulator-process.ts';
import { Rig, startBucket } from './worker-rig.ts';

let bucket: EmulatorProcess;
let rig: Rig;
let bin: string;
beforeAll(async () => {
  bucket = await startBucket();
});
beforeEach(async () => {
  rig = await new Rig(bucket).open();
  bin = join(rig.home, 'bin');
  await mkdir(bin);
  await mkdir(join(rig.root, 'devices'), { recursive: true });
});
afterEach(() => rig.close());
afterAll(() => bucket.stop());

/** Programs of the machine that only write down how they were called. `answer`: what a call of blkid does besides. */
async function pretend(answer: string): Promise<void> {
  for (const name of ['blkid', 'mkfs.ext4', 'mount']) {
    const path = join(bin, name);
    const then = name === 'blkid' ? answer : 'true';
    await writeFile(path, `#!/bin/sh\necho "$(basename "$0") $*" >> '${rig.home}/called'\n${then}\n`);
    await chmod(path, 0o755);
  }
}

async function boot(): Promise<void> {
  await writeFile(device(), 'a disk');
  const dataDisks = [{ name: 'cache', mount: join(rig.home, 'mnt') }];
  rig.boot({ dataDisks }, { PATH: `${bin}:${process.env['PATH']}` });
}

const device = () => join(rig.root, 'devices', 'google-cache');
const called = async () =>
  (await readFile(join(rig.home, 'called'), 'utf8')).trim().replaceAll(rig.home, '').split('\n');
const PROBE = 'blkid -p -o value -s TYPE /root/devices/google-cache';
const MOUNT = 'mount -o discard,defaults /root/devices/google-cache /mnt';

it('formats a disk on which there is nothing, and mounts it', async () => {
  await pretend('exit 2');
  await boot();
  await rig.told({ phase: 'idle' });
  expect(await called()).toEqual([PROBE, 'mkfs.ext4 -q -m 0 /root/devices/google-cache', MOUNT]);
});

it('only mounts a disk that has a file system', async () => {
  await pretend('echo ext4');
  await boot();
  await rig.told({ phase: 'idle' });
  expect(await called()).toEqual([PROBE, MOUNT]);
});

it.each(['exit 8', 'exit 0'])(
  'touches no disk of which nobody can say what is on it (%s)',
  async (answer) => {
    await pretend(answer);
    await boot();
    await rig.told({ phase: 'leaving', leaves: 'failed' });
    expect(await called()).toEqual([PROBE]);
  },
);
