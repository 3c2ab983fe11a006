import { spawnSync } from 'node:child_process';
import { hasEngine } from '../../contracts/docker-under-test.ts';
import { hasMachinePrograms } from '../../support/machine-image.ts';

/** Whether machines can be containers here; the title of what is skipped otherwise. */
export const hasMachines = hasEngine && hasMachinePrograms();
export const NEEDS_MACHINES = hasMachines ? '' : ' (needs a container engine: GOLDFISH_SETUP=1 npm test)';

/** Whether there is a registry to push images to. */
const hasRegistry = spawnSync('docker-registry', ['--version']).status === 0;

/** Whether everything that a project rents can be had here. */
export const hasRentals = hasMachines && hasRegistry;
export const NEEDS_RENTALS =
  hasMachines && !hasRegistry ? ' (needs docker-registry: GOLDFISH_SETUP=1 npm test)' : NEEDS_MACHINES;

/** Whether further disks can be made here. */
export const hasLoopDevices = spawnSync('losetup', ['--find']).status === 0;
export const NEEDS_LOOP_DEVICES = hasLoopDevices ? '' : ' (needs loop devices: modprobe loop)';

/** Whether rules of the kernel can be changed here, in a network of a test's own. */
export const hasIptables = spawnSync('unshare', ['--net', 'iptables', '-t', 'raw', '-S']).status === 0;
export const NEEDS_IPTABLES = hasIptables ? '' : ' (needs iptables: apt-get install iptables)';
