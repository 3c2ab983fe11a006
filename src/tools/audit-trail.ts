import { isGoldfishError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { AuditRow } from '../core/rows.ts';
import { insertAudit } from '../store/audit.ts';
import type { Db } from '../store/database.ts';

/** A server whose disk stays full must not keep calls without end. */
const MOST_DUE = 1_000;

export type AuditTrail = {
  /**
   * Writes the row of an act that has happened. Where the disk has no room for it, it is kept and written before the next
   * one, as of the time of the act; only an end of the process in between loses it. That is logged, and the act stands: it
   * cannot be taken back, and to refuse what was done would have it done twice.
   */
  add(db: Db, row: Omit<AuditRow, 'id'>): void;
  /** Tries again what is still to be written. */
  writeDue(db: Db): void;
};

export function createAuditTrail(log: Logger): AuditTrail {
  const due: Omit<AuditRow, 'id'>[] = [];
  const writeDue = (db: Db): void => {
    for (let row = due[0]; row !== undefined; row = due[0]) {
      try {
        insertAudit(db, row);
      } catch (error) {
        log.error({ err: error, tool: row.operation }, 'an audit row could not be written');
        // What is wrong with the row itself would be wrong for ever, and keep back all that come after it.
        const passes = isGoldfishError(error) && error.code === 'STORAGE_UNAVAILABLE';
        if (passes && due.length <= MOST_DUE) return;
      }
      due.shift();
    }
  };
  return {
    add: (db, row) => {
      due.push(row);
      writeDue(db);
    },
    writeDue,
  };
}
