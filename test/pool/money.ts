import { placeOf } from '../../src/pool/place-of.ts';
import { type PoolReport, poolReport } from '../../src/pool/pool-report.ts';
import type { BilledUsage } from '../gce-simulator/ledger.ts';
import type { Rig, RigLook } from './rig.ts';

/** The supervisor looks once a second, and a bill has whole seconds. */
const LOOK_SECONDS = 2;

/** Dollars of one report: what it says, what is billed, and how far it may be above or below that. */
export type Amounts = { reported: number; billed: number; above: number; below: number };

export type Money = {
  /** To be called when the clock of the supervisor is set. */
  clockIsSet(): void;
  /** Machines that are there and whose cost is not what the provider bills. */
  complaints(): string[];
  /** Of all there were. */
  amounts(): Amounts;
};

/**
 * Holds what the pool says that machines have cost to the bill of the simulator. A report is an estimate, and may be wrong
 * by what nobody here can know, and by no more:
 *
 * - above: it counts from the asking for a machine, and the bill from its start; it counts to the second look that does not
 *   show the machine any more (the first may be of a supervisor that dies over it), and the bill until it is off. So one
 *   that ends while the supervisor sleeps, or its zone does not answer, or that is off and not deleted yet, is counted for
 *   as long as that;
 * - below: lists may not show a machine though it runs; then it is counted to the last letter that was read, which may be
 *   one from before its end, or have been read after that. One that nobody ever saw or heard of is not counted at all;
 * - both: by as much as the clock of the supervisor was set in the meantime, for its rows have its times.
 */
export function watchMoney(rig: Rig): Money {
  const clock = [{ at: rig.time.now(), ahead: rig.clockAheadMs }];

  const report = (): PoolReport =>
    poolReport(rig.db, { policy: rig.policy, now: rig.time.now() + rig.clockAheadMs });

  /** By how many seconds the clock was set in a time. */
  const clockSet = (from: number, to: number): number => {
    const before = clock.findLastIndex(({ at }) => at < from);
    const during = clock.filter(({ at }, index) => index >= before && at <= to).map(({ ahead }) => ahead);
    return (Math.max(...during) - Math.min(...during)) / 1000;
  };

  /** Seconds by which the report of one machine may be above and below its bill. */
  const tolerance = (usage: BilledUsage): { above: number; below: number } => {
    const { zone, name, startedAt } = usage;
    const now = rig.time.now();
    const placedAt = rig.placedAt.get(name) ?? startedAt;
    const endedAt = usage.endedAt ?? now;
    const place = placeOf({ zone, id: name });
    const looks = rig.looks.filter(({ at, silentZones }) => at >= placedAt && !silentZones.includes(zone));
    const powerIn = ({ machines }: RigLook) => machines.find((machine) => placeOf(machine) === place)?.power;
    const shownAt = looks.findLast((look) => powerIn(look) !== undefined)?.at;
    const missed = looks.filter(({ at }) => at > Math.max(endedAt, shownAt ?? 0));
    const wasOn = looks.some((look) => powerIn(look) === 'on');
    const heardAt = wasOn ? 0 : (rig.heardAt.get(name) ?? 0);
    const noticedAt = Math.max(missed[1]?.at ?? now, heardAt);
    const isHidden = looks.some(({ at }) => at > (shownAt ?? placedAt) && at < endedAt);
    const set = clockSet(placedAt, noticedAt);
    const unseen =
      !wasOn || shownAt === undefined ? usage.seconds : isHidden ? (endedAt - shownAt) / 1000 : 0;
    return {
      above: (startedAt - placedAt + noticedAt - endedAt) / 1000 + set + LOOK_SECONDS,
      below: unseen + set + LOOK_SECONDS,
    };
  };

  const amountsOf = (name: string | undefined, reported: number): Amounts => {
    const sum: Amounts = { reported, billed: 0, above: 0, below: 0 };
    for (const usage of rig.sim.ledger.usages()) {
      if (name !== undefined && usage.name !== name) continue;
      const perSecond = usage.usd / usage.seconds;
      const { above, below } = tolerance(usage);
      sum.billed += usage.usd;
      sum.above += above * perSecond;
      sum.below += below * perSecond;
    }
    return sum;
  };

  return {
    clockIsSet: () => void clock.push({ at: rig.time.now(), ahead: rig.clockAheadMs }),
    complaints: () => {
      const each = report().workers.map(({ id, cost }) => ({ id, ...amountsOf(id, cost ?? 0) }));
      return each.filter(isWrong).map((amounts) => JSON.stringify(amounts));
    },
    amounts: () => amountsOf(undefined, report().cost ?? 0),
  };
}

export function isWrong({ reported, billed, above, below }: Amounts): boolean {
  return reported > billed + above || reported < billed - below;
}
