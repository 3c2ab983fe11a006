import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { GoldfishError } from '../../src/core/errors.ts';
import { objectKey } from '../../src/data/object-keys.ts';
import { readRunLogs } from '../../src/runs/read-logs.ts';
import { getAttempt } from '../../src/store/attempts.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { outputsOfRun } from '../../src/store/signals.ts';
import {
  type PreparedProject,
  prepareRunsProject,
  type RunsProject,
  THREE_STAGES,
} from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let one: string;
let two: string;

beforeAll(async () => {
  prepared = await prepareRunsProject({ files: THREE_STAGES });
}, 60_000);
afterAll(() => prepared.dispose());

beforeEach(async () => {
  project = await prepared.open({ clock: createTestClock().clock });
  one = project.runOf(prepared.first, 'one').id;
  two = project.runOf(prepared.first, 'two').id;
});
afterEach(() => project.dispose());

describe('a launch', () => {
  it('goes through every state and leaves a handle, which is found by run and attempt', async () => {
    await project.tick();
    expect(project.run(one)).toMatchObject({ state: 'launching', attempt: 1 });
    expect(eventsOfRun(project.db, one).map(({ event, source }) => [event, source])).toEqual([
      ['submit', 'caller'],
      ['prepare', 'supervisor'],
      ['build', 'supervisor'],
      ['launch', 'supervisor'],
    ]);
    expect(getAttempt(project.db, { runId: one, attempt: 1 })).toMatchObject({
      externalId: `goldfish-${one}-1`,
      handle: { externalId: `goldfish-${one}-1`, runId: one, attempt: 1 },
      launchedAt: '2026-01-01T00:00:00.000Z',
    });
  });

  it('records the attempt before the backend is asked', async () => {
    let seen: unknown;
    project.fake.afterStart = (runId) => {
      seen = [project.run(runId).state, getAttempt(project.db, { runId, attempt: 1 })?.handle];
    };
    await project.tick();
    expect(seen).toEqual(['launching', null]);
  });

  it('sends the plan that is stored', async () => {
    await project.tick();
    await project.complete(one, { a: { rows: 3 } });
    await project.tick();
    const { plan } = project.run(two);
    const sent = project.fake.launched.find((spec) => spec.runId === two);
    expect(sent).toMatchObject({
      runId: two,
      attempt: 1,
      workspace: 'exp',
      version: 'v1',
      stage: 'two',
      command: plan.command,
      config: plan.config,
      environment: plan.environment,
      timeoutSeconds: 60,
      stopGraceSeconds: plan.compute.stopGraceSeconds,
      outputs: [{ name: 'b', type: 'json', fileName: 'b.json' }],
      secrets: {},
      wakeSocket: null,
    });
    expect(plan.config).toEqual({ depth: 3 });
    expect(sent?.runtime.key).toBe(plan.environmentKey);
    expect(readFileSync(join(sent?.codeDir ?? '', 'modules', 'two.py'), 'utf8')).toBe('pass\n');
  });

  it('hands over each input as the bytes its producer stored', async () => {
    await project.tick();
    await project.complete(one, { a: { rows: 3 } });
    await project.tick();
    const [made] = outputsOfRun(project.db, one);
    const [input] = project.fake.launched.find((spec) => spec.runId === two)?.inputs ?? [];
    expect(input).toMatchObject({
      name: 'a',
      type: 'json',
      kind: 'file',
      fileName: 'a.json',
      hash: made?.hash,
    });
    expect(readFileSync(input?.localPath ?? '', 'utf8')).toBe('{"rows":3}');
  });

  it('executes the files of the version, not those the slot has by now', async () => {
    project.write('modules/one.py', 'raise SystemExit(1)\n');
    await project.tick();
    const sent = project.fake.launched.find((spec) => spec.runId === one);
    expect(readFileSync(join(sent?.codeDir ?? '', 'modules', 'one.py'), 'utf8')).toBe('pass\n');
  });

  it('shows the lines of the build as the log of the run', async () => {
    project.fake.buildLines = ['collecting numpy', 'from https://me:secret@example.org/simple', 'done'];
    await project.tick();
    const page = await readRunLogs(project.deps, { run: project.run(one), limit: 10 });
    expect(page.lines.map(({ stream, text }) => [stream, text])).toEqual([
      ['build', 'collecting numpy'],
      ['build', expect.not.stringContaining('secret')],
      ['build', 'done'],
    ]);
  });
});

