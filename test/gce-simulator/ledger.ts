import { pricePerHour as listPrice, type Rented } from './prices.ts';
import type { SimulatedTime } from './time.ts';

/** One stretch of a machine from its start to its stop. */
export type Usage = Rented & {
  name: string;
  zone: string;
  /** The instance's id: two machines of one name are two. */
  id: string;
  startedAt: number;
  /** Absent while it runs. */
  endedAt?: number;
};

export type BilledUsage = Usage & {
  /** Seconds on the bill: whole ones, and never fewer than a minute. */
  seconds: number;
  usd: number;
};

/**
 * "All vCPUs, GPUs, and GB of memory are charged a minimum of 1 minute. After 1 minute, instances are charged in 1 second
 * increments": cloud.google.com/compute/vm-instance-pricing, section "Billing model". The same page counts the time from
 * the start of an instance until its state is TERMINATED; so STOPPING costs money.
 */
const LEAST_SECONDS = 60;

export type Ledger = {
  start(usage: Omit<Usage, 'startedAt'>): void;
  /** Nothing happens where the machine is not on. */
  stop(id: string): void;
  /** Every stretch, oldest first, those that go on included. */
  usages(): BilledUsage[];
  /** US dollars up to now, of one machine by its name or of all. */
  usd(name?: string): number;
};

/** US dollars an hour of a machine in its zone. */
export type Prices = (rented: Rented & { zone: string }) => number;

export function createLedger(time: SimulatedTime, pricePerHour: Prices = listPrice): Ledger {
  const usages: Usage[] = [];
  const billed = (usage: Usage): BilledUsage => {
    const ms = (usage.endedAt ?? time.now()) - usage.startedAt;
    const seconds = Math.max(LEAST_SECONDS, Math.ceil(ms / 1000));
    return { ...usage, seconds, usd: (seconds * pricePerHour(usage)) / 3600 };
  };
  return {
    start: (usage) => {
      usages.push({ ...usage, startedAt: time.now() });
    },
    stop: (id) => {
      const open = usages.find((usage) => usage.id === id && usage.endedAt === undefined);
      if (open) open.endedAt = time.now();
    },
    usages: () => usages.map(billed),
    usd: (name) =>
      usages
        .filter((usage) => name === undefined || usage.name === name)
        .reduce((sum, usage) => sum + billed(usage).usd, 0),
  };
}
