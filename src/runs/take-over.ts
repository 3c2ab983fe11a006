import type { Clock } from '../core/clock.ts';
import type { SupervisorLease } from '../core/rows.ts';
import { isLeaseHeld, isOlder } from './supervisor-lease.ts';
import type { Tending } from './tending.ts';

/** Who would be the supervisor. */
export type Claimant = { clock: Clock; version: string; tending: Tending };

/**
 * Whether a program may take the lease: where nobody is at work; from one that cannot look after what there is to be looked
 * after, if it can itself, and never the other way round; else from one of an older program. Of two programs at most
 * one may take it from the other.
 */
export function mayTakeOver(lease: SupervisorLease, { clock, version, tending }: Claimant): boolean {
  if (lease.pid === null || !isLeaseHeld(lease, clock)) return true;
  if (tending.isDue()) {
    const theirs = tending.isPossible(lease.pid);
    const ours = tending.isPossible();
    // Where nobody can say, it makes no difference.
    if (theirs !== undefined && ours !== theirs) return ours === true;
  }
  return isOlder(lease, version);
}
