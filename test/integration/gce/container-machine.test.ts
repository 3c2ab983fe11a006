import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentProcess } from '../../../src/os/process-identity.ts';
import { docker } from '../../contracts/docker-under-test.ts';
import {
  LABEL_DISKS,
  LABEL_OWNER,
  LABEL_SIMULATOR,
  removeLeftovers,
} from '../../gce-simulator/machine-container.ts';
import { makeMachineImage } from '../../support/machine-image.ts';
import { until } from '../until.ts';
import { type MachineRig, openMachineRig } from './machine-rig.ts';
import { hasLoopDevices, hasMachines, NEEDS_LOOP_DEVICES, NEEDS_MACHINES } from './needs.ts';

/** Goes on until it is told to end, and leaves a word of that on the disk. */
const STEADY = `#!/bin/sh
trap 'echo "was told" >> /var/lib/heard; exit 0' TERM
cat /var/lib/heard 2>/dev/null
echo is ready
while :; do sleep 0.1; done
`;
const COUNTING = `#!/bin/sh
echo boot >> /var/lib/boots
echo "boot $(wc -l < /var/lib/boots), in memory:$(ls /run/mark 2>/dev/null)."
touch /run/mark
`;
const DISK_USER = `#!/bin/sh
set -e
disk=/dev/disk/by-id/google-cache
[ -n "$(blkid -p -o value -s TYPE $disk)" ] || mkfs.ext4 -q -m 0 $disk
mkdir -p /mnt/cache
mount -o discard,defaults $disk /mnt/cache
echo boot >> /mnt/cache/boots
echo "boots on the disk: $(wc -l < /mnt/cache/boots)."
`;

/** What loop devices of this machine stand for. */
function loopFiles(): string {
  const files = readdirSync('/sys/block').map((name) => `/sys/block/${name}/loop/backing_file`);
  return files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')).join('');
}

