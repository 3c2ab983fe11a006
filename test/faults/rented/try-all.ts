import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { hasRentals, NEEDS_RENTALS } from '../../integration/gce/needs.ts';
import { openRentedRig, type RentedRig } from '../../integration/gce/rented-rig.ts';
import { LONG, SEED } from '../kit/outcome.ts';
import { createRandom } from '../kit/random.ts';
import { createTally, type Tally } from '../kit/tally.ts';
import { giveBack } from './give-back.ts';
import { openLane } from './lane.ts';
import { nameOf, type RentedPoint } from './points.ts';
import { tryRentedPoint } from './trial.ts';

/** Projects side by side: most of a trial is waiting. In the short form another file goes beside this one. */
const LANES = LONG ? 6 : 3;

/** To look at one again: its name, or the beginning of several. */
const WANTED = process.env['GOLDFISH_FAULTS_POINT'];

type About = {
  /** Who dies. */
  who: string;
  points: readonly RentedPoint[];
};

/** All in the long form; else a quarter of them, another one for each seed. A machine that waits comes before those that do not. */
function chosen({ who, points }: About): RentedPoint[] {
  const inOrder = points.toSorted((one, other) => rank(one) - rank(other));
  if (WANTED !== undefined) return inOrder.filter((point) => nameOf(point).startsWith(WANTED));
  if (LONG) return inOrder;
  const quick = inOrder.filter(({ slow }) => slow !== true);
  const some = new Set(createRandom(SEED + who.length).some(quick, Math.ceil(quick.length / 4)));
  return quick.filter((point) => some.has(point));
}

function rank({ pool }: RentedPoint): number {
  return ['waiting', 'kept', 'own'].indexOf(pool);
}

async function tryAll(about: About, cache: string): Promise<void> {
  const points = chosen(about);
  console.log(`gce, seed ${SEED}: ${points.map(nameOf).join('; ')}`);
  const tally = createTally();
  // A name that is of the other file.
  if (points.length === 0) return;
  const services = await openRentedRig();
  try {
    const queue = [...points];
    const lanes = Array.from({ length: Math.min(LANES, points.length) }, () =>
      work(queue, { services, cache, tally }),
    );
    await Promise.all(lanes);
  } finally {
    await services.close();
  }
  tally.state({
    fault: `killed between two steps of a rented run: ${about.who}`,
    backend: 'gce',
    note: `${points.length} kill points`,
  });
}

/** Trials one after the other, as long as the lane is as it was; then on a new one. */
async function work(
  queue: RentedPoint[],
  { services, cache, tally }: { services: RentedRig; cache: string; tally: Tally },
): Promise<void> {
  while (queue.length > 0) {
    const lane = await openLane(services, cache);
    try {
      let isWhole = true;
      while (isWhole) {
        const point = queue.shift();
        if (point === undefined) break;
        const began = performance.now();
        isWhole = await tryRentedPoint(lane, point, tally);
        const seconds = ((performance.now() - began) / 1000).toFixed(1);
        console.log(`${isWhole ? 'tried' : 'BROKE'} ${nameOf(point)}: ${seconds} s`);
      }
      if (isWhole) await giveBack(lane, tally);
    } finally {
      await lane.close();
    }
  }
}

/** Every kill point of some programs. */
export function describeRentedPoints(about: About): void {
  describe(`a run on a rented machine, with a death of ${about.who} between two steps`, () => {
    it.skipIf(!hasRentals)(
      `ends right, executed once per attempt, and leaves no machine and no bill${NEEDS_RENTALS}`,
      async () => {
        const cache = mkdtempSync(join(tmpdir(), 'goldfish-faults-cache-'));
        try {
          await tryAll(about, cache);
        } finally {
          rmSync(cache, { recursive: true, force: true });
        }
      },
    );
  });
}
