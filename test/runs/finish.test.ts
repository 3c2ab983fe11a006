import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { appendLog } from '../../src/backends/log-segments.ts';
import type { RunResult } from '../../src/backends/port.ts';
import { GoldfishError } from '../../src/core/errors.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { endWithCause } from '../../src/runs/end.ts';
import { readRunLogs } from '../../src/runs/read-logs.ts';
import { getAttempt } from '../../src/store/attempts.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { outputsOfRun } from '../../src/store/signals.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let id: string;

const AT = '2026-01-02T03:04:05.000Z';

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: {
      'pipeline.yaml':
        'stages:\n  - name: one\n    outputs: { table: json, points: npy, model: directory, notes: file }\n',
      'modules/one.py': 'pass\n',
    },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  id = project.runOf(prepared.first, 'one').id;
  await project.tick();
});
afterEach(() => project.dispose());

const GOOD = {
  'table.json': '{}',
  'points.npy': '\x93NUMPY and so on',
  'model/weights.bin': 'w',
  notes: '',
};

function write(files: Record<string, string>): void {
  const { outputs } = project.deps.layout.attempt(id, 1);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(outputs, path, '..'), { recursive: true });
    writeFileSync(join(outputs, path), text, 'latin1');
  }
}

const end = async (result: Partial<RunResult> = {}): Promise<void> => {
  project.fake.end(id, result);
  await project.tick();
};
const run = () => project.run(id);
const attempt = () => getAttempt(project.db, { runId: id, attempt: 1 });
const events = () => eventsOfRun(project.db, id).map((event) => event.event);

describe('a program that ends with 0', () => {
  it('completes its run when every declared output is stored', async () => {
    write(GOOD);
    await end({ startedAt: AT, endedAt: '2026-01-02T04:00:00.000Z' });
    expect(run()).toMatchObject({
      state: 'completed',
      cause: 'success',
      exitCode: 0,
      errorMessage: null,
      failure: null,
      startedAt: AT,
      endedAt: '2026-01-02T04:00:00.000Z',
    });
    expect(outputsOfRun(project.db, id).map(({ name, kind, size }) => [name, kind, size])).toEqual([
      ['model', 'folder', 1],
      ['notes', 'file', 0],
      ['points', 'file', 16],
      ['table', 'file', 2],
    ]);
    expect(attempt()).toMatchObject({ cause: 'success', exitCode: 0, result: { runId: id, attempt: 1 } });
  });

  it.each<[string, Partial<typeof GOOD>, string[], string]>([
    [
      'a missing output',
      {},
      ['table.json'],
      'declared output "table" is missing: nothing was written to table.json',
    ],
    ['an empty output', { 'table.json': '' }, [], 'declared output "table" is empty'],
    ['text that is no JSON', { 'table.json': '{"a":' }, [], 'declared output "table" is not readable JSON'],
    [
      'wrong magic bytes',
      { 'points.npy': 'PK\x03\x04' },
      [],
      'declared output "points" is not a readable npy file',
    ],
    [
      'two bad outputs',
      { 'points.npy': '' },
      ['notes'],
      'declared output "points" is empty; declared output "notes" is missing: nothing was written to notes',
    ],
  ])('fails its run for %s, with nothing stored', async (_, changed, left, problem) => {
    const files = Object.entries({ ...GOOD, ...changed }).filter(([path]) => !left.includes(path));
    write(Object.fromEntries(files));
    await end();
    expect(run()).toMatchObject({
      state: 'failed',
      cause: 'output_missing',
      errorMessage: `The program ended with 0, but ${problem}.`,
      exitCode: 0,
      failure: { class: 'code', retrySafe: false },
    });
    expect(outputsOfRun(project.db, id)).toEqual([]);
  });

  it('is recognised although nobody saw it run', async () => {
    write(GOOD);
    await end();
    expect(events()).toEqual(['submit', 'prepare', 'build', 'launch', 'start', 'finish', 'complete']);
  });

  it('goes straight to finishing where the result names no start', async () => {
    write(GOOD);
    await end({ startedAt: null });
    expect(events()).toEqual(['submit', 'prepare', 'build', 'launch', 'finish', 'complete']);
    expect(run()).toMatchObject({ state: 'completed', startedAt: null });
  });
});

