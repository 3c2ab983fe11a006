import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isoTime } from '../../src/core/clock.ts';
import { currentProcess } from '../../src/os/process-identity.ts';
import { admitRuns } from '../../src/runs/admit.ts';
import { createRuns } from '../../src/runs/runs.ts';
import { NOTHING_TO_TEND } from '../../src/runs/tending.ts';
import { renewLease, takeLease } from '../../src/store/lease.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;

beforeAll(async () => {
  prepared = await prepareGivenVersion({
    files: {
      'pipeline.yaml': `stages:
  - name: one
    outputs: { a: json }
    retries: { max_restarts: 2 }
  - name: two
    inputs: { a: { from_stage: one } }
  - name: keyed
`,
      'modules/one.py': 'pass\n',
      'modules/two.py': 'pass\n',
      'modules/keyed.py': 'pass\n',
      'configs/keyed.yaml': `environment: { KEY: '\${env:SOME_KEY}' }\n`,
    },
  });
});
afterAll(() => prepared.dispose());
beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
});
afterEach(() => project.dispose());

const idOf = (stage: string) => project.runOf(prepared.first, stage).id;
const why = (stage: string) => createRuns(project.deps, async () => undefined).inspect(idOf(stage)).blockedBy;

/** This process, which lives, as the supervisor of a program of that version. */
function supervisorOf(version: string): number {
  const holder = { ...currentProcess(), version, socket: '/nowhere' };
  const at = isoTime(time.clock.now());
  return takeLease(project.db, { holder, at, mayTake: () => true }) ?? 0;
}

describe('a run that has not begun says what it waits for:', () => {
  it('a stage of the same pipeline run', () => {
    expect(why('two')).toBe(`stage one (${idOf('one')})`);
  });

  it('a supervisor that has what its backend takes from the environment, also when it was claimed already', async () => {
    admitRuns(project.deps);
    const lacks = 'backend process: docker.host names DOCKER_HOST, which is not set';
    project.deps.backends.tending = { ...NOTHING_TO_TEND, obstacle: () => lacks };
    project.environment['SOME_KEY'] = 'a value';
    for (let n = 0; n < 5; n += 1) await project.tick();
    const stages = ['one', 'keyed'];
    expect(stages.map(why)).toEqual([lacks, lacks]);
    expect(stages.map((stage) => project.run(idOf(stage)).state)).toEqual(['preparing', 'pending']);
    expect(project.fake.launchCalls).toEqual([]);
    project.deps.backends.tending = NOTHING_TO_TEND;
    await project.tick();
    expect(new Set(project.fake.launchCalls)).toEqual(new Set(stages.map(idOf)));
  });

  it('a slot of its backend, with how many there are', async () => {
    project.deps.backends.capacity = () => 1;
    await project.tick();
    expect(why('keyed')).toBe('environment SOME_KEY');
    project.environment['SOME_KEY'] = 'a value';
    expect(why('keyed')).toBe('backend process: 1 of 1 slots busy');
  });

  it('the other runs of its pipeline run, where those are limited', async () => {
    project.environment['SOME_KEY'] = 'a value';
    project.db.prepare('UPDATE pipeline_runs SET max_parallel = 1').run();
    await project.tick();
    expect(why('keyed')).toBe('max_parallel: 1 runs of this pipeline run are active');
  });

  it('a name of the environment, also when it was claimed before', () => {
    expect(why('keyed')).toBe('environment SOME_KEY');
    project.db.prepare("UPDATE stage_runs SET state = 'preparing' WHERE id = ?").run(idOf('keyed'));
    expect(why('keyed')).toBe('environment SOME_KEY');
  });

  it('the pause before its next attempt, and until when', async () => {
    await project.tick();
    project.fake.end(idOf('one'), { exitCode: 3 });
    await project.tick();
    const until = new Date(time.clock.now() + 5_000).toISOString();
    expect(why('one')).toBe(`the pause before attempt 2: until ${until}, 5 s more`);
  });

  it('room on the disk', () => {
    const { config } = project.deps;
    const keep = { ...config.storage.keep, minFreeBytes: Number.MAX_SAFE_INTEGER };
    project.deps.config = { ...config, storage: { ...config.storage, keep } };
    expect(why('one')).toMatch(
      /^room on the disk: \d+ .B are free, storage\.keep\.min_free_gb holds back \d+ .B$/,
    );
  });

  it('a supervisor, where there is none, it is stuck, or it is of another version', () => {
    project.deps.goldfishVersion = '0.2.0';
    const none = 'supervisor: none is at work; run, wait, retry and cancel start one';
    expect(why('one')).toBe(none);
    supervisorOf('0.1.0');
    expect(why('one')).toBe(
      'supervisor: one of Goldfish 0.1.0 is at work; this program (0.2.0) is newer and replaces it',
    );
    supervisorOf('0.10.0');
    expect(why('one')).toBe(
      'supervisor: its next look; it is of Goldfish 0.10.0, newer than this program (0.2.0)',
    );
    const token = supervisorOf('0.2.0');
    expect(why('one')).toBe('supervisor: its next look, within a second');
    const last = isoTime(time.clock.now());
    time.advance(16_000);
    expect(why('one')).toBe(
      `supervisor: the one at work has not renewed its lease since ${last}; another takes over`,
    );
    renewLease(project.db, { token, at: isoTime(time.clock.now()) });
    expect(why('one')).toBe('supervisor: its next look, within a second');
    project.db.prepare('UPDATE supervisor_lease SET pid_start = 1').run();
    expect(why('one')).toBe(none);
  });

  it('nothing once somebody is at work on it, it runs, or it is over', async () => {
    supervisorOf('0.0.0');
    project.db.prepare("UPDATE stage_runs SET state = 'building' WHERE id = ?").run(idOf('one'));
    expect(why('one')).toBeNull();
    project.db.prepare("UPDATE stage_runs SET state = 'pending' WHERE id = ?").run(idOf('one'));
    await project.tick();
    project.fake.set(idOf('one'), 'running');
    await project.tick();
    expect(why('one')).toBeNull();
    await project.complete(idOf('one'));
    expect(why('one')).toBeNull();
  });
});
