import { type Clock, isoTime } from '../core/clock.ts';
import type { SupervisorLease } from '../core/rows.ts';
import { isProcessAlive } from '../os/process-identity.ts';

/** A holder that lives but has not renewed for so long is taken to be stuck. */
export const LEASE_STALE_MS = 15_000;
export const LEASE_RENEW_MS = 1_000;

/** Whether somebody is at work: the process lives and renews. The wall clock alone never declares it dead. */
export function isLeaseHeld(lease: SupervisorLease, clock: Clock): boolean {
  if (lease.pid === null) return false;
  const alive = isProcessAlive({ pid: lease.pid, start: lease.pidStart ?? '', bootId: lease.bootId ?? '' });
  if (!alive) return false;
  return lease.heartbeatAt === null || lease.heartbeatAt > isoTime(clock.now() - LEASE_STALE_MS);
}
