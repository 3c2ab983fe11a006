import { processStart } from '../../../src/os/process-identity.ts';

/** A dead one that nobody has reaped yet does not count. */
export function isAliveNow(pid: number): boolean {
  return processStart(pid) !== undefined;
}

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
