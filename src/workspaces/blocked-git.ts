import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { refuseSlot, type SlotProblem } from './slot-problems.ts';

/** git opens these in every folder; where one is a pipe that nobody writes to, it would wait for ever. */
const OPENED_BY_GIT = ['.gitignore', '.gitattributes', '.gitmodules'];
/** A healthy command of a slot takes some hundredths of a second, so hardly any is ever looked into. */
const PATIENCE_MS = 2_000;

/**
 * The end of `work`, a command of git in a folder of the user's; it is aborted where a pipe in the folder keeps it.
 * Errors: NOT_SUPPORTED with the names of all such pipes; those of `work`.
 */
export async function unlessBlocked<T>(
  workTree: string | undefined,
  work: (abort: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  let pipes: SlotProblem[] = [];
  const lookForPipes = async (folder: string): Promise<void> => {
    pipes = await pipesBelow(folder);
    if (pipes.length > 0) abort.abort();
  };
  const timer =
    workTree === undefined ? undefined : setTimeout(() => void lookForPipes(workTree), PATIENCE_MS);
  try {
    return await work(abort.signal);
  } catch (error) {
    throw abort.signal.aborted ? refuseSlot(basename(workTree ?? ''), pipes) : error;
  } finally {
    clearTimeout(timer);
  }
}

async function pipesBelow(root: string, folder = ''): Promise<SlotProblem[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
  const found: SlotProblem[] = [];
  for (const entry of entries) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await pipesBelow(root, path)));
    else if (entry.isFIFO() && OPENED_BY_GIT.includes(entry.name)) {
      found.push({ kind: 'special_file', path, detail: 'named pipe' });
    }
  }
  return found;
}
