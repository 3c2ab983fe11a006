import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../scripts/setup/run-program.ts';
import type { Metadata } from './metadata.ts';

/** Whatever size was asked for: enough for a file system. Only what is written takes room. */
const DISK_BYTES = 64 * 1024 * 1024;

/** The disks of a machine beside its boot disk: files of this machine behind loop devices. */
export type MachineDisks = {
  /** Holds the files; `removeDisks` needs no more. */
  folder: string;
  /** What the container is given. */
  devices: { PathOnHost: string; PathInContainer: string; CgroupPermissions: 'rwm' }[];
};

/** What the machine's metadata call its further disks. */
export function diskNames(metadata: Metadata): string[] {
  const { body } = metadata.answer({ path: 'instance/disks/', recursive: true });
  const disks = JSON.parse(body) as { deviceName: string; index: number }[];
  return disks.filter(({ index }) => index > 0).map(({ deviceName }) => deviceName);
}

/** Empty disks; undefined where none is asked for. Needs root and loop devices. */
export async function makeDisks(names: readonly string[]): Promise<MachineDisks | undefined> {
  if (names.length === 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'goldfish-machine-disks-'));
  const devices: MachineDisks['devices'] = [];
  try {
    for (const name of names) {
      const file = join(folder, name);
      const handle = await open(file, 'wx', 0o600);
      await handle.truncate(DISK_BYTES);
      await handle.close();
      const device = (await runProgram('losetup', ['--find', '--show', file])).trim();
      const path = `/dev/disk/by-id/google-${name}`;
      devices.push({ PathOnHost: device, PathInContainer: path, CgroupPermissions: 'rwm' });
    }
    return { folder, devices };
  } catch (error) {
    await removeDisks(folder);
    throw error;
  }
}

/** The disks of a machine that is gone; also of another process's. */
export async function removeDisks(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    for (const device of await loopDevices(join(folder, name)))
      await runProgram('losetup', ['--detach', device]);
  }
  await rm(folder, { recursive: true, force: true });
}

/** Those behind which a file is. */
async function loopDevices(file: string): Promise<string[]> {
  const listed = await runProgram('losetup', ['--associated', file, '--output', 'NAME', '--noheadings']);
  return listed.split('\n').filter((line) => line !== '');
}
