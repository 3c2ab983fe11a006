import type { Random } from '../faults/kit/random.ts';
import type { Money } from './money.ts';
import { addFault, countStrikes, FAULT_COUNTS } from './random-faults.ts';
import type { Rig } from './rig.ts';

export type Life = {
  rig: Rig;
  random: Random;
  bill: Money;
  /** Whether the clock of the supervisor is set at times; where not, what the pool says of money is to be nearly right. */
  isClockSet: boolean;
  count: (what: string) => void;
};

/** What happens to a pool by chance: work, faults, and what befalls its supervisor. */
type Step = (life: Life) => void;

/** As what each is counted, beside the edges of the table. */
export const STEP_COUNTS: readonly string[] = [
  ...FAULT_COUNTS,
  'fault: reboot',
  'fault: storage outage',
  'fault: storage refuses',
  'fault: storage loses an answer',
  'fault: wall clock is set',
  'fault: supervisor sleeps',
  'fault: supervisor dies',
];

const submit: Step = ({ rig, random }) => {
  rig.submit({
    // Some are over before anybody has seen them begin.
    seconds: random.between(1, random.pick([10, 180])),
    models: random.pick([['standard'], ['spot'], ['spot', 'standard']]),
  });
};

/** Mostly one whose machine is on, kept, and has not begun it: they are seldom, and such a machine comes to rest. */
const cancel: Step = ({ rig, random }) => {
  const open = rig.jobs.filter(({ state, isWanted }) => state === 'open' && isWanted);
  const booting = new Set(
    rig.workers().flatMap(({ state, pooled, lease, runningAt }) => {
      return state === 'launching' && pooled && lease !== null && runningAt !== null ? [lease.runId] : [];
    }),
  );
  const first = open.filter(({ runId }) => booting.has(runId));
  const others = random.next() < 0.3 ? open : [];
  const [one] = random.some(first.length > 0 ? first : others, 1);
  if (one) rig.cancel(one);
};

const fault: Step = ({ rig, random, count }) => addFault(rig.sim.faults, { random, count });

/**
 * Something happens at once to a machine that is on. All states have the same chance, however short they are; kept ones
 * without work are seldom, and come first.
 */
const strike: Step = ({ rig, random, count }) => {
  const on = new Map(
    rig.sim.instances().flatMap((one) => (one.status === 'RUNNING' ? [[one.name, one] as const] : [])),
  );
  const workers = rig.workers().filter(({ id }) => on.has(id));
  const seldom = workers.filter(
    ({ pooled, state }) => pooled && (state === 'draining' || state === 'idle_ready'),
  );
  const from = seldom.length > 0 ? seldom : workers;
  const [state] = random.some([...new Set(from.map((one) => one.state))], 1);
  const [worker] = random.some(
    from.filter((one) => one.state === state),
    1,
  );
  const machine = worker && on.get(worker.id);
  if (machine === undefined) return;
  const { name, zone } = machine;
  switch (random.pick(['reset', 'vanish', 'vanish', 'vanish', 'stop', 'host-error', 'preemption'])) {
    case 'reset': {
      const path = `/compute/v1/projects/${rig.sim.project}/zones/${zone.slice(zone.lastIndexOf('/') + 1)}`;
      void rig.sim.call({ method: 'POST', path: `${path}/instances/${name}/reset` });
      return;
    }
    case 'vanish':
      rig.sim.vanish(name);
      return count('fault: vanish');
    case 'stop':
      rig.sim.stop(name);
      return count('fault: stop');
    case 'host-error':
      rig.sim.breakHost(name);
      return count('fault: host-error');
    default:
      if (!machine.scheduling.preemptible) return;
      rig.sim.preempt(name);
      return count('fault: preemption with notice');
  }
};

/** Counted where somebody had to do with it. */
const storageOutage: Step = ({ rig, random, count }) => {
  const before = rig.storage.struck.out;
  rig.storage.out = true;
  rig.time.after(random.between(1, 60) * 1000, () => {
    rig.storage.out = false;
    if (rig.storage.struck.out > before) count('fault: storage outage');
  });
};

const storageTrouble: Step = ({ rig, random }) => {
  rig.storage.troubles.push(random.pick(['refused', 'lost']));
};

const wallClock: Step = ({ rig, random, bill, isClockSet, count }) => {
  if (!isClockSet) return;
  rig.clockAheadMs = random.between(-3_600_000, 3_600_000);
  bill.clockIsSet();
  count('fault: wall clock is set');
};

const sleep: Step = ({ rig, random, count }) => {
  if (!rig.isAlive() || rig.isAsleep) return;
  rig.isAsleep = true;
  rig.time.after(random.between(1, 600) * 1000, () => {
    rig.isAsleep = false;
  });
  count('fault: supervisor sleeps');
};

const crash: Step = ({ rig, random, count }) => {
  if (!rig.isAlive()) return;
  rig.crash();
  rig.time.after(random.between(0, 120) * 1000, () => rig.start());
  count('fault: supervisor dies');
};

const STEPS: readonly (readonly [weight: number, Step])[] = [
  [10, submit],
  [12, cancel],
  [16, fault],
  [6, strike],
  [2, storageOutage],
  [2, storageTrouble],
  [1, wallClock],
  [2, sleep],
  [3, crash],
];

/** Each call does one step of a life. */
export function pickStep(life: Life): () => void {
  countStrikes(life.rig.sim.faults, life.count);
  const weights = STEPS.reduce((sum, [weight]) => sum + weight, 0);
  return () => {
    let left = life.random.between(1, weights);
    for (const [weight, step] of STEPS) {
      left -= weight;
      if (left <= 0) return step(life);
    }
    throw new Error('the weights do not add up');
  };
}
