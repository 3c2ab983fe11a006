import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { isoTime } from '../../src/core/clock.ts';
import { HandedOver } from '../../src/core/handed-over.ts';
import { currentProcess, processStart } from '../../src/os/process-identity.ts';
import { poke, wakeSocketPath } from '../../src/os/wake-socket.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import type { Backends } from '../../src/runs/deps.ts';
import { NOTHING_TO_TEND } from '../../src/runs/tending.ts';
import { readLease, renewLease, takeLease } from '../../src/store/lease.ts';
import { eventsOfRun } from '../../src/store/run-events.ts';
import { type SuperviseEnd, supervise } from '../../src/supervisor/supervise.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let id: string;
let stop: AbortController;
let going: Promise<unknown>[];

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' },
  });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  id = project.runOf(prepared.first, 'one').id;
  stop = new AbortController();
  going = [];
});
afterEach(async () => {
  vi.useRealTimers();
  stop.abort();
  await Promise.allSettled(going);
  await project.dispose();
});

type Context = Parameters<typeof supervise>[0];

function context(changes: Partial<Context> = {}): Context {
  const { clock, db, goldfishVersion, layout, log } = project.deps;
  const runtimeDir = join(project.root, 'runtime');
  return { clock, db, goldfishVersion, layout, log, runtimeDir, runsDeps: project.deps, ...changes };
}

function start(options: { lingerMs?: number; signal?: AbortSignal; context?: Partial<Context> } = {}) {
  const { signal = stop.signal, lingerMs } = options;
  const running = supervise(context(options.context), {
    signal,
    ...(lingerMs === undefined ? {} : { lingerMs }),
  });
  going.push(running);
  return running;
}

const lease = () => readLease(project.db);
const ends = (): boolean => project.run(id).endedAt !== null;

/** Lets the run end once it is launched. */
async function complete(): Promise<void> {
  await until(() => project.run(id).state === 'launching', 'the launch');
  project.fake.end(id);
  await until(ends, 'the end of the run');
}

/** Nobody sleeps longer than the test lets time pass, or than until he is woken. */
function manualClock() {
  const sleepers = new Map<() => void, number>();
  const clock: Context['clock'] = {
    ...time.clock,
    sleep: (ms, options) =>
      new Promise((resolve) => {
        const wake = (): void => {
          sleepers.delete(wake);
          resolve();
        };
        if (options?.signal?.aborted) return resolve();
        options?.signal?.addEventListener('abort', wake, { once: true });
        sleepers.set(wake, time.clock.monotonic() + ms);
      }),
  };
  const pass = (ms: number): void => {
    time.advance(ms);
    for (const [wake, at] of [...sleepers]) if (at <= time.clock.monotonic()) wake();
  };
  return { clock, pass, asleep: () => sleepers.size > 0 };
}

/** The settings of a project that rents machines, and whose environment lacks its name. */
async function gceProject() {
  const root = join(project.root, 'rented');
  mkdirSync(root);
  writeFileSync(
    join(root, 'goldfish.yaml'),
    `project_name: p
gce:
  project_id: \${env:GOLDFISH_NOT_SET}
  zones: [us-central1-a]
  service_account: worker@my-gcp.iam.gserviceaccount.com
  artifact_registry: europe-docker.pkg.dev/my-gcp/images
storage: { gcs: { bucket: my-bucket } }
`,
  );
  return loadConfig({ root, environment: {} });
}

/** Another process takes the lease, as it would from a supervisor that is stuck. */
function takeOver(): void {
  takeLease(project.db, {
    holder: { ...currentProcess(), version: '0.0.1', socket: '' },
    at: isoTime(time.clock.now()),
    mayTake: () => true,
  });
}

