import { isoTime } from '../core/clock.ts';
import type { Db } from './database.ts';

/** Notes the project once; the name follows the config. */
export function ensureProject(db: Db, project: { name: string; now: number }): void {
  const known = db.prepare<{ name: string }>('SELECT name FROM project WHERE id = 1').get();
  if (known?.name === project.name) return;
  db.write(() => {
    db.prepare(
      `INSERT INTO project (id, name, created_at) VALUES (1, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
    ).run(project.name, isoTime(project.now));
  });
}
