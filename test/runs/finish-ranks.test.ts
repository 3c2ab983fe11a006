import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { RunResult } from '../../src/backends/port.ts';
import type { StageRun } from '../../src/core/rows.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { type PreparedProject, prepareRunsProject, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

/** Ends of which the result document says more than an exit code: whose, and whether anybody knows. */
let prepared: PreparedProject;
let project: RunsProject;
let id: string;

beforeAll(async () => {
  prepared = await prepareRunsProject({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
});
afterEach(() => project.dispose());

const run = (): StageRun => project.run(id);
const end = async (result: Partial<RunResult>): Promise<void> => {
  project.fake.end(id, result);
  await project.tick();
};

it.each<[string, Partial<RunResult>, object]>([
  [
    'the death of what executed it, whatever the program had done',
    { lost: true, exitCode: null, signal: null, error: 'The engine went away.' },
    { state: 'terminated', cause: 'worker_lost', exitCode: null, errorMessage: 'The engine went away.' },
  ],
  [
    'that death before anybody knew that the program ran',
    { started: false, lost: true, exitCode: null, startedAt: null },
    {
      cause: 'worker_lost',
      errorMessage: 'What executed the program died under it: how it would have ended is not known.',
    },
  ],
  [
    'our own stop although nobody knows how it ended',
    { lost: true, exitCode: null, signal: null, stoppedBy: 'timeout', error: 'No answer.' },
    { cause: 'timeout', errorMessage: 'The run reached its time limit and was stopped.' },
  ],
  [
    'an incomplete log, beside the program’s own end',
    { exitCode: 3, error: 'The log is incomplete: No space left on device.', errno: 'ENOSPC' },
    {
      cause: 'exit_nonzero',
      errorMessage: 'The program ended with exit code 3. The log is incomplete: No space left on device.',
      failure: { class: 'code', errno: 'ENOSPC' },
    },
  ],
  [
    'the error of the system that kept it from starting',
    { started: false, exitCode: null, error: 'There is none.', errno: 'ENOENT', startedAt: null },
    { cause: 'launch_failed', failure: { class: 'config', retrySafe: false, errno: 'ENOENT' } },
  ],
])('names %s', async (_, result, expected) => {
  await end(result);
  expect(run()).toMatchObject(expected);
});

it('has how it ended in the event of its end', async () => {
  await end({ exitCode: null, signal: 'SIGBUS', errno: 'ENOSPC' });
  expect(eventsOfRun(project.db, id).at(-1)?.detail).toEqual({
    cause: 'exit_nonzero',
    exit_code: null,
    signal: 'SIGBUS',
    errno: 'ENOSPC',
  });
});

it.each<[string, Partial<RunResult>, object]>([
  ['its exit code', { exitCode: 3 }, { cause: 'exit_nonzero', exitCode: 3 }],
  ['its signal', { exitCode: null, signal: 'SIGSEGV' }, { cause: 'exit_nonzero', signal: 'SIGSEGV' }],
  ['its memory', { exitCode: null, signal: 'SIGKILL', oom: true }, { cause: 'oom' }],
])('names the rank of several that failed first, by %s', async (_, result, expected) => {
  project.db.write(() =>
    project.db.prepare("UPDATE stage_runs SET plan_json = json_set(plan_json, '$.compute.nodes', 3)").run(),
  );
  await end({ ...result, rank: 2, error: 'Rank 2 failed; the others were stopped.' });
  expect(run()).toMatchObject({ ...expected, errorMessage: 'Rank 2 failed; the others were stopped.' });
});
