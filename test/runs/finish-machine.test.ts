import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PreparedProject, prepareGivenVersion } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
afterAll(() => prepared.dispose());

it.each([
  ['can execute nothing', 'machine', 'launch_failed'],
  ['does not stand a check', 'preflight', 'preflight_failed'],
])(
  'ends a run by no fault of its own, in the words of a machine that %s',
  async (_what, failedStep, cause) => {
    const project = await prepared.open({ clock: createTestClock().clock });
    try {
      const { id } = project.runOf(prepared.first, 'one');
      await project.tick();
      const error = 'The image x has no container engine.';
      project.fake.end(id, { started: false, exitCode: null, startedAt: null, failedStep, error });
      await project.tick();
      expect(project.run(id)).toMatchObject({
        state: 'failed',
        cause,
        errorMessage: error,
        failure: { class: 'infra' },
      });
    } finally {
      await project.dispose();
    }
  },
);
