import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isProcessAlive } from '../../src/os/process-identity.ts';
import { openDatabase } from '../../src/store/database.ts';
import { readLease } from '../../src/store/lease.ts';
import type { McpSession } from './mcp-session.ts';

/**
 * Ends what a test has started: cancels open runs, then ends the supervisor, which would linger a while. A test must
 * not leave processes behind.
 */
export async function endWork(session: McpSession): Promise<void> {
  const { structured } = await session.call('list_runs', { limit: 100 });
  const rows = (structured['runs'] ?? []) as { pipeline_run_id: string; ended_at: string | null }[];
  const open = new Set(rows.filter((row) => row.ended_at === null).map((row) => row.pipeline_run_id));
  for (const target of open) await session.call('cancel', { target, reason: 'The test is over' });
  if (open.size > 0) await session.call('wait', { targets: [...open] });
  await endSupervisor(session.folder);
}

/** Harmless where there is none. */
export async function endSupervisor(root: string): Promise<void> {
  const db = openDatabase(join(root, '.goldfish/goldfish.db'), { create: true });
  try {
    const { pid, pidStart, bootId } = readLease(db);
    if (pid === null) return;
    const alive = (): boolean => isProcessAlive({ pid, start: pidStart ?? '', bootId: bootId ?? '' });
    if (alive()) process.kill(pid, 'SIGTERM');
    const deadline = performance.now() + 20_000;
    while (alive()) {
      if (performance.now() > deadline) throw new Error('the supervisor did not end');
      await setTimeout(50);
    }
  } finally {
    db.close();
  }
}
