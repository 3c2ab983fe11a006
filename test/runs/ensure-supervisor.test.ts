import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { GOLDFISH_VERSION } from '../../src/core/version.ts';
import { currentProcess } from '../../src/os/process-identity.ts';
import { listenForWakes, wakeSocketPath } from '../../src/os/wake-socket.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import { createEnsureSupervisor, type Started } from '../../src/runs/ensure-supervisor.ts';
import { NOTHING_TO_TEND, type Tending } from '../../src/runs/tending.ts';
import { takeLease } from '../../src/store/lease.ts';
import { until } from '../integration/until.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;
let started: number;
/** The process that was started lives on, as one does that is still loading. */
let isLoading: boolean;
let failStart: Error | undefined;
let ensure: () => Promise<string>;

const FILES = { 'pipeline.yaml': 'stages:\n  - name: one\n', 'modules/one.py': 'pass\n' };

beforeAll(async () => {
  prepared = await prepareGivenVersion({ files: FILES });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
  started = 0;
  isLoading = false;
  failStart = undefined;
  ensure = createEnsureSupervisor(context(), start);
});
afterEach(() => project.dispose());

async function start(): Promise<Started> {
  started += 1;
  if (failStart) throw failStart;
  return { isAlive: () => isLoading };
}

function context() {
  const { db, clock, layout, log } = project.deps;
  return { db, clock, layout, log, root: project.root, runtimeDir: join(project.root, 'runtime') };
}

/** As if the supervisor that was started (or this process) had taken the lease. */
function takeIt(
  holder: { pid: number; start: string; bootId: string } = currentProcess(),
  version = GOLDFISH_VERSION,
): void {
  takeLease(project.db, {
    holder: { ...holder, version, socket: '' },
    at: isoTime(time.clock.now()),
    mayTake: () => true,
  });
}

const GONE = { ...currentProcess(), start: '1' };

describe('making sure that somebody is at work', () => {
  it('starts nothing where no run is open', async () => {
    cancelRuns(project.deps, { target: prepared.first, reason: 'Not wanted any more' });
    expect(await ensure()).toBe('idle');
    expect(started).toBe(0);
  });

  it('starts a supervisor where work is open and nobody ever held the lease', async () => {
    expect(await ensure()).toBe('started');
    expect(started).toBe(1);
  });

  it('starts one where the holder of the lease is gone', async () => {
    takeIt(GONE);
    expect(await ensure()).toBe('started');
  });

  it('starts one where the holder is of an older program, and none where it is of a newer one', async () => {
    takeIt(currentProcess(), '99.0.0');
    expect(await ensure()).toBe('woken');
    takeIt(currentProcess(), '0.0.9');
    expect(await ensure()).toBe('started');
  });

  it('starts one where the holder cannot look after rented machines and we can, and none the other way round', async () => {
    takeIt();
    const can = (ours: boolean, theirs: boolean): Tending => ({
      ...NOTHING_TO_TEND,
      isDue: () => true,
      isPossible: (pid) => (pid === undefined ? ours : theirs),
    });
    expect(await createEnsureSupervisor({ ...context(), tending: can(false, true) }, start)()).toBe('woken');
    expect(await createEnsureSupervisor({ ...context(), tending: can(false, false) }, start)()).toBe('woken');
    expect(await createEnsureSupervisor({ ...context(), tending: can(true, false) }, start)()).toBe(
      'started',
    );
    expect(started).toBe(1);
  });

  it('starts one where nothing is open, but an ended run still holds something', async () => {
    const id = project.runOf(prepared.first, 'one').id;
    await project.tick();
    project.fake.end(id, { exitCode: 1 });
    const { cleanup } = project.fake.backend;
    let cleanups = 0;
    project.fake.backend.cleanup = async (handle) => {
      cleanups += 1;
      return cleanup(handle);
    };
    await project.tick();
    expect(cleanups).toBe(1);
    expect(await ensure()).toBe('idle');
    project.db.prepare('UPDATE run_attempts SET released_at = NULL').run();
    expect(await ensure()).toBe('started');
    // The fake ends everything at one time of the next day.
    time.advance(29 * 60 * 60 * 1000);
    expect(await ensure()).toBe('idle');
  });

  it('starts one where the holder lives but has not renewed for 15 seconds', async () => {
    takeIt();
    time.advance(14_999);
    expect(await ensure()).toBe('woken');
    time.advance(1);
    expect(await ensure()).toBe('started');
  });

  it('wakes the holder, who hears it, and starts nothing', async () => {
    let heard = 0;
    const { runtimeDir, layout } = context();
    const wakes = await listenForWakes(wakeSocketPath(runtimeDir, layout.stateDir), () => {
      heard += 1;
    });
    takeIt();
    expect(await ensure()).toBe('woken');
    await until(() => heard === 1, 'the poke');
    await wakes.close();
    expect(started).toBe(0);
  });

  it('counts a holder as at work although nobody listens at its socket', async () => {
    takeIt();
    expect(await ensure()).toBe('woken');
    expect(started).toBe(0);
  });

  it('refuses where the database file is gone, and says so without a path', async () => {
    rmSync(project.deps.layout.database);
    await expect(ensure()).rejects.toMatchObject({
      code: 'PROJECT_NOT_FOUND',
      message: 'The project’s private state was removed while it was in use.',
      hint: 'Restore the folder, or start again in another project.',
    });
    expect(started).toBe(0);
  });
});

