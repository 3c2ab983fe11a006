import type { PoolDeps } from './deps.ts';
import { elapsed } from './elapsed.ts';
import { placeOf } from './place-of.ts';
import type { MachineList, MachineSight } from './port.ts';

/** Machines of this project that no row names: made by a copy of the project that is no more, or left behind in a place. */
export type Strangers = {
  /** Those that are to go. `known`: the places of all workers. */
  look(list: MachineList, known: ReadonlySet<string>): MachineSight[];
};

/**
 * A stranger goes when it was seen more than once, and for longer than a new machine may be without anybody to answer for
 * it: somebody who is about to make one must not lose it. Time is counted as in worker-watch.ts.
 */
export function createStrangers({ clock, policy }: Pick<PoolDeps, 'clock' | 'policy'>): Strangers {
  let seen = new Map<string, { at: number; ms: number }>();
  return {
    look: ({ machines, silentZones }, known) => {
      const at = clock.monotonic();
      const before = seen;
      seen = new Map();
      // What is not shown because nobody could say is not gone.
      for (const [place, { ms }] of before) if (isIn(silentZones, place)) seen.set(place, { at, ms });
      const due: MachineSight[] = [];
      for (const machine of machines) {
        const place = placeOf(machine);
        if (known.has(place)) continue;
        const had = before.get(place);
        const ms = had === undefined ? 0 : had.ms + elapsed(had.at, at);
        seen.set(place, { at, ms });
        if (had !== undefined && ms >= policy.visibilitySeconds * 1000) due.push(machine);
      }
      return due;
    },
  };
}

function isIn(zones: readonly string[], place: string): boolean {
  return zones.some((zone) => place.startsWith(`${zone}/`));
}
