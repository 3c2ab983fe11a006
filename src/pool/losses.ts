import { isGoldfishError } from '../core/errors.ts';
import type { Worker } from '../core/rows.ts';
import type { PoolDeps } from './deps.ts';
import type { Judgement } from './judge-worker.ts';
import type { CallOptions } from './port.ts';

type Judged = { worker: Worker; judged: Pick<Judgement, 'reason'> };

/**
 * Whether the provider took a machine back that nobody here stopped. `later`: another zone was asked this time, or this
 * one did not answer.
 */
export type Explain = (worker: Pick<Worker, 'id' | 'zone'>) => 'preempted' | 'unknown' | 'later';

/** Finds out why machines are lost: with one call in one look, however many are, and each zone in its turn. */
export type Losses = { ask(looked: readonly Judged[], options: CallOptions): Promise<Explain> };

export function createLosses({ provider, log }: Pick<PoolDeps, 'provider' | 'log'>): Losses {
  // The longest ago first; one that never was stands before all.
  let asked: readonly string[] = [];
  return {
    ask: async (looked, options) => {
      const due = new Set(looked.flatMap(({ worker, judged }) => zoneToAsk(worker, judged) ?? []));
      asked = asked.filter((zone) => due.has(zone));
      const [turn] = [...due].filter((zone) => !asked.includes(zone)).concat(asked);
      if (turn === undefined) return () => 'unknown';
      asked = [...asked.filter((zone) => zone !== turn), turn];
      const taken = await takenBack(turn, options);
      return ({ id, zone }) => {
        if (zone !== turn || taken === undefined) return 'later';
        return taken.has(id) ? 'preempted' : 'unknown';
      };
    },
  };

  /** Undefined where it may be known later. */
  async function takenBack(zone: string, options: CallOptions): Promise<ReadonlySet<string> | undefined> {
    try {
      return await provider.preempted(zone, options);
    } catch (error) {
      log.warn({ zone, err: error }, 'why machines ended cannot be asked');
      // What is never to be known keeps nobody from his end.
      return isGoldfishError(error) && !error.retryable ? new Set() : undefined;
    }
  }
}

/** Null where nothing is to be asked of a machine: it is there, or it is known why not. */
export function zoneToAsk(
  { zone }: Pick<Worker, 'zone'>,
  { reason }: Pick<Judgement, 'reason'>,
): string | null {
  return reason === 'stopped' || reason === 'vanished' ? zone : null;
}
