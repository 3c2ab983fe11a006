import { afterEach, expect, it } from 'vitest';
import { createRig, type Rig } from './rig.ts';

const IMAGE = 'sha256:aaaa';
let rig: Rig;
afterEach(() => rig.dispose());

it.each([
  ['the one that holds its image, though it rested longer', [IMAGE], 0],
  ['the one that rested shortest, where both hold as much of what it wants', ['sha256:bbbb'], 1],
])('a job is given, of two machines at rest, %s', async (_which, images, expected) => {
  const holders = new Set<string>();
  rig = createRig({ worker: { images: (worker) => (holders.has(worker) ? [IMAGE] : []) } });
  rig.start();
  const jobs = [rig.submit({ seconds: 20 }), rig.submit({ seconds: 60 })];
  await rig.until(() => jobs.every(({ workers }) => workers.length === 1));
  for (const worker of jobs[0]?.workers ?? []) holders.add(worker);
  await rig.until(() => rig.workers().every(({ state }) => state === 'idle_ready'));
  const next = rig.submit({ images });
  await rig.until(() => next.workers.length === 1);
  expect([next.workers, rig.inserts()]).toEqual([jobs[expected]?.workers, 2]);
});
