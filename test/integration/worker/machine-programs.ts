import { spawnSync } from 'node:child_process';

/** Where a program of this machine is, for a machine that is to have few of them. */
export function programOf(name: string): string {
  const { stdout } = spawnSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' });
  if (!stdout.startsWith('/')) throw new Error(`there is no ${name} here`);
  return stdout.trim();
}
