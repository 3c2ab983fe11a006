import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { afterAll, describe, it } from 'vitest';
import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import type { Backend } from '../kit/fault-project.ts';
import { LONG, SEED } from '../kit/outcome.ts';
import { createRandom } from '../kit/random.ts';
import { createTally } from '../kit/tally.ts';
import { KILL_POINTS, type KillPoint, nameOf } from './points.ts';
import { makePrototype } from './prototype.ts';
import { tryKillPoint } from './trial.ts';

/** Most of a trial is waiting: for pauses, for absence to be certain. */
const AT_ONCE = 4;

const cache = mkdtempSync(join(tmpdir(), 'goldfish-faults-cache-'));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

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

async function tryAll(backend: Backend): Promise<void> {
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
    note: `${points.length} kill points of server, supervisor and run wrapper`,
  });
}

describe('a run whose server, supervisor or run wrapper is killed between two steps', () => {
  it('ends right on process, executed once per attempt, with everything it made and nothing left', async () => {
    await tryAll('process');
  });

  it.skipIf(!hasEngine)(`does so on docker${NEEDS_ENGINE}`, async () => {
    await tryAll('docker');
  });
});
