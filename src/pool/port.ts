import type { ProvisioningModel } from '../core/rows.ts';

export type CallOptions = { signal?: AbortSignal };

/**
 * Where machines are rented. Adapters: gce. Every method may be repeated: the caller's key is the machine's id, which is
 * its name there. Errors: BACKEND_UNAVAILABLE, retryable where the same call may succeed later.
 */
export type WorkerProvider = {
  readonly name: string;
  /**
   * Looks for a place for a machine, in as many zones and ways of paying as the request allows, until it runs there; or
   * finds it. `onPlace` is called before each place is tried; it has committed the place when it returns, and gives it a
   * number that makes its requests their own.
   */
  create(
    request: MachineRequest,
    options: { signal: AbortSignal; onPlace: (place: Place) => number },
  ): Promise<CreateAnswer>;
  /**
   * Every machine of this project, in one call, or one for each zone. Zones that did not answer are named, not taken for
   * empty. `zones`: where machines are known to be, beside the configured ones.
   */
  list(options?: CallOptions & { zones?: readonly string[] }): Promise<MachineList>;
  /** Asks for the end of a machine and its disks; that it is gone shows in the list only. Harmless where it is gone. */
  delete(machine: MachineName, options?: CallOptions): Promise<void>;
  /** Names of machines of a zone that it has taken back lately, in one call. */
  preempted(zone: string, options?: CallOptions): Promise<ReadonlySet<string>>;
  /** The last it wrote while it booted, for people; empty where there is nothing. */
  console(machine: MachineName, options?: CallOptions): Promise<string>;
};

export type MachineName = { id: string; zone: string };

export type Place = { zone: string; model: ProvisioningModel; pricePerHour: number | null };

export type MachineRequest = {
  id: string;
  profile: string;
  /** Given by the profile: where, and how it may be paid for, in the order to try. */
  zones: readonly string[];
  models: readonly ProvisioningModel[];
  /** Where it was asked for last, in an earlier life of this program. */
  last: { zone: string; model: ProvisioningModel; number: number } | null;
  /** Seconds to look for a place, however many requests stay unclear meanwhile. */
  capacityWaitSeconds: number;
  search: PlaceSearch;
  /** The machine is ended by its provider after so many seconds, whatever happens here. */
  maxSeconds: number;
  /** For one job only: it ends itself afterwards. */
  singleUse: boolean;
};

/** What one launch knows of places: where a request stayed unclear, the search for the next machine goes on from there. */
export type PlaceSearch = {
  /** When it ends, in milliseconds of the monotonic clock; null before it begins, and when a machine was found. */
  until: number | null;
  /** What each place said last. */
  said: Map<string, string>;
  /** Places of which nobody could say what became of the request; the others are tried before them. */
  unclear: Set<string>;
};

export function newPlaceSearch(): PlaceSearch {
  return { until: null, said: new Map(), unclear: new Set() };
}

export type CreateAnswer =
  | { kind: 'created' }
  /** There is no machine of this name. `lasting`: it makes no difference to wait. */
  | { kind: 'no_place'; message: string; lasting: boolean }
  /** Nobody can say whether one will come, at the place that was committed last. It was asked not to, unless the search
   * is handed over (`HandedOver`). */
  | { kind: 'unclear'; message: string };

export type MachineList = {
  machines: MachineSight[];
  /** Zones of which nothing is known now. */
  silentZones: readonly string[];
};

/** `coming`: asked for, not on yet. `on`: it runs. `off`: it is, or is being, switched off. `going`: its deletion is under way. */
export type MachineSight = {
  id: string;
  zone: string;
  power: 'coming' | 'on' | 'off' | 'going';
};