describe('a supervisor', () => {
  it('takes the lease, advances the work, and gives the lease back when nothing is left to do', async () => {
    const running = start();
    await until(() => lease().pid !== null, 'the lease');
    expect(lease()).toMatchObject({
      token: 1,
      pid: process.pid,
      pidStart: currentProcess().start,
      goldfishVersion: '0.0.0',
    });
    await complete();
    expect(await running).toBe('idle' satisfies SuperviseEnd);
    expect(project.run(id).cause).toBe('success');
    expect(lease()).toMatchObject({ token: 1, pid: null });
  });

  it('stays as long as it is to linger after the last work, and no longer', async () => {
    cancelRuns(project.deps, { target: id, reason: 'Not needed any more' });
    expect(await start({ lingerMs: 5_000 })).toBe('idle');
    expect(time.clock.monotonic()).toBe(5_000);
    const from = time.clock.monotonic();
    expect(await start()).toBe('idle');
    expect(time.clock.monotonic() - from).toBe(10_000);
    expect(await start({ lingerMs: 0 })).toBe('idle');
    expect(time.clock.monotonic() - from).toBe(10_000);
  });

  it('begins to linger anew when work comes while it is idle', async () => {
    const { clock, pass, asleep } = manualClock();
    cancelRuns(project.deps, { target: id, reason: 'Not needed any more' });
    const running = start({ lingerMs: 5_000, context: { clock } });
    await until(asleep, 'the first pause');
    pass(4_000);
    await until(asleep, 'another pause');
    const { pipelineRun } = await project.submit();
    const late = project.runOf(pipelineRun.id, 'one').id;
    pass(1_000);
    await until(() => project.run(late).state === 'launching', 'the launch of what came late');
    project.fake.end(late);
    pass(1_000);
    await until(() => project.run(late).cause === 'success', 'its end');
    await until(asleep, 'the first pause after it');
    pass(4_000);
    await until(asleep, 'another pause');
    expect(lease().pid).toBe(process.pid);
    pass(1_000);
    expect(await running).toBe('idle');
  });

  it('returns at once where another one holds the lease, and changes nothing', async () => {
    takeOver();
    expect(await start()).toBe('lease_held');
    expect(project.run(id).state).toBe('pending');
    expect(lease()).toMatchObject({ token: 1, goldfishVersion: '0.0.1' });
  });

  it('takes over from one that cannot look after rented machines, and leaves it to one that can', async () => {
    takeOver();
    const can = (ours: boolean, theirs: boolean): Partial<Context> => {
      const isPossible = (pid?: number): boolean => (pid === undefined ? ours : theirs);
      const tending = { ...NOTHING_TO_TEND, isDue: () => true, isPossible };
      return { runsDeps: { ...project.deps, backends: { ...project.deps.backends, tending } } };
    };
    // Even where it is of a newer program.
    expect(await start({ context: can(false, true) })).toBe('lease_held');
    const running = start({ context: can(true, false) });
    await complete();
    expect(await running).toBe('idle');
    expect(lease().token).toBe(2);
  });

  it('says once what its environment lacks for rented machines', async () => {
    const { gce } = (await gceProject()).config;
    const config = { ...project.deps.config, gce };
    const running = start({ context: { runsDeps: { ...project.deps, config } } });
    await complete();
    expect(await running).toBe('idle');
    const said = 'this supervisor cannot look after rented machines: its environment lacks a setting';
    expect(project.logged.filter((line) => line.startsWith(said))).toHaveLength(1);
  });

  it('takes over from one whose process is gone', async () => {
    takeLease(project.db, {
      holder: { ...currentProcess(), start: '1', version: '0.0.1', socket: '' },
      at: isoTime(time.clock.now()),
      mayTake: () => true,
    });
    const running = start();
    await complete();
    expect(await running).toBe('idle');
    expect(lease().token).toBe(2);
  });

  it('is woken by a poke, and does not wait for its next look', async () => {
    let looks = 0;
    const { getStatus } = project.fake.backend;
    project.fake.backend.getStatus = (...args) => {
      looks += 1;
      return getStatus(...args);
    };
    const { clock } = manualClock();
    const running = start({ context: { clock } });
    await until(() => looks > 0, 'the look after the launch');
    project.fake.end(id);
    const { runtimeDir, layout } = context();
    expect(await poke(wakeSocketPath(runtimeDir, layout.stateDir))).toBe(true);
    await until(ends, 'the end of the run');
    stop.abort();
    expect(await running).toBe('stopped');
  });

  it('works without a socket where none can be made', async () => {
    const runtimeDir = join(project.root, 'occupied');
    writeFileSync(runtimeDir, '');
    const running = start({ context: { runtimeDir } });
    await complete();
    expect(await running).toBe('idle');
    expect(project.logged.join()).toContain('there is no wake-up socket; work is noticed within a second');
  });

  it('goes on after a look that failed', async () => {
    const { getStatus } = project.fake.backend;
    let failures = 2;
    project.fake.backend.getStatus = async (...args) => {
      failures -= 1;
      if (failures >= 0) throw new Error('the engine restarts');
      return getStatus(...args);
    };
    const running = start();
    await complete();
    expect(await running).toBe('idle');
    expect(
      project.logged.filter((line) => line === 'a backend could not be asked the engine restarts'),
    ).toHaveLength(2);
  });
});

