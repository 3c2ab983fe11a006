import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { type WaitRequest, waitForRuns } from '../../src/runs/wait.ts';
import { formatWaitCursor, readWaitCursor } from '../../src/runs/wait-cursor.ts';
import { newestEventSeq } from '../../src/store/run-events.ts';
import { runsOfPipelineRun } from '../../src/store/stage-runs.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

/** As many runs as make changes that do not fit one answer, and one that is started anew. */
const MANY = 25;

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;

beforeAll(async () => {
  const stages = Array.from({ length: MANY }, (_, i) => `s${i}`);
  prepared = await prepareGivenVersion({
    config: 'process: { max_parallel: 1 }\n',
    files: {
      'pipeline.yaml': `stages:\n${stages.map((name) => `  - name: ${name}\n    outputs: { a: json }\n    retries: { max_restarts: 3 }\n`).join('')}`,
      ...Object.fromEntries(stages.map((name) => [`modules/${name}.py`, 'pass\n'])),
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  // The fake starts and ends everything at this time.
  time.jump(Date.parse('2026-01-02T03:04:05.000Z') - time.clock.now());
  project = await prepared.open({ clock: time.clock });
});
afterEach(() => project.dispose());

const look = (request: Partial<WaitRequest> = {}) =>
  waitForRuns(
    { db: project.db, clock: time.clock, nudge: async () => undefined },
    { targets: [prepared.first], until: 'all', timeoutSeconds: 0, ...request },
  );
const ids = () => runsOfPipelineRun(project.db, prepared.first).map((run) => run.id);

describe('more changes than fit one answer', () => {
  it('are told in several, each once, without waiting in between', async () => {
    const { cursor: start } = await look();
    const canceled = ids().slice(0, MANY - 1);
    for (const target of canceled) cancelRuns(project.deps, { target, reason: 'Wrong question' });
    const first = await look({ cursor: start, timeoutSeconds: 45 });
    expect(first).toMatchObject({ done: false, more: true, timedOut: false });
    expect(first.changes).toHaveLength(20);
    expect(time.clock.monotonic()).toBe(0);
    const second = await look({ cursor: first.cursor });
    expect(second).toMatchObject({ done: false, more: false, cursor: newestEventSeq(project.db) });
    expect([...first.changes, ...second.changes].map(({ runId }) => runId)).toEqual(canceled);
    expect(await look({ cursor: second.cursor })).toMatchObject({ changes: [] });
  });

  it('are cut behind a last change, so that a run that changed before and after is told with its newest state', async () => {
    await project.tick();
    const { cursor: start } = await look();
    const [busy = '', ...waiting] = ids();
    project.fake.set(busy, 'running');
    await project.tick();
    for (const target of waiting) cancelRuns(project.deps, { target, reason: 'Wrong question' });
    await project.complete(busy);
    const first = await look({ cursor: start });
    expect(first.changes.map(({ runId }) => runId)).toEqual([...waiting].slice(0, 20));
    const second = await look({ cursor: first.cursor });
    expect(second.changes.at(-1)).toMatchObject({ runId: busy, to: 'completed' });
    expect(second.changes).toHaveLength(5);
  });
});

describe('a run that is started anew', () => {
  it('is a change that says after what, as which attempt and when', async () => {
    await project.tick();
    const [id = ''] = ids();
    const { cursor } = await look();
    project.fake.spoil(id, 'garbled');
    await project.tick();
    const outcome = await look({ cursor, until: 'attention' });
    expect(outcome.done).toBe(false);
    expect(outcome.changes.filter(({ runId }) => runId === id)).toMatchObject([
      { from: 'launching', to: 'pending', note: 'attempt 2, after worker_lost, starts again in 5 s' },
    ]);
    expect(await look({ cursor: outcome.cursor })).toMatchObject({ changes: [] });
  });

  it('is told with the newest attempt where it was started anew several times', async () => {
    const [id = '', ...others] = ids();
    for (const target of others) cancelRuns(project.deps, { target, reason: 'Not needed' });
    const { cursor } = await look();
    await project.tick();
    for (let n = 0; n < 2; n += 1) {
      project.fake.end(id, { exitCode: 1 });
      await project.tick();
      time.advance(300_000);
      await project.tick();
    }
    const { changes } = await look({ cursor });
    expect(changes).toMatchObject([
      { runId: id, from: 'pending', to: 'launching', note: 'attempt 3, after exit_nonzero' },
    ]);
  });
});

describe('a cursor as callers see it', () => {
  it('is the number of an event and a mark of it, and is read again', () => {
    const seq = newestEventSeq(project.db);
    const text = formatWaitCursor(project.db, seq);
    expect(text).toMatch(new RegExp(`^${seq}\\.[a-f0-9]{8}$`));
    expect(readWaitCursor(project.db, text)).toBe(seq);
    expect(readWaitCursor(project.db, '0')).toBe(0);
  });

  it.each(['', '17', '-1', '1.5', 'x', '2026-01-01T00:00:00.000Z~stage-012345678901', '1.0123456789'])(
    'is refused where it is none: %j',
    (text) => {
      expect(() => readWaitCursor(project.db, text)).toThrow('The cursor is not one that wait returned.');
    },
  );

  it('is refused where it lies ahead, or is of another project', async () => {
    const other = await prepareGivenVersion({
      files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
    });
    const opened = await other.open();
    const foreign = formatWaitCursor(opened.db, 1);
    await opened.dispose();
    await other.dispose();
    const ahead = `${newestEventSeq(project.db) + 1}.01234567`;
    for (const text of [foreign, ahead]) {
      expect(() => readWaitCursor(project.db, text)).toThrowError(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          message: 'The cursor is of another project, or of a time that a restore has undone.',
          hint: 'Leave it out to be told what changes from now on, or pass the cursor of the last answer as it was.',
          details: { field: 'cursor' },
        }),
      );
    }
  });
});