describe('a program that ends badly', () => {
  it.each<[string, Partial<RunResult>, object]>([
    [
      'an exit code',
      { exitCode: 3 },
      {
        state: 'failed',
        cause: 'exit_nonzero',
        exitCode: 3,
        errorMessage: 'The program ended with exit code 3.',
      },
    ],
    [
      'exit code 137, which nobody calls out of memory',
      { exitCode: 137 },
      { cause: 'exit_nonzero', exitCode: 137, errorMessage: 'The program ended with exit code 137.' },
    ],
    [
      'a signal',
      { exitCode: null, signal: 'SIGSEGV' },
      {
        state: 'failed',
        cause: 'exit_nonzero',
        exitCode: null,
        signal: 'SIGSEGV',
        errorMessage: 'The program died by SIGSEGV.',
      },
    ],
    [
      'the kernel’s word that memory ran out',
      { exitCode: null, signal: 'SIGKILL', oom: true },
      {
        state: 'terminated',
        cause: 'oom',
        signal: 'SIGKILL',
        errorMessage: 'The kernel killed the program for its use of memory.',
        failure: { class: 'oom' },
      },
    ],
    [
      'our own stop at the time limit, and not as out of memory',
      { exitCode: null, signal: 'SIGKILL', oom: true, stoppedBy: 'timeout' },
      {
        state: 'terminated',
        cause: 'timeout',
        errorMessage: 'The run reached its time limit and was stopped.',
        failure: { class: 'timeout' },
      },
    ],
    [
      'our own stop although it then ended with 0',
      { exitCode: 0, stoppedBy: 'timeout' },
      { state: 'terminated', cause: 'timeout', exitCode: 0 },
    ],
    [
      'a lost heartbeat',
      { exitCode: null, signal: 'SIGTERM', stoppedBy: 'heartbeat' },
      { state: 'terminated', cause: 'heartbeat_lost', errorMessage: 'The heartbeat stopped.' },
    ],
    [
      'a monitor',
      { exitCode: null, signal: 'SIGTERM', stoppedBy: 'monitor' },
      { state: 'terminated', cause: 'stopped_by_monitor', errorMessage: 'A monitor stopped it.' },
    ],
    [
      'a program that could not be started',
      { started: false, exitCode: null, error: 'there is no program "nvcc"', startedAt: null },
      {
        state: 'failed',
        cause: 'launch_failed',
        startedAt: null,
        errorMessage: 'The program could not be started: there is no program "nvcc"',
      },
    ],
  ])('names %s', async (_, result, expected) => {
    write(GOOD);
    await end(result);
    expect(run()).toMatchObject(expected);
    expect(outputsOfRun(project.db, id)).toEqual([]);
  });

  it('carries the line that states its error, where it stands, and the tail of the log', async () => {
    const dir = project.deps.layout.attempt(id, 1).log;
    const trace = [
      'Traceback (most recent call last):',
      '  File "one.py", line 1',
      'ValueError: no such column',
    ];
    const now = Date.parse(AT);
    await appendLog({ dir, stream: 'stdout', texts: ['an error that is none', 'epoch 1'], now });
    await appendLog({ dir, stream: 'stderr', texts: ['warming up', ...trace], now });
    await end({ exitCode: 1 });
    const { failure } = run();
    expect(failure).toMatchObject({
      class: 'code',
      firstErrorLine: 'ValueError: no such column',
      logTail: ['an error that is none', 'epoch 1', 'warming up', ...trace],
      retrySafe: false,
    });
    const page = await readRunLogs(project.deps, { run: run(), cursor: failure?.logCursor ?? '', limit: 10 });
    expect(page.lines.map((line) => line.text)).toEqual(['ValueError: no such column']);
  });
});

describe('a result document', () => {
  it.each([
    ['unreadable', 'The result document is unreadable: It is unreadable.'],
    ['garbled', 'The result document is garbled: It is garbled.'],
  ] as const)(
    'that is %s means that the worker was lost, in a sentence of its own',
    async (kind, message) => {
      write(GOOD);
      project.fake.spoil(id, kind);
      await project.tick();
      expect(run()).toMatchObject({
        state: 'terminated',
        cause: 'worker_lost',
        errorMessage: message,
        exitCode: null,
        failure: { class: 'infra', retrySafe: true },
      });
      expect(outputsOfRun(project.db, id)).toEqual([]);
      expect(project.fake.cleaned).toEqual([id]);
    },
  );

  it('that never came means that the worker was lost, in a third sentence', async () => {
    project.fake.set(id, 'absent');
    for (let n = 0; n < 3; n += 1) {
      await project.tick();
      await project.deps.clock.sleep(1_000);
    }
    expect(run()).toMatchObject({
      state: 'terminated',
      cause: 'worker_lost',
      errorMessage: 'What executed the run disappeared and left no result document.',
      failure: { class: 'infra', retrySafe: true },
    });
  });
});

