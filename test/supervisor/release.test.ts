import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { getAttempt } from '../../src/store/attempts.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;

beforeAll(async () => {
  const files = { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' };
  prepared = await prepareGivenVersion({ files });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
});
afterEach(() => project.dispose());

const releasedAt = (attempt = 1) => getAttempt(project.db, { runId: id, attempt })?.releasedAt;

it('looks again for what was not certain to be gone when the run ended', async () => {
  project.fake.cleanupAnswer = 'unconfirmed';
  project.fake.end(id, { exitCode: 1 });
  await project.tick();
  // The run is over all the same.
  expect(project.run(id).cause).toBe('exit_nonzero');
  await project.tick();
  expect(releasedAt()).toBeNull();
  project.fake.cleanupAnswer = 'released';
  await project.tick();
  expect(releasedAt()).not.toBeNull();
});

it('looks again for what a run held that nobody found any more', async () => {
  project.fake.cleanupAnswer = 'unconfirmed';
  project.fake.set(id, 'absent');
  for (let n = 0; n < 4; n += 1) {
    await project.tick();
    await project.deps.clock.sleep(1_000);
  }
  expect([project.run(id).cause, releasedAt()]).toEqual(['worker_lost', null]);
  project.fake.cleanupAnswer = 'released';
  await project.tick();
  expect(releasedAt()).not.toBeNull();
});
