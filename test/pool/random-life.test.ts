import { afterAll, expect, it } from 'vitest';
import { isGoldfishError } from '../../src/core/errors.ts';
import { WORKER_TRANSITIONS } from '../../src/core/worker-lifecycle.ts';
import { createRandom, type Random } from '../faults/kit/random.ts';
import { type Amounts, isWrong, watchMoney } from './money.ts';
import { watchPromises } from './promises.ts';
import { pickStep, STEP_COUNTS } from './random-steps.ts';
import { createRig, type Rig } from './rig.ts';
import type { Deed } from './scripted-worker.ts';

/** A few of them; `npm run test:pool` tries ten thousand. The seed repeats them. */
const STEPS = Number(process.env['GOLDFISH_POOL_STEPS'] ?? 200);
const SEED = Number(process.env['GOLDFISH_POOL_SEED'] ?? 20_261_126);
/** A life of a pool, after which everything must be gone. */
const STEPS_OF_A_LIFE = 100;
/** With so many steps everything must have happened so often. Fewer say nothing of that. */
const ENOUGH = 10_000;
const LEAST = 20;

const counts = new Map<string, number>();
const count = (what: string, times = 1): void => void counts.set(what, (counts.get(what) ?? 0) + times);

/** Every edge of the table: the product comes to each of them. */
const EDGES = Object.entries(WORKER_TRANSITIONS).flatMap(([event, { from, to }]) =>
  from.map((state) => `edge: ${state} ${event} ${to}`),
);
const BIRTH = 'edge: reserve launching';
const WANTED = [BIRTH, ...EDGES, ...STEP_COUNTS];

function countEdges(rig: Rig, count: Life['count']): void {
  const rows = rig.db
    .prepare<{ edge: string; n: number }>(
      `SELECT concat_ws(' ', 'edge:', from_state, event, to_state) AS edge, count(*) AS n
         FROM worker_events GROUP BY edge`,
    )
    .all();
  for (const { edge, n } of rows) count(edge, n);
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

function unaccounted(rig: Rig): string[] {
  return rig.sim.ledger.usages().flatMap(({ name, zone, model, endedAt }) => {
    const row = rig.db
      .prepare<{ zone: string; model: string; gone_at: string | null }>(
        'SELECT zone, model, gone_at FROM workers WHERE id = ?',
      )
      .get(name);
    if (!row) return [`${name} was paid for and has no row`];
    if (row.zone !== zone || row.model !== model.toLowerCase()) return [`${name} was paid for elsewhere`];
    return endedAt === undefined || row.gone_at === null ? [`${name} is paid for without an end`] : [];
  });
}

/** Of the lives in which no clock was set. */
const money: Amounts = { reported: 0, billed: 0, above: 0, below: 0 };
function addAmounts({ reported, billed, above, below }: Amounts): void {
  money.reported += reported;
  money.billed += billed;
  money.above += above;
  money.below += below;
}

afterAll(() => {
  if (STEPS < ENOUGH) return;
  for (const [what, n] of [...counts].sort()) console.log(`${String(n).padStart(6)}  ${what}`);
  const [reported, billed, above, below] = Object.values(money).map((amount) => amount.toFixed(2));
  console.log(`reported ${reported}, billed ${billed}; allowed ${above} above, ${below} below`);
});

type Life = { count: (what: string, times?: number) => void; step: number };

/** A pool from its beginning to its end. Returns what its machines did, and cost. */
async function live(
  random: Random,
  { count, step }: Life,
): Promise<{ deeds: Deed[]; amounts: Amounts | null }> {
  const rig = createRig({
    // Mostly such as keep machines: only these come to rest.
    policy: {
      maxInstances: random.pick([0, 1, 2, 3, 4, 4, 4]),
      idleTimeoutSeconds: random.pick([0, 60, 300, 300, 600]),
    },
    worker: { cleanSeconds: random.pick([3, 60, 120]) },
  });
  const watch = watchPromises(rig);
  const bill = watchMoney(rig);
  const isClockSet = random.next() < 0.5;
  const pick = pickStep({ rig, random, bill, isClockSet, count });
  try {
    rig.start();
    for (let one = 0; one < STEPS_OF_A_LIFE; one += 1) {
      pick();
      await rig.pass(random.between(0, 30));
      const complaints = [...watch.complaints(), ...bill.complaints()];
      expect(complaints, `step ${step + one}, seed ${SEED}`).toEqual([]);
    }
    await settleDown(rig);
    const amounts = bill.amounts();
    const complaints = [...watch.complaints(), ...unaccounted(rig)];
    expect([complaints, isWrong(amounts) && amounts], `life of step ${step}, seed ${SEED}`).toEqual([
      [],
      false,
    ]);
    // What was refused or had no answer; anything else is a defect of ours.
    expect(rig.defects.filter((error) => !isGoldfishError(error))).toEqual([]);
    countEdges(rig, count);
    count('fault: reboot', rig.reboots);
    count('fault: storage refuses', rig.storage.struck.refused);
    count('fault: storage loses an answer', rig.storage.struck.lost);
    return { deeds: rig.deeds, amounts: isClockSet ? null : amounts };
  } finally {
    rig.dispose();
  }
}

it(`keeps every promise of the pool in ${STEPS} random steps, seed ${SEED}`, {
  timeout: 600_000,
}, async () => {
  const random = createRandom(SEED);
  for (let step = 0; step < STEPS; step += STEPS_OF_A_LIFE) {
    const { amounts } = await live(random, { count, step });
    if (amounts !== null) addAmounts(amounts);
  }
});

it('lives the same life again with the same seed', async () => {
  const once = () => live(createRandom(SEED), { count: () => undefined, step: 0 });
  const life = await once();
  expect(life.deeds.length).toBeGreaterThan(0);
  expect(await once()).toEqual(life);
});

const DEMAND =
  STEPS < ENOUGH
    ? `knows everything that happened (of how often, ${STEPS} steps say nothing: npm run test:pool does)`
    : `has seen every edge of the table and every fault at least ${LEAST} times`;
it(DEMAND, () => {
  expect([...counts.keys()].filter((what) => !WANTED.includes(what))).toEqual([]);
  const seldom = WANTED.filter((what) => (counts.get(what) ?? 0) < LEAST);
  expect(STEPS < ENOUGH ? [] : seldom).toEqual([]);
});
