import { join } from 'node:path';
import { isoTime } from '../core/clock.ts';
import { type Backup, type BackupDeps, createBackup } from './create-backup.ts';
import { type BackupSummary, listBackups } from './list-backups.ts';

/** For so long the next call is given a backup that nobody was told of; after that it makes another. */
const REMEMBERED_MS = 5 * 60_000;

type Work = {
  result: Promise<Backup>;
  abort: AbortController;
  startedAt: string;
  /** Calls that wait for it now. */
  waiting: number;
  /** When it ended, on the monotonic clock. */
  endedAt?: number;
};

export type Backups = {
  /** Where they lie. */
  folder: string;
  /**
   * Makes a backup. Who does not want to wait any longer gets `startedAt`; the work goes on in this process, and the next
   * call joins it. A death of the process ends it, and what it left is no backup.
   * Errors: STORAGE_UNAVAILABLE; an aborted call ends the work unless another one waits for it too.
   */
  create(call: { waitMs: number; signal: AbortSignal }): Promise<Backup | { startedAt: string }>;
  /** Newest first. */
  list(): Promise<BackupSummary[]>;
  /** Ends what is under way. */
  close(): Promise<void>;
};

export function createBackups(deps: BackupDeps): Backups {
  const folder = join(deps.layout.root, 'backups');
  let going: Work | undefined;

  const begin = (): Work => {
    const abort = new AbortController();
    const result = createBackup(deps, { into: folder, withObjects: true, signal: abort.signal });
    const startedAt = isoTime(deps.clock.now());
    const work: Work = { result, abort, startedAt, waiting: 0 };
    const end = (): void => {
      work.endedAt = deps.clock.monotonic();
    };
    // Somebody asks for it later, or nobody does.
    result.then(end, end);
    return work;
  };

  const isOld = ({ endedAt }: Work): boolean =>
    endedAt !== undefined && deps.clock.monotonic() - endedAt > REMEMBERED_MS;

  return {
    folder,
    create: async ({ waitMs, signal }) => {
      if (going === undefined || isOld(going)) going = begin();
      const work = going;
      work.waiting += 1;
      const stop = (): void => {
        if (work.waiting === 1) work.abort.abort();
      };
      signal.addEventListener('abort', stop, { once: true });
      const patience = new AbortController();
      try {
        const over = await Promise.race([
          work.result.then(
            () => true,
            () => true,
          ),
          deps.clock.sleep(waitMs, { signal: AbortSignal.any([signal, patience.signal]) }).then(() => false),
        ]);
        if (!over && !signal.aborted) return { startedAt: work.startedAt };
        if (!work.abort.signal.aborted) signal.throwIfAborted();
        if (going === work) going = undefined;
        return await work.result;
      } finally {
        work.waiting -= 1;
        patience.abort();
        signal.removeEventListener('abort', stop);
      }
    },
    list: () => listBackups(folder),
    close: async () => {
      going?.abort.abort();
      await going?.result.catch(() => undefined);
    },
  };
}
