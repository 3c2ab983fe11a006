import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/core/clock.ts';
import { getWorker, livingWorkers } from '../../../src/store/workers.ts';
import { until } from '../../integration/until.ts';
import { patiently } from '../kit/fault-project.ts';
import { leftovers, leftoversAfterGc } from '../kit/leftovers.ts';
import type { Tally } from '../kit/tally.ts';
import { keysOfBucket } from './bucket-keys.ts';
import type { Lane } from './lane.ts';

const BILL_SECONDS = 60;

/** The end of a lane: whatever its trials left behind goes when somebody asks for it, and then nothing is left. */
export async function giveBack(lane: Lane, tally: Tally): Promise<void> {
  const { project, rig } = lane;
  const began = systemClock.now();
  const server = await project.server();
  try {
    await patiently(() => server.call('warm_pool_cleanup', { reason: 'No trial is to come any more' }));
    await until(() => rig.instances().length === 0, 'the machines of a lane to be deleted', 2 * BILL_SECONDS);
    // One that nobody ever saw run may come up late, and is waited for for minutes.
    const isCertain = (): boolean => livingWorkers(project.db).every(({ runningAt }) => runningAt === null);
    await until(isCertain, 'the ends of machines to be certain', BILL_SECONDS);
    const left = await until(
      async () => (await lettersOfGone(lane)).length === 0,
      'the letters of machines to be removed',
    ).then(
      () => undefined,
      async () => (await lettersOfGone(lane)).join('; '),
    );
    tally.count('no-leftovers', left);
  } finally {
    await server.close();
    await project.endPrograms('SIGTERM');
  }
  tally.count('money', wrongBills(lane, began));
  const { remains } = rig;
  await until(async () => (await remains()).length === 0, 'the containers of machines to be gone', 60);
  const here = [...(await leftovers(project.place())), ...(await leftoversAfterGc(project.place()))];
  tally.count('no-leftovers', here.length === 0 ? undefined : here.join('; '));
}

function wrongBills({ rig }: Lane, began: number): string | undefined {
  const ends = rig.bills().map(({ endedAt }) => endedAt ?? Number.POSITIVE_INFINITY);
  const late = ends.filter((end) => end > began + BILL_SECONDS * 1000).length;
  return late === 0 ? undefined : `${late} bills went on for too long after everything was given back`;
}

async function lettersOfGone({ rig, project }: Lane): Promise<string[]> {
  const mark = readFileSync(join(project.layout.stateDir, 'project-mark'), 'utf8');
  const letters = (await keysOfBucket(rig)).filter((key) => key.startsWith(`${mark}/workers/`));
  return letters.filter((key) => getWorker(project.db, key.split('/')[2] ?? '')?.state === 'gone');
}
