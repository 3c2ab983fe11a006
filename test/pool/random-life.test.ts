import { afterAll, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { WORKER_TRANSITIONS } from '../../src/core/worker-lifecycle.ts';
import { createRandom, type Random } from '../faults/kit/random.ts';
import type { FaultInput } from '../gce-simulator/faults.ts';
import { watchPromises } from './promises.ts';
import { createRig, type Rig } from './rig.ts';

/** A few of them; `npm run test:pool` tries ten thousand. The seed repeats them. */
const STEPS = Number(process.env['GOLDFISH_POOL_STEPS'] ?? 200);
const SEED = Number(process.env['GOLDFISH_POOL_SEED'] ?? 20_261_126);
/** A life of a pool, after which everything must be gone. */
const STEPS_OF_A_LIFE = 100;
/** With so many steps everything must have happened so often. */
const ENOUGH = 10_000;
const LEAST = 20;

const METHODS: readonly [string, ...string[]] = [
  'instances.insert',
  'instances.delete',
  'instances.aggregatedList',
  'zoneOperations.wait',
  'instances.get',
];

/** Everything that goes wrong, by its name in the count. */
const FAULTS: Readonly<Record<string, (random: Random) => FaultInput>> = {
  'stock-out': (random) => ({
    kind: 'stock-out',
    times: random.between(1, 4),
    wording: random.pick([
      'pool-exhausted',
      'pool-exhausted-state',
      'stockout',
      'preempted-at-start',
      'refused-at-once',
      'incompatible-under-this-code',
    ]),
  }),
  quota: (random) => ({ kind: 'quota', as: random.pick(['operation', 'request']) }),
  'slow provisioning': (random) => ({ kind: 'slow-provisioning', ms: random.between(0, 120_000) }),
  'slow boot': (random) => ({ kind: 'slow-boot', ms: random.between(0, 240_000) }),
  'late visibility': (random) => ({
    kind: 'late-visibility',
    ms: random.between(0, 90_000),
    of: random.pick(['lists', 'lists and get']),
  }),
  'zone unreachable': (random) => ({
    kind: 'zone-unreachable',
    zone: 'us-central1-a',
    times: random.between(1, 20),
  }),
  'api error': (random) => ({
    kind: 'api-error',
    method: random.pick(METHODS),
    status: random.pick([429, 500, 502, 503]),
    after: random.next() < 0.5,
    times: random.between(1, 4),
  }),
  disconnect: (random) => ({ kind: 'disconnect', method: random.pick(METHODS), after: random.next() < 0.5 }),
  'operation error': (random) => ({
    kind: 'operation-error',
    method: random.pick(['instances.insert', 'instances.delete']),
  }),
  'lost operation': (random) => ({
    kind: 'lost-operation',
    method: random.pick(['instances.insert', 'instances.delete']),
    how: random.pick(['forgotten', 'never-done']),
  }),
  'delete never confirms': () => ({ kind: 'delete-never-confirms' }),
  preemption: (random) => ({
    kind: 'preempt',
    afterMs: random.between(0, 200_000),
    noticeMs: random.pick([0, 30_000]),
  }),
  stop: (random) => ({ kind: 'stop', afterMs: random.between(0, 200_000) }),
  vanish: (random) => ({ kind: 'vanish', afterMs: random.between(0, 200_000) }),
  'host error': (random) => ({ kind: 'host-error', afterMs: random.between(0, 200_000) }),
  'clock skew': (random) => ({
    kind: 'clock-skew',
    of: random.pick(['service', 'machine']),
    ms: random.between(-3_600_000, 3_600_000),
  }),
};

const STANDING = ['clock skew', 'late visibility'];

/** Counts what strikes, not what waits for its case. */
function countStrikes({ sim: { faults } }: Rig): void {
  const { take } = faults;
  faults.take = (kind, subject) => {
    const struck = take(kind, subject);
    const name = NAMES[kind] ?? kind.replaceAll('-', ' ');
    if (struck !== undefined && !STANDING.includes(name)) count(`fault: ${name}`);
    return struck;
  };
}
const NAMES: Readonly<Record<string, string>> = { preempt: 'preemption', 'stock-out': 'stock-out' };

const counts = new Map<string, number>();
const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);

type Step = readonly [weight: number, (rig: Rig, random: Random) => void];