describe('a supervisor that takes no lease', () => {
  /** Milliseconds until the next start, asking every 100 ms as those who watch do. */
  async function pauseUntilNext(): Promise<number> {
    const before = started;
    const from = time.clock.monotonic();
    while (started === before && time.clock.monotonic() - from < 200_000) {
      time.advance(100);
      expect(await ensure()).toBe(started === before ? 'starting' : 'started');
    }
    return time.clock.monotonic() - from;
  }

  it('is started again after a pause that doubles up to a minute', async () => {
    await ensure();
    const pauses: number[] = [];
    for (let n = 0; n < 8; n += 1) pauses.push(await pauseUntilNext());
    expect(pauses).toEqual([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('is waited for as long as it is still loading, for at most a minute', async () => {
    await ensure();
    isLoading = true;
    expect(await pauseUntilNext()).toBe(60_000);
    time.advance(30_000);
    expect(await ensure()).toBe('starting');
    isLoading = false;
    expect(await ensure()).toBe('started');
  });

  it('is started again where it took the lease and does no longer renew it, though it lives', async () => {
    await ensure();
    isLoading = true;
    takeIt();
    time.advance(15_000);
    expect(await ensure()).toBe('started');
  });

  it('is started at once, and with the first pause, after the lease was seen held', async () => {
    await ensure();
    await pauseUntilNext();
    await pauseUntilNext();
    takeIt();
    expect(await ensure()).toBe('woken');
    takeIt(GONE);
    expect(await ensure()).toBe('started');
    expect(await pauseUntilNext()).toBe(2_000);
  });

  it('is started with the first pause where one took the lease and died before anybody looked', async () => {
    await ensure();
    await pauseUntilNext();
    expect(await pauseUntilNext()).toBe(4_000);
    takeIt(GONE);
    expect(await pauseUntilNext()).toBe(2_000);
    takeIt(GONE);
    expect(await pauseUntilNext()).toBe(2_000);
    expect(await pauseUntilNext()).toBe(2_000);
    expect(await pauseUntilNext()).toBe(4_000);
  });

  it('is not started twice by two who ask at the same moment', async () => {
    expect(await Promise.all([ensure(), ensure()])).toEqual(['started', 'starting']);
    expect(started).toBe(1);
  });

  it('keeps its pause when it could not be started at all', async () => {
    failStart = new Error('no such program');
    await expect(ensure()).rejects.toThrow('no such program');
    expect(await ensure()).toBe('starting');
    failStart = undefined;
    expect(await pauseUntilNext()).toBe(2_000);
  });

  it('is not affected by a jump of the wall clock', async () => {
    await ensure();
    time.jump(-3_600_000);
    expect(await ensure()).toBe('starting');
    time.jump(7_200_000);
    expect(await ensure()).toBe('starting');
    expect(started).toBe(1);
  });
});
