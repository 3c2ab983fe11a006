import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { describe, it } from 'vitest';
import type { Backend } from '../kit/fault-project.ts';
import { LONG, SEED } from '../kit/outcome.ts';
import { createRandom } from '../kit/random.ts';
import { createTally } from '../kit/tally.ts';
import { KILL_POINTS, type KillPoint, nameOf } from './points.ts';
import { makePrototype } from './prototype.ts';
import { tryKillPoint } from './trial.ts';

/** Most of a trial is waiting: for pauses, for absence to be certain. */
const AT_ONCE = 4;

/** To look at one again: its name, or the beginning of several. */
const WANTED = process.env['GOLDFISH_FAULTS_POINT'];

/** All in the long form; else a quarter of them, another one for each backend and seed. */
function chosen(backend: Backend): KillPoint[] {
  const all = KILL_POINTS.filter(({ only }) => only === undefined || only === backend);
  if (WANTED !== undefined) return all.filter((point) => nameOf(point).startsWith(WANTED));
  if (LONG) return all;
  const quick = all.filter(({ slow }) => slow !== true);
  return createRandom(SEED + backend.length).some(quick, Math.ceil(quick.length / 4));
}

async function tryAll(backend: Backend, cache: string): Promise<void> {
  const points = chosen(backend);
  console.log(`${backend}, seed ${SEED}: ${points.map(nameOf).join(', ')}`);
  const prototype = await makePrototype(backend, cache, SEED % 1000);
  const tally = createTally();
  try {
    await pLimit(AT_ONCE).map(points, (point) => tryKillPoint(prototype, point, tally));
  } finally {
    await prototype.project.dispose();
  }
  tally.state({
    fault: 'killed between two steps, everything started anew',
    backend,
    note: `${points.length} kill points: ${[...new Set(points.map(({ who }) => who))].join(', ')}`,
  });
}

/** Every kill point of one backend. Each has its file, as a part of the long form that can be run by itself. */
export function describeKillPoints(
  backend: Backend,
  { there, needs }: { there: boolean; needs: string },
): void {
  describe('a run whose server, supervisor or run wrapper is killed between two steps', () => {
    it.skipIf(!there)(
      `ends right on ${backend}, executed once per attempt, with everything it made and nothing left${needs}`,
      async () => {
        const cache = mkdtempSync(join(tmpdir(), 'goldfish-faults-cache-'));
        try {
          await tryAll(backend, cache);
        } finally {
          rmSync(cache, { recursive: true, force: true });
        }
      },
    );
  });
}
