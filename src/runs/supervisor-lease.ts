import type { Clock } from '../core/clock.ts';
import type { SupervisorLease } from '../core/rows.ts';
import { isProcessAlive } from '../os/process-identity.ts';

/** A holder that lives but has not renewed for so long is taken to be stuck. */
const LEASE_STALE_MS = 15_000;
export const LEASE_RENEW_MS = 1_000;

/** Whether somebody is at work: the process lives and has renewed of late. */
export function isLeaseHeld(lease: SupervisorLease, clock: Clock): boolean {
  return isHolderAlive(lease) && !isOverdue(lease, clock);
}

/**
 * Whether the holder lives but seems not to renew. It may be the wall clock that has jumped: whoever wants to take
 * over looks again after more than one period of renewal.
 */
export function seemsStuck(lease: SupervisorLease, clock: Clock): boolean {
  return isHolderAlive(lease) && isOverdue(lease, clock);
}

/** Whether the holder is of an older program, so that one of `version` takes over. `1.2.3`; anything else is no older. */
export function isOlder(lease: Pick<SupervisorLease, 'goldfishVersion'>, version: string): boolean {
  const [held, mine] = [lease.goldfishVersion ?? '', version].map((text) => text.split('.').map(Number));
  for (let n = 0; n < 3; n += 1) {
    const [a, b] = [held?.[n], mine?.[n]];
    if (a === undefined || b === undefined || Number.isNaN(a) || Number.isNaN(b)) return false;
    if (a !== b) return a < b;
  }
  return false;
}

function isHolderAlive(lease: SupervisorLease): boolean {
  if (lease.pid === null) return false;
  return isProcessAlive({ pid: lease.pid, start: lease.pidStart ?? '', bootId: lease.bootId ?? '' });
}

/** A heartbeat far in the future is as old as one far in the past: the wall clock was set back since. */
function isOverdue(lease: SupervisorLease, clock: Clock): boolean {
  if (lease.heartbeatAt === null) return false;
  return Math.abs(clock.now() - Date.parse(lease.heartbeatAt)) >= LEASE_STALE_MS;
}
