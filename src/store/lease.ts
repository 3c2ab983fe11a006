import { GoldfishError, isGoldfishError } from '../core/errors.ts';
import type { SupervisorLease } from '../core/rows.ts';
import type { Db } from './database.ts';

type Row = {
  token: number;
  pid: number | null;
  pid_start: string | null;
  boot_id: string | null;
  goldfish_version: string | null;
  socket: string | null;
  acquired_at: string | null;
  heartbeat_at: string | null;
};

/** The lease as it stands; `pid` is null when nobody holds it. */
export function readLease(db: Db): SupervisorLease {
  const row = db.prepare<Row>('SELECT * FROM supervisor_lease WHERE id = 1').get();
  if (!row) {
    return {
      token: 0,
      pid: null,
      pidStart: null,
      bootId: null,
      goldfishVersion: null,
      socket: null,
      acquiredAt: null,
      heartbeatAt: null,
    };
  }
  return {
    token: row.token,
    pid: row.pid,
    pidStart: row.pid_start,
    bootId: row.boot_id,
    goldfishVersion: row.goldfish_version,
    socket: row.socket,
    acquiredAt: row.acquired_at,
    heartbeatAt: row.heartbeat_at,
  };
}

export type LeaseHolder = { pid: number; start: string; bootId: string; version: string; socket: string };

/** Takes the lease with the next token unless `mayTake` objects to the present holder. */
export function takeLease(
  db: Db,
  request: { holder: LeaseHolder; at: string; mayTake: (current: SupervisorLease) => boolean },
): number | undefined {
  return db.write(() => {
    const current = readLease(db);
    if (current.pid !== null && !request.mayTake(current)) return undefined;
    const token = current.token + 1;
    const { holder, at } = request;
    db.prepare(
      `INSERT INTO supervisor_lease (id, token, pid, pid_start, boot_id, goldfish_version, socket, acquired_at, heartbeat_at)
       VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET token = excluded.token, pid = excluded.pid, pid_start = excluded.pid_start,
         boot_id = excluded.boot_id, goldfish_version = excluded.goldfish_version, socket = excluded.socket,
         acquired_at = excluded.acquired_at, heartbeat_at = excluded.heartbeat_at`,
    ).run(token, holder.pid, holder.start, holder.bootId, holder.version, holder.socket, at, at);
    return token;
  });
}

export function renewLease(db: Db, lease: { token: number; at: string }): void {
  db.prepare('UPDATE supervisor_lease SET heartbeat_at = ? WHERE id = 1 AND token = ?').run(
    lease.at,
    lease.token,
  );
}

/** Gives the lease back when `isIdle`, judged in the same transaction, says that nothing is left to do. */
export function releaseLease(db: Db, request: { token: number; isIdle: () => boolean }): boolean {
  return db.write(() => {
    if (!request.isIdle()) return false;
    db.prepare(
      'UPDATE supervisor_lease SET pid = NULL, pid_start = NULL, heartbeat_at = NULL WHERE id = 1 AND token = ?',
    ).run(request.token);
    return true;
  });
}

/**
 * The database as a lease holder may use it: every write first checks, in its own transaction, that the token is
 * still the newest. A supervisor that was stopped and outlived its lease can therefore change nothing.
 * Errors: CONFLICT with `details.lease = 'lost'`.
 */
export function fencedBy(db: Db, token: number): Db {
  let depth = 0;
  const fenced: Db = {
    ...db,
    write: (work) => {
      if (depth > 0) return work();
      return db.write(() => {
        const lease = readLease(db);
        if (lease.token !== token || lease.pid === null) {
          throw new GoldfishError('CONFLICT', {
            message: 'Another supervisor has taken over.',
            details: { lease: 'lost' },
          });
        }
        depth += 1;
        try {
          return work();
        } finally {
          depth -= 1;
        }
      });
    },
  };
  return fenced;
}

/** Whether a write was refused because another supervisor holds the lease by now. */
export function isLeaseLost(error: unknown): boolean {
  return isGoldfishError(error) && error.details['lease'] === 'lost';
}
