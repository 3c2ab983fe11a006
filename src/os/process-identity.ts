import { readFileSync } from 'node:fs';
import { errnoOf } from '../core/errors.ts';

/**
 * A process that can be told from a later one with the same pid. `start` is the kernel's start time in ticks
 * since boot (field 22 of /proc/PID/stat); with the boot id it is unique. Both are empty where there is no /proc.
 */
export type ProcessIdentity = { pid: number; start: string; bootId: string };

export function currentProcess(): ProcessIdentity {
  return { pid: process.pid, start: processStart(process.pid) ?? '', bootId: bootId() };
}

export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** The start time of a process that runs; undefined for one that is gone or a zombie nobody reaped. */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses and may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const dead = fields[0] === 'Z' || fields[0] === 'X';
    return dead ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether exactly this process still runs. Without /proc it falls back to asking the kernel for the pid. */
export function isProcessAlive(identity: ProcessIdentity): boolean {
  if (identity.start === '') return respondsToSignal(identity.pid);
  return identity.bootId === bootId() && processStart(identity.pid) === identity.start;
}

function respondsToSignal(pid: number): boolean {
  // 0 and negative numbers would ask for whole groups.
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}
