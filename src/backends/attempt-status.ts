import { messageOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { isWrapperAlive, readResult, readWrapper, wasTaken } from './attempt-files.ts';
import type { BackendStatus, RunHandle } from './port.ts';

/** What the files of an attempt under a run wrapper say. Looks only; changes nothing. */
export async function attemptStatus(layout: Layout, handle: RunHandle): Promise<BackendStatus> {
  try {
    return await look(layout, handle);
  } catch (error) {
    return { phase: 'unknown', raw: 'unreadable', startedAt: null, result: null, error: messageOf(error) };
  }
}

async function look(layout: Layout, handle: RunHandle): Promise<BackendStatus> {
  const folders = layout.attempt(handle.runId, handle.attempt);
  const before = await exited(layout, handle);
  if (before) return before;
  const wrapper = await readWrapper(folders);
  const startedAt = wrapper?.startedAt ?? null;
  if (isWrapperAlive(wrapper)) {
    const running = startedAt !== null;
    const phase = running ? 'running' : 'starting';
    const raw = running ? 'running' : 'taken';
    const endedRanks = wrapper.ranks.filter(({ ended }) => ended).map(({ rank }) => rank);
    return { phase, raw, startedAt, result: null, error: null, endedRanks };
  }
  // It may have written its result and ended between the two looks.
  const after = await exited(layout, handle);
  if (after) return after;
  const raw = wrapper || (await wasTaken(folders)) ? 'gone' : 'not started';
  return { phase: 'absent', raw, startedAt, result: null, error: null };
}

async function exited(layout: Layout, handle: RunHandle): Promise<BackendStatus | undefined> {
  const result = await readResult(layout.attempt(handle.runId, handle.attempt), handle);
  if (!result) return undefined;
  const startedAt = result.kind === 'read' ? result.result.startedAt : null;
  return { phase: 'exited', raw: `exited (${result.kind})`, startedAt, result, error: null };
}
