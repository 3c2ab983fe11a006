import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { processJob } from './worker-jobs.ts';
import { openForEach, type Rig } from './worker-rig.ts';

let rig: Rig;
let bin: string;
openForEach(async (opened) => {
  rig = opened;
  bin = join(rig.home, 'bin');
  await mkdir(bin);
  await mkdir(join(rig.root, 'devices'), { recursive: true });
});

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
  rig.boot({ dataDisks: ['cache'] }, { PATH: `${bin}:${process.env['PATH']}` });
}

const device = () => join(rig.root, 'devices', 'google-cache');
const called = async () =>
  (await readFile(join(rig.home, 'called'), 'utf8')).trim().replaceAll(rig.home, '').split('\n');
const PROBE = 'blkid -p -o value -s TYPE /root/devices/google-cache';
const MOUNT = 'mount -o discard,defaults /root/devices/google-cache /root/disks/cache';

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

it('hands each job an empty folder of the disk that is its user’s, and leaves nothing of it there', async () => {
  await pretend('echo ext4');
  const disk = join(rig.root, 'disks', 'cache');
  const stage = join(disk, 'stage');
  // What a job left whose machine was started anew under it, and what belongs to the file system.
  await mkdir(join(stage, 'of-an-earlier-boot'), { recursive: true });
  await mkdir(join(disk, 'lost+found'));
  await boot();
  await rig.told({ phase: 'idle' });
  expect(await readdir(disk)).toEqual(['lost+found']);
  const script = `stat -c '%u %a' '${stage}'; chmod 777 '${stage}'; ls -A '${stage}' | wc -l
    mkdir -p '${stage}/deep/.hidden'; echo left > '${stage}/.left'; ln -s '${rig.home}' '${stage}/link'`;
  const owner = process.getuid?.() === 0 ? 1000 : process.getuid?.();
  for (const number of [1, 2]) {
    const job = await rig.assign(await processJob(rig, script));
    expect(await rig.result(job)).toMatchObject({ exitCode: 0 });
    const log = await rig.joined(`${job.prefix}log/000000000000.log`);
    // Behind the time and the stream of each line.
    expect(log.trim().split('\n')).toEqual([
      expect.stringMatching(new RegExp(`.{27} ${owner} 700$`)),
      expect.stringMatching(/.{27} 0$/),
    ]);
    await rig.told({ phase: 'idle', number });
    expect(await readdir(disk)).toEqual(['lost+found']);
  }
  // Links are removed, never followed.
  expect(existsSync(rig.home)).toBe(true);
});