describe('storing outputs', () => {
  /** Refuses the first `times` objects. */
  function refuse(times: number): () => number {
    const { storage } = project.deps;
    let tries = 0;
    project.deps.storage = {
      ...storage,
      put: async (...args) => {
        tries += 1;
        if (tries <= times) {
          throw new GoldfishError('STORAGE_UNAVAILABLE', { message: 'The disk is full.' });
        }
        return storage.put(...args);
      },
    };
    return () => tries;
  }

  it('is tried three times, a second apart, before the run ends as upload_failed', async () => {
    write(GOOD);
    const tries = refuse(Number.POSITIVE_INFINITY);
    const from = project.deps.clock.monotonic();
    await end();
    expect(tries()).toBe(3);
    expect(project.deps.clock.monotonic() - from).toBe(2_000);
    expect(run()).toMatchObject({
      state: 'terminated',
      cause: 'upload_failed',
      errorMessage: 'Outputs could not be stored: The disk is full.',
      exitCode: 0,
      failure: { class: 'infra', retrySafe: true },
    });
    expect(outputsOfRun(project.db, id)).toEqual([]);
  });

  it('succeeds at the third try', async () => {
    write(GOOD);
    refuse(2);
    await end();
    expect(run()).toMatchObject({ state: 'completed', cause: 'success', errorMessage: null });
    expect(outputsOfRun(project.db, id)).toHaveLength(4);
  });

  it('begins only when whatever the program left behind is gone', async () => {
    write(GOOD);
    const { storage } = project.deps;
    project.deps.storage = {
      ...storage,
      put: async (...args) => {
        expect(project.fake.cleaned).toEqual([id]);
        return storage.put(...args);
      },
    };
    project.fake.failCleanup = new Error('a helper does not die');
    await end();
    expect(run().state).toBe('finishing');
    expect(project.logged).toContain('work on a run failed and will be tried again a helper does not die');
    project.fake.failCleanup = undefined;
    await project.tick();
    expect(run().cause).toBe('success');
    expect(attempt()?.releasedAt).not.toBeNull();
  });
});

describe('an end', () => {
  it('is final: what comes later changes neither cause nor text', async () => {
    await end({ exitCode: 1 });
    const before = run();
    const count = events().length;
    await endWithCause(project.deps, before, { cause: 'worker_lost', source: 'backend', message: 'Later.' });
    cancelRuns(project.deps, { target: id, reason: 'Too late' });
    project.fake.set(id, 'absent');
    await project.tick();
    expect(run()).toEqual(before);
    expect(events()).toHaveLength(count);
  });

  it('of an attempt that is not the current one changes nothing', async () => {
    const output = {
      runId: id,
      name: 'table',
      type: 'json',
      kind: 'file',
      hash: 'sha256:0',
      size: 1,
    } as const;
    await endWithCause(
      project.deps,
      { ...run(), attempt: 2 },
      {
        cause: 'success',
        source: 'backend',
        outputs: [{ ...output, storageLocation: 'objects/0', createdAt: AT }],
      },
    );
    expect(run().state).toBe('launching');
    expect(outputsOfRun(project.db, id)).toEqual([]);
    expect(attempt()?.cause).toBeNull();
  });

  it('takes the outputs and the success with it when its transaction fails', async () => {
    write(GOOD);
    const { db } = project.deps;
    let failing = true;
    project.deps.db = {
      ...db,
      write: (work) =>
        db.write(() => {
          const result = work();
          if (failing && project.run(id).state === 'completed') throw new Error('power cut');
          return result;
        }),
    };
    await end();
    expect(run().state).toBe('finishing');
    expect(outputsOfRun(project.db, id)).toEqual([]);
    failing = false;
    await project.tick();
    expect(run().cause).toBe('success');
    expect(outputsOfRun(project.db, id)).toHaveLength(4);
  });
});
