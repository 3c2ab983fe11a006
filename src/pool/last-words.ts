import type { Worker } from '../core/rows.ts';
import type { WorkerChange } from '../store/worker-changes.ts';
import type { PoolDeps } from './deps.ts';
import { placeOf } from './place-of.ts';
import type { CallOptions, MachineSight } from './port.ts';

/** A serial port that does not answer holds a look up for no longer. */
const PATIENCE_MS = 5_000;

type Change = Omit<WorkerChange, 'worker'> & { worker: Worker };

/** Reads the serial ports of machines that are lost with a job, as long as they have one. Never throws. */
export type LastWords = {
  /** To be called before anything of the changes is done. */
  keep(
    changes: readonly Change[],
    of: { machines: ReadonlyMap<string, MachineSight>; options: CallOptions },
  ): Promise<void>;
};

export function createLastWords({ provider, keepConsole, log }: PoolDeps): LastWords {
  // By worker: what those wrote that go by themselves, who may be gone before it is certain that they are lost.
  const heard = new Map<string, string>();

  return {
    keep: async (changes, { machines, options }) => {
      const working = new Set(changes.flatMap(({ worker }) => (worker.lease === null ? [] : [worker.id])));
      for (const id of heard.keys()) if (!working.has(id)) heard.delete(id);
      await Promise.all(changes.map((change) => hear(change, machines.get(placeOf(change.worker)), options)));
    },
  };

  async function hear(
    { worker, event, reason, claimed }: Change,
    machine: MachineSight | undefined,
    options: CallOptions,
  ): Promise<void> {
    const { id, lease } = worker;
    if (lease === null) return;
    const isLost = (event === 'delete' || event === 'vanish') && reason !== 'preempted';
    const isGoing = machine?.power === 'going' && !heard.has(id);
    try {
      if (machine && (isLost || isGoing)) {
        const text = await provider.console(machine, withinTime(options));
        if (text !== '') heard.set(id, text);
      }
      const last = heard.get(id);
      if (!isLost || last === undefined) return;
      const { runId, attempt, claimedAt } = lease;
      const begun = claimedAt !== null || claimed === true;
      await keepConsole({ job: { runId, attempt }, workerId: id, begun, text: last });
    } catch (error) {
      log.warn({ worker: id, err: error }, 'what a machine wrote to its serial port could not be kept');
    }
  }
}

function withinTime({ signal }: CallOptions): { signal: AbortSignal } {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  return { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) };
}
