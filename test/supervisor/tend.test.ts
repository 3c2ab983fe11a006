import { afterEach, expect, it } from 'vitest';
import { isWorkLeft } from '../../src/runs/work-left.ts';
import { createRunsProject, type RunsProject, THREE_STAGES } from '../support/runs-project.ts';

let project: RunsProject;
afterEach(() => project.dispose());

it('looks after what backends hold at every look, one at a time, and keeps no run waiting for it', async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  let asked = 0;
  const hold = Promise.withResolvers<void>();
  project.deps.backends.tend = () => {
    asked += 1;
    return hold.promise;
  };
  const loop = project.newLoop();
  await project.submit({ stages: ['lone'] });
  await loop.tick();
  await loop.tick();
  await expect.poll(() => project.fake.launched.map(({ stage }) => stage)).toEqual(['lone']);
  expect(asked).toBe(1);
  hold.resolve();
  await loop.settled();
  await loop.tick();
  expect(asked).toBe(2);
  await loop.settled();
});

it('goes on with the runs where what backends hold cannot be looked after', async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  project.deps.backends.tend = () => Promise.reject(new Error('nobody answers'));
  await project.submit({ stages: ['lone'] });
  await project.tick();
  expect(project.logged).toContain('what backends hold could not be looked after nobody answers');
  expect(project.fake.launched).toHaveLength(1);
});

it('has work as long as a backend holds something between runs', async () => {
  project = await createRunsProject({ files: THREE_STAGES });
  const { db, clock } = project.deps;
  expect(isWorkLeft(db, clock)).toBe(false);
  expect(isWorkLeft(db, clock, () => false)).toBe(false);
  expect(isWorkLeft(db, clock, () => true)).toBe(true);
});