describe('a launch that fails', () => {
  it('ends the run as launch_failed with the backend’s sentence', async () => {
    project.fake.failLaunch = new GoldfishError('BACKEND_UNAVAILABLE', {
      message: 'The engine refused the sandbox.',
    });
    await project.tick();
    expect(project.run(one)).toMatchObject({
      state: 'failed',
      cause: 'launch_failed',
      errorMessage: 'The engine refused the sandbox.',
      exitCode: null,
      failure: { class: 'infra', retrySafe: true },
    });
  });

  it('says that it could not be started where the error is no sentence of ours', async () => {
    project.fake.failLaunch = new Error('spawn ENOMEM');
    await project.tick();
    expect(project.run(one)).toMatchObject({
      cause: 'launch_failed',
      errorMessage: 'The run could not be started: spawn ENOMEM',
    });
  });

  it('leaves nothing of the attempt behind', async () => {
    project.fake.failLaunch = new Error('half started');
    await project.tick();
    await project.tick();
    expect(project.fake.cleaned).toContain(one);
    expect(getAttempt(project.db, { runId: one, attempt: 1 })).toMatchObject({
      cause: 'launch_failed',
      releasedAt: expect.any(String),
    });
  });

  it('is launch_failed too where the backend is not to be had', async () => {
    project.deps.backends = {
      ...project.deps.backends,
      get: async () => {
        throw new GoldfishError('BACKEND_UNAVAILABLE', { message: 'There is no backend "process" here.' });
      },
    };
    await project.loop.tick().catch(() => undefined);
    await project.loop.settled();
    expect(project.run(one)).toMatchObject({
      cause: 'launch_failed',
      errorMessage: 'There is no backend "process" here.',
    });
  });
});

describe('a build that fails', () => {
  it('ends the run as build_failed with its sentence and the tail of its log', async () => {
    project.fake.buildLines = ['collecting nompy', 'ERROR: no distribution named nompy'];
    project.fake.failBuild = new GoldfishError('INVALID_CONFIG', {
      message: 'requirements.txt:1: there is no package "nompy".',
    });
    await project.tick();
    expect(project.run(one)).toMatchObject({
      state: 'failed',
      cause: 'build_failed',
      errorMessage: 'requirements.txt:1: there is no package "nompy".',
      failure: {
        class: 'config',
        firstErrorLine: 'ERROR: no distribution named nompy',
        logTail: ['collecting nompy', 'ERROR: no distribution named nompy'],
        retrySafe: false,
      },
    });
    expect(project.fake.launchCalls).toEqual([]);
    expect(getAttempt(project.db, { runId: one, attempt: 1 })).toBeUndefined();
  });

  it('keeps a defect’s own words behind ours', async () => {
    project.fake.failBuild = new Error('cannot read properties of undefined');
    await project.tick();
    expect(project.run(one)).toMatchObject({
      cause: 'build_failed',
      errorMessage: 'The run could not be started: cannot read properties of undefined',
    });
  });

  it('says that a repetition is safe where it was something that passes, and which error of the system it was', async () => {
    const cause = Object.assign(new Error('write failed'), { code: 'ENOSPC' });
    const loop = { ...project.deps.clock };
    project.fake.failBuild = new GoldfishError('STORAGE_UNAVAILABLE', {
      message: 'The disk is full: the virtual environment could not be made.',
      retryable: true,
      cause,
    });
    let at = 0;
    project.deps.clock.monotonic = () => at;
    await project.tick();
    at = 3_600_000;
    await project.tick();
    project.deps.clock.monotonic = loop.monotonic;
    expect(project.run(one)).toMatchObject({
      state: 'failed',
      cause: 'build_failed',
      failure: { class: 'infra', retrySafe: true, errno: 'ENOSPC' },
    });
  });
});

describe('an input', () => {
  it('that vanished before the start ends the run as input_unavailable', async () => {
    await project.tick();
    const { write } = project.deps.db;
    // Between the end of its producer and its own start.
    project.deps.db = {
      ...project.db,
      write: (work) => {
        const result = write(work);
        for (const { hash } of outputsOfRun(project.db, one)) {
          rmSync(project.deps.storage.localPath(objectKey(hash)) ?? '', { force: true });
        }
        return result;
      },
    };
    await project.complete(one);
    await project.tick();
    expect(project.run(one).cause).toBe('success');
    expect(project.run(two)).toMatchObject({
      state: 'failed',
      cause: 'input_unavailable',
      errorMessage: 'Input "a": Stored content of an input is no longer there.',
      failure: {
        class: 'data',
        retrySafe: false,
        next: {
          tool: 'run',
          arguments: {
            workspace: 'exp',
            stages: ['one', 'two'],
            use_cache: false,
            reason: 'Make the output of one anew, which two needs',
          },
        },
      },
    });
  });
});