describe('a holder of the lease that seems stuck', () => {
  /** Lives, and is not this process. */
  const PARENT = { ...currentProcess(), pid: process.ppid, start: processStart(process.ppid) ?? '' };

  beforeEach(() => {
    takeLease(project.db, {
      holder: { ...PARENT, version: '0.0.1', socket: '' },
      at: isoTime(time.clock.now()),
      mayTake: () => true,
    });
    time.advance(15_000);
  });

  it('is replaced when it has not renewed two and a half seconds later either', async () => {
    const running = start();
    await complete();
    expect(await running).toBe('idle');
    expect(lease().token).toBe(2);
  });

  it('keeps it where only the wall clock had jumped and it renews meanwhile', async () => {
    const pauses: number[] = [];
    const clock: Context['clock'] = {
      ...time.clock,
      sleep: async (ms) => {
        pauses.push(ms);
        time.advance(ms);
        renewLease(project.db, { token: 1, at: isoTime(time.clock.now()) });
      },
    };
    expect(await start({ context: { clock } })).toBe('lease_held');
    expect(pauses).toEqual([2_500]);
    expect(project.run(id).state).toBe('pending');
  });
});

describe('a supervisor that has lost its lease', () => {
  it('ends at its next write, changes nothing more, and leaves the lease to the other', async () => {
    const running = start();
    await until(() => project.run(id).state === 'launching', 'the launch');
    takeOver();
    const before = eventsOfRun(project.db, id).length;
    project.fake.end(id);
    expect(await running).toBe('lease_lost');
    expect(project.run(id).endedAt).toBeNull();
    expect(eventsOfRun(project.db, id)).toHaveLength(before);
    expect(lease()).toMatchObject({ token: 2, pid: process.pid, goldfishVersion: '0.0.1' });
    await project.tick();
    expect(project.run(id).cause).toBe('success');
    expect(project.fake.launched).toHaveLength(1);
  });

  it('notices it when it would give the lease back', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { clock, pass, asleep } = manualClock();
    cancelRuns(project.deps, { target: id, reason: 'Not needed any more' });
    const running = start({ lingerMs: 5_000, context: { clock } });
    await until(asleep, 'the first pause');
    takeOver();
    pass(5_000);
    expect(await running).toBe('lease_lost');
    expect(vi.getTimerCount()).toBe(0);
    expect(lease()).toMatchObject({ token: 2, pid: process.pid, goldfishVersion: '0.0.1' });
  });

  it('renews it once a second, and so notices the loss although there is nothing to write', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { clock, asleep } = manualClock();
    cancelRuns(project.deps, { target: id, reason: 'Not needed any more' });
    const running = start({ context: { clock } });
    await until(asleep, 'the first pause');
    time.advance(1_000);
    vi.advanceTimersByTime(1_000);
    expect(lease().heartbeatAt).toBe('2026-01-01T00:00:01.000Z');
    takeOver();
    vi.advanceTimersByTime(1_000);
    expect(await running).toBe('lease_lost');
  });
});

describe('a supervisor that is asked to end', () => {
  it('gives the lease back at once and leaves the work to the next, which launches nothing twice', async () => {
    project.fake.holdBuild = new Promise(() => undefined);
    const running = start();
    await until(() => project.fake.builds === 1, 'the build');
    stop.abort();
    expect(await running).toBe('stopped');
    expect(lease()).toMatchObject({ token: 1, pid: null });
    expect(project.run(id)).toMatchObject({ state: 'building', errorMessage: null });
    project.fake.holdBuild = undefined;
    const next = new AbortController();
    const second = start({ signal: next.signal });
    await complete();
    expect(await second).toBe('idle');
    expect(lease().token).toBe(2);
    expect(project.fake.launched).toHaveLength(1);
    expect(eventsOfRun(project.db, id).map(({ event }) => event)).toEqual([
      'submit',
      'prepare',
      'build',
      'launch',
      'start',
      'finish',
      'complete',
    ]);
  });

  it('tells everything that is under way that another one goes on with it', async () => {
    let told: AbortSignal | undefined;
    const tend: Backends['tend'] = async ({ signal }) => {
      told = signal;
    };
    const backends = { ...project.deps.backends, over: () => ({ ...project.deps.backends, tend }) };
    const running = start({ context: { runsDeps: { ...project.deps, backends } } });
    await until(() => told !== undefined, 'its first look');
    stop.abort();
    expect(await running).toBe('stopped');
    expect(told?.reason).toBeInstanceOf(HandedOver);
  });

  it('before it has begun leaves everything as it is', async () => {
    stop.abort();
    expect(await start()).toBe('stopped');
    expect(project.run(id).state).toBe('pending');
    expect(lease().pid).toBeNull();
  });
});
