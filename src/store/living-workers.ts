import type { Db } from './database.ts';

/** Whether there are machines, or may be. */
export function hasLivingWorkers(db: Db): boolean {
  return (
    db.prepare<{ id: string }>(`SELECT id FROM workers WHERE state <> 'gone' LIMIT 1`).get() !== undefined
  );
}
