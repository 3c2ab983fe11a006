import type { Monitor } from './monitor.ts';
import { passed } from './passed.ts';

/**
 * The maximum runtime, counted from look to look: the wall clock jumps, and a machine that slept did not run. It is
 * kept beside the program; this is for where that failed.
 */
export const runtimeMonitor: Monitor = {
  remember: (memory, { at }) => ({
    ...memory,
    ranMs: memory.ranMs + passed(memory.lookedAt, at),
    lookedAt: at,
  }),
  judge: ({ ranMs }, { limitMs }) =>
    ranMs > limitMs ? { kind: 'stop', finding: { reason: 'timeout' } } : undefined,
};
