import { createSecrets, type Secrets } from '../config/secrets.ts';
import type { Clock } from '../core/clock.ts';
import { processEnvironment } from '../os/process-environment.ts';
import type { Db } from '../store/database.ts';
import { readLease } from '../store/lease.ts';
import { isLeaseHeld } from './supervisor-lease.ts';

/**
 * Whether names have values, as the supervisor at work sees it: it has the environment of whoever started it, which
 * need not be ours. Where none is at work it is ours that counts, since whoever looks may start one.
 */
export function secretsOfSupervisor(of: { root: string; db: Db; clock: Clock; own: Secrets }): Secrets {
  return {
    ...of.own,
    missing: (names) => {
      if (names.length === 0) return [];
      const lease = readLease(of.db);
      const environment =
        lease.pid !== null && isLeaseHeld(lease, of.clock) ? processEnvironment(lease.pid) : undefined;
      if (environment === undefined) return of.own.missing(names);
      return createSecrets({ root: of.root, environment }).missing(names);
    },
  };
}
