import pLimit from 'p-limit';
import { messageOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import { isWrapperAlive, readResult, readWrapper, wasTaken } from './attempt-files.ts';
import type { BackendStatus, ResultReading, RunHandle } from './port.ts';
import { readStopNote, resultOfKilled } from './stop-request.ts';

/** Of a whole process: hundreds of runs must not use up its open files. */
const looks = pLimit(16);

/** What the files of an attempt under a run wrapper say. Looks only; changes nothing. */
export async function attemptStatus(layout: Layout, handle: RunHandle): Promise<BackendStatus> {
  try {
    return await looks(() => look(layout, handle));
  } catch (error) {
    return { phase: 'unknown', raw: 'unreadable', startedAt: null, result: null, error: messageOf(error) };
  }
}

async function look(layout: Layout, handle: RunHandle): Promise<BackendStatus> {
  const folders = layout.attempt(handle.runId, handle.attempt);
  const before = await readResult(folders, handle);
  if (before?.kind === 'read') return exited(before);
  const wrapper = await readWrapper(folders);
  const startedAt = wrapper?.startedAt ?? null;
  if (isWrapperAlive(wrapper)) {
    const running = startedAt !== null;
    const phase = running ? 'running' : 'starting';
    const raw = running ? 'running' : 'taken';
    const endedRanks = wrapper.ranks.filter(({ ended }) => ended).map(({ rank }) => rank);
    return { phase, raw, startedAt, result: null, error: null, endedRanks };
  }
  // It may have written its result and ended between the two looks. What is unreadable while it lives may be replaced.
  const after = await readResult(folders, handle);
  if (after) return exited(after);
  const note = await readStopNote(folders);
  if (wrapper && note?.killedAt !== undefined) {
    return exited({
      kind: 'read',
      result: resultOfKilled(handle, wrapper, { ...note, killedAt: note.killedAt }),
    });
  }
  const raw = wrapper || (await wasTaken(folders)) ? 'gone' : 'not started';
  return { phase: 'absent', raw, startedAt, result: null, error: null };
}

export function exited(result: ResultReading): BackendStatus {
  const startedAt = result.kind === 'read' ? result.result.startedAt : null;
  return { phase: 'exited', raw: `exited (${result.kind})`, startedAt, result, error: null };
}