/** The number of the bridge of this machine's engine: one that was removed and made anew has another. */
function bridge(): string | undefined {
  const file = '/sys/class/net/docker0/ifindex';
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** Parts of the hierarchies of resources that carry a container's id. */
function cgroupsOf(id: string): string[] {
  const roots = ['', ...readdirSync('/sys/fs/cgroup')].map((name) => `/sys/fs/cgroup/${name}/docker/${id}`);
  return roots.filter((path) => existsSync(path));
}

describe.skipIf(!hasMachines)(`a machine that is a container${NEEDS_MACHINES}`, () => {
  let rig: MachineRig;
  const bridgeBefore = bridge();
  beforeAll(() => {
    rig = openMachineRig();
  });
  afterAll(async () => {
    await rig.close();
    expect(await rig.containers()).toEqual([]);
  });

  it('runs its start-up script by its first line, shows what it prints, and stays on after its end', async () => {
    await rig.insert('python', '#!/usr/bin/python3\nimport sys\nprint("out", 7 // 2)\nsys.exit("err")\n');
    const shown = await rig.shows('python', 'machine: startup-script exit status 1\n');
    expect(shown.split('\n').sort()).toEqual([
      '',
      'err',
      'machine: boots',
      'machine: startup-script exit status 1',
      'out 3',
    ]);
    await rig.insert('shell', 'echo "$((7 / 2)) by $0"');
    await rig.shows('shell', '3 by /var/lib/machine/startup-script\n');
    expect([rig.status('python'), rig.status('shell')]).toEqual(['RUNNING', 'RUNNING']);
  });

  it('keeps its disk over reboots and forgets its memory, and its script runs at each boot', async () => {
    await rig.insert('again', COUNTING);
    await rig.shows('again', 'boot 1, in memory:.\n');
    const before = (await rig.container('again')).Id;
    await rig.operate('reset', 'again');
    await rig.shows('again', 'boot 2, in memory:.\n');
    await rig.operate('stop', 'again');
    await rig.operate('start', 'again');
    await rig.shows('again', 'boot 3, in memory:.\n');
    expect((await rig.container('again')).Id).toBe(before);
  });

  it('ends on its power button, after its script has had a last word', async () => {
    await rig.insert('button', STEADY);
    await rig.shows('button', 'is ready\n');
    await rig.operate('stop', 'button');
    expect((await rig.container('button')).State).toMatchObject({ Running: false, ExitCode: 0 });
    await rig.operate('start', 'button');
    await rig.shows('button', 'was told\n');
  });

  it('is off at once, and unasked, when its power is cut', async () => {
    await rig.insert('killed', STEADY, { scheduling: { automaticRestart: false } });
    await rig.shows('killed', 'is ready\n');
    rig.simulator.breakHost('killed');
    await rig.becomes('killed', 'TERMINATED');
    expect((await rig.container('killed')).State).toMatchObject({ Running: false, ExitCode: 137 });
    await rig.operate('start', 'killed');
    // No word of its own between the two boots.
    await rig.shows('killed', 'is ready\nmachine: boots\nis ready\n');
  });

  it.each(['systemctl poweroff', 'shutdown -h now', 'poweroff -f'])(
    'is off when its script says so (%s)',
    async (command) => {
      const name = `off-${command.split(' ')[0]}`;
      await rig.insert(name, `#!/bin/sh\n${command}\nsleep 1000\n`);
      await rig.becomes(name, 'TERMINATED');
      expect((await rig.container(name)).State).toMatchObject({ Running: false, ExitCode: 0 });
    },
  );

  it('leaves nothing when it is deleted', async () => {
    await rig.insert('deleted', STEADY);
    await rig.shows('deleted', 'is ready\n');
    const { Id, Mounts } = await rig.container('deleted');
    const [volume = ''] = Mounts.flatMap(({ Type, Name }) => (Type === 'volume' ? [Name ?? ''] : []));
    const address = rig.addresses.get('deleted');
    expect((await fetch(`http://${address}/`)).status).toBe(200);
    await rig.operate('delete', 'deleted');
    expect((await rig.containers()).map((container) => container.Id)).not.toContain(Id);
    await expect(docker.getVolume(volume).inspect()).rejects.toMatchObject({ statusCode: 404 });
    await expect(fetch(`http://${address}/`)).rejects.toThrow();
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(volume);
    expect(cgroupsOf(Id)).toEqual([]);
  });

  it('leaves the network of the engine that it is a container of as it was', async () => {
    await rig.insert(
      'network',
      `#!/bin/sh\nuntil curl -sf --unix-socket /run/docker.sock http://d/_ping; do sleep 0.1; done`,
    );
    await rig.shows('network', 'OK');
    expect(bridge()).toBe(bridgeBefore);
  });

  it.skipIf(!hasLoopDevices)(`has its further disks, which go with it${NEEDS_LOOP_DEVICES}`, async () => {
    const boot = { sourceImage: 'projects/debian-cloud/global/images/family/debian-12' };
    await rig.insert('disks', DISK_USER, {
      disks: [
        { boot: true, autoDelete: true, initializeParams: boot },
        { autoDelete: true, deviceName: 'cache', initializeParams: { diskSizeGb: '100' } },
      ],
    });
    await rig.shows('disks', 'boots on the disk: 1.\n');
    await rig.operate('reset', 'disks');
    await rig.shows('disks', 'boots on the disk: 2.\n');
    const folder = (await rig.container('disks')).Config.Labels[LABEL_DISKS] ?? '';
    expect(loopFiles()).toContain(`${folder}/cache`);
    await rig.operate('delete', 'disks');
    expect(existsSync(folder)).toBe(false);
    await until(() => !loopFiles().includes(folder), 'the loop device to be free');
  });

  it('ends with its simulator, whatever it is about to do', async () => {
    const own = openMachineRig();
    await own.insert('ready', STEADY);
    await own.shows('ready', 'is ready\n');
    const deleted = own.operate('delete', 'ready').catch(() => undefined);
    await own.insert('booting', STEADY);
    const coming = own.insert('coming', STEADY);
    await own.close();
    expect(await own.containers()).toEqual([]);
    await Promise.all([coming, deleted]);
    expect(await own.containers()).toEqual([]);
  });

  it('is removed by the next simulator where its own was killed', async () => {
    const image = await makeMachineImage(docker);
    const make = (owner: object) =>
      docker.createContainer({
        Image: image,
        Cmd: ['true'],
        Labels: { [LABEL_SIMULATOR]: `${rig.id}-leftovers`, [LABEL_OWNER]: JSON.stringify(owner) },
      });
    const dead = await make({ ...currentProcess(), start: '1' });
    const living = await make(currentProcess());
    try {
      await removeLeftovers(docker);
      await expect(dead.inspect()).rejects.toMatchObject({ statusCode: 404 });
      expect((await living.inspect()).Id).toBe(living.id);
    } finally {
      await living.remove({ force: true });
    }
  });
});
