import type { Db } from './database.ts';

/** How many machines there are, or may be. */
export function countLivingWorkers(db: Db): number {
  return db.prepare<{ n: number }>(`SELECT count(*) AS n FROM workers WHERE state <> 'gone'`).get()?.n ?? 0;
}
