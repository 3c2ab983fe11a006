import { spawnSync } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rig } from './worker-rig.ts';

/** Where a program of this machine is, for a machine that is to have few of them. */
function programOf(name: string): string {
  const { stdout } = spawnSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
  if (!stdout.startsWith('/')) throw new Error(`there is no ${name} here`);
  return stdout.trim();
}

/** A folder with all programs that the machine is to have: at first the one that nothing works without. */
export async function fewPrograms(rig: Rig): Promise<string> {
  const bin = join(rig.home, 'bin');
  await mkdir(bin);
  await symlink(programOf('openssl'), join(bin, 'openssl'));
  return bin;
}
