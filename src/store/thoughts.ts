import type { Thought } from '../core/rows.ts';
import type { Db } from './database.ts';

type Row = {
  id: string;
  workspace_name: string | null;
  run_id: string | null;
  thought: string;
  actor: string;
  created_at: string;
};

export function insertThought(db: Db, thought: Thought): void {
  db.write(() =>
    db
      .prepare(
        'INSERT INTO thoughts (id, workspace_name, run_id, thought, actor, created_at) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(thought.id, thought.workspace, thought.runId, thought.thought, thought.actor, thought.createdAt),
  );
}

/** Newest first. */
export function listThoughts(db: Db, query: { workspace: string; limit: number }): Thought[] {
  return db
    .prepare<Row>('SELECT * FROM thoughts WHERE workspace_name = ? ORDER BY id DESC LIMIT ?')
    .all(query.workspace, query.limit)
    .map((row) => ({
      id: row.id,
      workspace: row.workspace_name,
      runId: row.run_id,
      thought: row.thought,
      actor: row.actor,
      createdAt: row.created_at,
    }));
}
