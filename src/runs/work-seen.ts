import { constants } from 'node:fs';
import { lstat, open, stat } from 'node:fs/promises';
import { listSegments } from '../backends/log-format.ts';
import { errnoOf } from '../core/errors.ts';
import type { Layout } from '../core/layout.ts';
import type { StageRun } from '../core/rows.ts';

/** As much of a heartbeat's message as the stage libraries write. */
const MESSAGE_BYTES = 512;

/**
 * What a running attempt has made of itself, as a text that changes when something is added: the end of its log, what
 * each rank told of metrics and progress, the message of its heartbeat (not its time), its checkpoints. What cannot be
 * read is the same text as long as it cannot.
 */
export async function workSeen(layout: Layout, run: StageRun, ranks: readonly number[]): Promise<string> {
  const folders = layout.attempt(run.id, run.attempt);
  const ofRanks = ranks.flatMap((rank) => {
    const { control, heartbeat } = folders.rank(rank);
    return [sizeOf(`${control}/metrics.jsonl`), messageOf(heartbeat)];
  });
  const all = [logEnd(folders.log), timeOf(folders.checkpoints), ...ofRanks];
  return JSON.stringify(await Promise.all(all.map((part) => part.catch(unreadable))));
}

function unreadable(error: unknown): string {
  return errnoOf(error) ?? 'unknown';
}

async function logEnd(dir: string): Promise<number> {
  const last = (await listSegments(dir)).at(-1);
  return last === undefined ? 0 : last.start + (await stat(last.file)).size;
}

/** Also of a file that was written anew with as many bytes. */
async function sizeOf(file: string): Promise<string> {
  const { size, mtimeMs } = await lstat(file);
  return `${size} ${mtimeMs}`;
}

async function timeOf(folder: string): Promise<number> {
  return (await lstat(folder)).mtimeMs;
}

/** The folder belongs to the stage: nothing that a link or a pipe in it leads to is read. */
async function messageOf(file: string): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) return '';
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MESSAGE_BYTES), 0, MESSAGE_BYTES, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