const STEPS_BY_NAME: Readonly<Record<string, Step>> = {
  submit: [
    6,
    (rig, random) =>
      void rig.submit({
        seconds: random.between(1, 180),
        models: random.pick([['standard'], ['spot'], ['spot', 'standard']]),
      }),
  ],
  cancel: [
    2,
    (rig, random) => {
      const open = rig.jobs.filter(({ state, isWanted }) => state === 'open' && isWanted);
      const [one] = random.some(open, 1);
      if (one) rig.cancel(one);
    },
  ],
  fault: [
    6,
    (rig, random) => {
      const [name = ''] = random.some(Object.keys(FAULTS), 1);
      const fault = FAULTS[name]?.(random);
      if (fault === undefined) return;
      rig.sim.faults.add(fault);
      // Of those that are not used up nobody tells when they strike.
      if (STANDING.includes(name)) count(`fault: ${name}`);
    },
  ],
  'storage outage': [
    1,
    (rig, random) => {
      rig.storage.out = true;
      rig.time.after(random.between(1, 60) * 1000, () => {
        rig.storage.out = false;
      });
      count('fault: storage outage');
    },
  ],
  'storage trouble': [
    2,
    (rig, random) => {
      rig.storage.troubles.push(random.pick(['refused', 'lost']));
      count('fault: storage trouble');
    },
  ],
  'wall clock': [
    1,
    (rig, random) => {
      rig.clockAheadMs = random.between(-3_600_000, 3_600_000);
      count('fault: wall clock is set');
    },
  ],
  sleep: [
    1,
    (rig, random) => {
      rig.isAsleep = true;
      rig.time.after(random.between(1, 600) * 1000, () => {
        rig.isAsleep = false;
      });
      count('fault: supervisor sleeps');
    },
  ],
  crash: [
    2,
    (rig, random) => {
      rig.crash();
      rig.time.after(random.between(0, 120) * 1000, () => rig.start());
      count('fault: supervisor dies');
    },
  ],
};

function pickStep(random: Random): Step[1] {
  const steps = Object.values(STEPS_BY_NAME);
  let left = random.between(
    1,
    steps.reduce((sum, [weight]) => sum + weight, 0),
  );
  for (const [weight, step] of steps) {
    left -= weight;
    if (left <= 0) return step;
  }
  throw new Error('the weights do not add up');
}

/** Everybody stops to make trouble: all jobs come to an end and every machine is given back. */
async function settleDown(rig: Rig): Promise<void> {
  rig.sim.faults.clear();
  rig.storage.troubles.length = 0;
  rig.storage.out = false;
  rig.isAsleep = false;
  rig.start();
  await rig.until(() => rig.jobs.every(({ state }) => state !== 'open'), 7_200);
  await rig.until(() => rig.workers().length === 0 && rig.sim.instances().length === 0, 7_200);
}

function countTransitions(rig: Rig): void {
  const rows = rig.db
    .prepare<{ event: string; n: number }>('SELECT event, count(*) AS n FROM worker_events GROUP BY event')
    .all();
  for (const { event, n } of rows) counts.set(`event: ${event}`, (counts.get(`event: ${event}`) ?? 0) + n);
}

function unaccounted(rig: Rig): string[] {
  return rig.sim.ledger.usages().flatMap(({ name, endedAt }) => {
    const row = rig.db
      .prepare<{ gone_at: string | null }>('SELECT gone_at FROM workers WHERE id = ?')
      .get(name);
    if (!row) return [`${name} was paid for and has no row`];
    return endedAt === undefined || row.gone_at === null ? [`${name} is paid for without an end`] : [];
  });
}

afterAll(() => {
  if (STEPS < ENOUGH) return;
  for (const [what, n] of [...counts].sort()) console.log(`${String(n).padStart(6)}  ${what}`);
});

it(`keeps every promise of the pool in ${STEPS} random steps, seed ${SEED}`, {
  timeout: 600_000,
}, async () => {
  const random = createRandom(SEED);
  for (let step = 0; step < STEPS; step += STEPS_OF_A_LIFE) {
    const rig = createRig({
      policy: { maxInstances: random.between(0, 4), idleTimeoutSeconds: random.pick([0, 60, 300]) },
    });
    const watch = watchPromises(rig);
    countStrikes(rig);
    try {
      rig.start();
      for (let one = 0; one < STEPS_OF_A_LIFE; one += 1) {
        pickStep(random)(rig, random);
        await rig.pass(random.between(0, 30));
        expect(watch.complaints(), `step ${step + one}, seed ${SEED}`).toEqual([]);
      }
      await settleDown(rig);
      expect([...watch.complaints(), ...unaccounted(rig)], `life of step ${step}, seed ${SEED}`).toEqual([]);
      // What was refused or had no answer; anything else is a defect of ours.
      expect(rig.defects.filter((error) => !isGoldfishError(error))).toEqual([]);
      countTransitions(rig);
    } finally {
      rig.dispose();
    }
  }
  const wanted = [
    ...Object.keys(WORKER_TRANSITIONS).map((event) => `event: ${event}`),
    ...Object.keys(FAULTS).map((fault) => `fault: ${fault}`),
  ];
  const seldom = wanted.filter((what) => (counts.get(what) ?? 0) < LEAST);
  expect(STEPS < ENOUGH ? [] : seldom).toEqual([]);
});
