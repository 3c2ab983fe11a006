import type { PoolDeps } from './deps.ts';
import { placeOf } from './place-of.ts';
import type { CallOptions, MachineList, MachineSight } from './port.ts';

/** A deletion that does not show is asked for again after so long. */
const ASK_AGAIN_MS = 30_000;

export type Deletions = {
  /** Asks for the end of these machines, unless that was done just now. One that fails must not keep the others from it. */
  ask(machines: readonly MachineSight[], options: CallOptions): Promise<void>;
  /** What is not shown any more need not be remembered. */
  forget(list: MachineList): void;
};

export function createDeletions({ provider, clock, log }: PoolDeps): Deletions {
  const askedAt = new Map<string, number>();
  return {
    ask: async (machines, options) => {
      const now = clock.monotonic();
      const due = machines.filter((machine) => {
        const asked = askedAt.get(placeOf(machine));
        return asked === undefined || now - asked >= ASK_AGAIN_MS;
      });
      await Promise.all(
        due.map(async ({ id, zone }) => {
          const place = placeOf({ id, zone });
          askedAt.set(place, now);
          try {
            await provider.delete({ id, zone }, options);
            // kill point: pool/deletion-asked
          } catch (error) {
            askedAt.delete(place);
            log.warn({ worker: id, err: error }, 'a machine could not be deleted yet');
          }
        }),
      );
    },
    forget: ({ machines }) => {
      const there = new Set(machines.map(placeOf));
      for (const place of askedAt.keys()) if (!there.has(place)) askedAt.delete(place);
    },
  };
}
