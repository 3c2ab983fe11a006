import { expect, it } from 'vitest';
import { prepareGivenVersion } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

it('completes a run that ended well, and says where its log is not whole', async () => {
  const prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
  const project = await prepared.open({ clock: createTestClock().clock });
  try {
    const { id } = project.runOf(prepared.first, 'one');
    const error = 'The log is incomplete: No space left on device.';
    await project.tick();
    project.fake.end(id, { error, errno: 'ENOSPC' });
    await project.tick();
    expect(project.run(id)).toMatchObject({ cause: 'success', errorMessage: error, failure: null });
  } finally {
    await project.dispose();
    await prepared.dispose();
  }
});
