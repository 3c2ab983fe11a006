import type { Monitor } from './monitor.ts';
import { passed } from './passed.ts';

/**
 * An attempt that lives and does nothing that can be seen: no line of log, metric, progress, message of a heartbeat or
 * checkpoint. That a heartbeat goes on is no work: the library's thread beats as long as the process lives, also while
 * the program hangs.
 */
export const stallMonitor: Monitor = {
  remember: (memory, { at, work }) => {
    const { still } = memory;
    if (work === null) return { ...memory, still: null };
    if (still === null || still.work !== work) return { ...memory, still: { work, ms: 0, lookedAt: at } };
    const ms = still.ms + passed(still.lookedAt, at);
    return { ...memory, still: { work, ms, lookedAt: at } };
  },
  judge: ({ still }, { stall: { action, afterSeconds } }) => {
    if (action === 'off' || afterSeconds === null) return undefined;
    if (still === null || still.ms <= afterSeconds * 1000) return undefined;
    const message = `It stalled: no line of log, metric, progress or checkpoint came for ${afterSeconds} s.`;
    return { kind: 'notice', notice: { monitor: 'stall', metric: null, action, message } };
  },
};
