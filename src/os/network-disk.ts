import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, GoldfishError } from '../core/errors.ts';

/** As Linux names them. What other machines may write at the same moment, no lock here keeps from them. */
const SHARED: ReadonlySet<string> = new Set([
  ...['nfs', 'nfs4', 'cifs', 'smb3', 'smbfs', 'afs', 'ceph', 'lustre', 'gpfs', 'beegfs', 'ocfs2', 'gfs2'],
  ...['sshfs', 'gcsfuse', 's3fs', 'rclone', 'glusterfs', 'juicefs'].map((name) => `fuse.${name}`),
]);

/**
 * The state needs a disk of this machine: SQLite's write-ahead log is not safe where others share it.
 * Errors: STORAGE_UNAVAILABLE.
 */
export function requireOwnDisk(stateDir: string): void {
  const type = fileSystemOf(stateDir);
  if (type === undefined || !SHARED.has(type)) return;
  throw new GoldfishError('STORAGE_UNAVAILABLE', {
    message: `The project's state would lie on a network file system (${type}), where its database is not safe.`,
    hint: 'Set state_dir in goldfish.yaml to a folder of a disk of this machine, written out from "/"; move what is in the old one there first, while nothing runs.',
    details: { field: 'state_dir', file_system: type },
  });
}

/** Of the path, or of what is above it where it is not there yet; undefined where the kernel does not tell. */
function fileSystemOf(path: string): string | undefined {
  const device = deviceOf(path);
  const lines = readMounts().split('\n');
  // 36 35 98:0 /root /mount options optional… - type source options
  const line = lines.findLast((mount) => mount.split(' ')[2] === device);
  return line?.split(' - ')[1]?.split(' ')[0];
}

/** `major:minor`. */
function deviceOf(path: string): string {
  try {
    const { dev } = statSync(path);
    return `${(dev >>> 8) & 0xfff}:${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}`;
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') || dirname(path) === path) throw error;
    return deviceOf(dirname(path));
  }
}

function readMounts(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return '';
  }
}
