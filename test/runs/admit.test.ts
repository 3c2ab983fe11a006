import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StageRun } from '../../src/core/rows.ts';
import { holdsCapacity, isTerminal } from '../../src/core/run-lifecycle.ts';
import { admitRuns, waitsFor } from '../../src/runs/admit.ts';
import { cancelRuns } from '../../src/runs/cancel.ts';
import type { RunRequest } from '../../src/runs/plan-call.ts';
import { createRuns } from '../../src/runs/runs.ts';
import { openDatabase } from '../../src/store/database.ts';
import { getPipelineRun } from '../../src/store/pipeline-runs.ts';
import { inputsOfRun, outputsOfRun } from '../../src/store/signals.ts';
import { listStageRuns, openStageRuns, readyStageRuns } from '../../src/store/stage-runs.ts';
import { type PreparedProject, prepareGivenVersion, type RunsProject } from '../support/runs-project.ts';
import { createTestClock } from '../support/test-clock.ts';

/** Four that need nothing, and `one → two → three`. */
const FILES = {
  'pipeline.yaml': `stages:
  - name: s0
  - name: s1
  - name: s2
  - name: s3
  - name: one
    outputs: { a: json }
  - name: two
    inputs: { a: { from_stage: one, signal: a } }
    outputs: { b: json }
  - name: three
    inputs: { b: { from_stage: two, signal: b } }
    outputs: { c: json }
`,
  ...Object.fromEntries(
    ['s0', 's1', 's2', 's3', 'one', 'two', 'three'].map((name) => [`modules/${name}.py`, 'pass\n']),
  ),
};

let prepared: PreparedProject;
let project: RunsProject;
let time: ReturnType<typeof createTestClock>;

beforeAll(async () => {
  prepared = await prepareGivenVersion({ files: FILES });
});
afterAll(() => prepared.dispose());

beforeEach(async () => {
  time = createTestClock();
  project = await prepared.open({ clock: time.clock });
});
afterEach(() => project.dispose());

function setCapacity(slots: number): void {
  project.deps.backends.capacity = () => slots;
}

/** Another call, later than what is there. */
async function submit(request: Partial<RunRequest>): Promise<string> {
  time.advance(1);
  return (await project.submit(request)).pipelineRun.id;
}

const of = (stage: string, pipelineRunId = prepared.first) => project.runOf(pipelineRunId, stage);
const all = (): StageRun[] => listStageRuns(project.db, { limit: 100 }).reverse();
const holding = (runs = all()): StageRun[] => runs.filter((run) => holdsCapacity(run.state));

/** Lets the oldest run that holds a slot end, again and again, and tells how many held one after each look. */
async function drain(watch: (held: StageRun[], looked: boolean) => void): Promise<void> {
  for (let looks = 0; openStageRuns(project.db).length > 0; looks += 1) {
    if (looks > 100) throw new Error('the work does not end');
    await project.tick();
    watch(holding(), true);
    const [oldest] = holding();
    if (oldest) await project.complete(oldest.id);
    watch(holding(), false);
  }
}

describe('capacity', () => {
  it('is never exceeded and never idle while a run could start, over all pipeline runs', async () => {
    setCapacity(2);
    await submit({ useCache: false, stages: ['s0', 's1', 's2'] });
    let most = 0;
    await drain((held, looked) => {
      most = Math.max(most, held.length);
      if (looked && held.length < 2) expect(readyStageRuns(project.db)).toEqual([]);
    });
    expect(most).toBe(2);
    expect(new Set(all().map((run) => run.cause))).toEqual(new Set(['success']));
    expect(project.fake.launched).toHaveLength(10);
    expect(new Set(project.fake.launched.map((spec) => spec.runId)).size).toBe(10);
  });

  it('goes to the oldest call first, in the order of its pipeline', async () => {
    setCapacity(3);
    await submit({ useCache: false, stages: ['s3'] });
    await project.tick();
    expect(holding().map((run) => [run.pipelineRunId, run.stage])).toEqual(
      ['s0', 's1', 's2'].map((stage) => [prepared.first, stage]),
    );
  });

  it('is not exceeded by two supervisors that look at the same moment, and no run starts twice', async () => {
    setCapacity(2);
    const other = openDatabase(project.deps.layout.database, { create: false });
    const claimed = [project.db, other].flatMap((db) => admitRuns({ ...project.deps, db }));
    other.close();
    expect(claimed.map((run) => run.stage)).toEqual(['s0', 's1']);
    expect(holding()).toHaveLength(2);
    const second = project.newLoop();
    await Promise.all([project.tick(), second.tick()]);
    await second.settled();
    expect(project.fake.launched.map((spec) => spec.stage).sort()).toEqual(['s0', 's1']);
  });

  it('is free again after every way to end', async () => {
    setCapacity(1);
    const [crashed, lost, unbuilt, stopped, last] = ['s0', 's1', 's2', 's3', 'one'].map((s) => of(s).id);
    await project.tick();
    project.fake.end(crashed ?? '', { exitCode: 1 });
    await project.tick();
    await project.tick();
    expect(holding().map((run) => run.id)).toEqual([lost]);
    project.fake.spoil(lost ?? '', 'garbled');
    await project.tick();
    project.fake.failBuild = new Error('no network');
    await project.tick();
    expect(project.run(unbuilt ?? '').cause).toBe('build_failed');
    project.fake.failBuild = undefined;
    await project.tick();
    cancelRuns(project.deps, { target: stopped ?? '', reason: 'Not needed any more' });
    project.fake.end(stopped ?? '', { stoppedBy: 'cancel' });
    await project.tick();
    await project.tick();
    expect(holding().map((run) => run.id)).toEqual([last]);
    await project.complete(last ?? '');
    expect(['s0', 's1', 's2', 's3', 'one'].map((stage) => of(stage).cause)).toEqual([
      'exit_nonzero',
      'worker_lost',
      'build_failed',
      'user',
      'success',
    ]);
  });

  it('is named as what a ready run waits for', async () => {
    setCapacity(1);
    await project.tick();
    const runs = createRuns(project.deps, async () => undefined);
    expect(runs.inspect(of('s1').id).blockedBy).toBe('backend process: 1 of 1 slots busy');
    expect(runs.inspect(of('s0').id).blockedBy).toBeNull();
  });
});

describe('trouble with one run', () => {
  it('does not keep the others from being admitted', async () => {
    const broken = of('s0').id;
    const { capacity } = project.deps.backends;
    project.db.prepare("UPDATE stage_runs SET backend_type = 'odd' WHERE id = ?").run(broken);
    project.deps.backends.capacity = (name) => {
      if (name === 'odd') throw new Error('no such backend');
      return capacity(name);
    };
    await project.tick();
    expect(project.run(broken).state).toBe('pending');
    expect(holding().length).toBeGreaterThan(0);
    expect(project.logged).toContain('a run could not be admitted no such backend');
  });
});

describe('max_parallel', () => {
  it('is never exceeded in a pipeline run and does not hold the others up', async () => {
    setCapacity(20);
    const { config } = project.deps;
    project.deps.config = { ...config, defaults: { ...config.defaults, maxParallel: 2 } };
    const limited = await submit({ useCache: false, stages: ['s0', 's1', 's2', 's3'] });
    await project.tick();
    const held = (id: string) => holding().filter((run) => run.pipelineRunId === id).length;
    expect([held(prepared.first), held(limited)]).toEqual([5, 2]);
    expect(waitsFor(project.deps, of('s2', limited))).toBe(
      'max_parallel: 2 runs of this pipeline run are active',
    );
    let most = 0;
    await drain(() => {
      most = Math.max(most, held(limited));
    });
    expect(most).toBe(2);
    expect(all().every((run) => run.cause === 'success')).toBe(true);
  });
});

describe('needs', () => {
  it('hold a run until its producer has completed, and it then knows its inputs', async () => {
    setCapacity(20);
    await project.tick();
    expect(project.fake.launched.map((spec) => spec.stage).sort()).toEqual(['one', 's0', 's1', 's2', 's3']);
    expect(waitsFor(project.deps, of('two'))).toBe(`stage one (${of('one').id})`);
    expect(of('two').cacheKey).toBeNull();
    await project.complete(of('one').id);
    expect(of('two').state).toBe('pending');
    expect(waitsFor(project.deps, of('two'))).toBeNull();
    await project.tick();
    expect(of('two').state).toBe('launching');
    expect(inputsOfRun(project.db, of('two').id)).toMatchObject([
      { name: 'a', fromRunId: of('one').id, hash: outputsOfRun(project.db, of('one').id)[0]?.hash },
    ]);
    expect(of('three').state).toBe('pending');
  });

  it('move the pipeline run from pending to running to its end', async () => {
    setCapacity(20);
    const state = () => getPipelineRun(project.db, prepared.first)?.state;
    expect(state()).toBe('pending');
    await drain(() => {
      const over = all().every((run) => isTerminal(run.state));
      expect(state()).toBe(over ? 'completed' : 'running');
    });
    expect(getPipelineRun(project.db, prepared.first)?.endedAt).toBe('2026-01-02T03:04:05.000Z');
  });
});

describe('reuse at the moment a run could start', () => {
  const CHAIN = { stages: ['one', 'two', 'three'], configOverride: { one: { k: 2 } } };

  async function makeOneAgain(output: unknown): Promise<string> {
    setCapacity(20);
    await drain(() => undefined);
    const again = await submit(CHAIN);
    await project.tick();
    await project.complete(of('one', again).id, { a: output });
    return again;
  }

  it('goes down a whole chain in one look when a stage made again comes out the same', async () => {
    const again = await makeOneAgain({ name: 'a' });
    const { builds } = project.fake;
    await project.tick();
    for (const stage of ['two', 'three']) {
      const then = of(stage).id;
      expect(of(stage, again)).toMatchObject({
        state: 'completed',
        cause: 'cached',
        cachedFrom: then,
        cacheReason: `same command, config, inputs, code and environment as ${then}`,
      });
      expect(outputsOfRun(project.db, of(stage, again).id)[0]?.hash).toBe(
        outputsOfRun(project.db, then)[0]?.hash,
      );
    }
    expect(project.fake.builds).toBe(builds);
    expect(getPipelineRun(project.db, again)?.state).toBe('completed');
  });

  it('does not happen where what comes out is different', async () => {
    const again = await makeOneAgain('another');
    await project.tick();
    expect(of('two', again)).toMatchObject({
      state: 'launching',
      cachedFrom: null,
      cacheReason: `changed since ${of('two').id}: inputs (a)`,
    });
  });

  it('needs no slot: an equal run completed meanwhile stands for one that waits for capacity', async () => {
    setCapacity(1);
    const second = await submit({ stages: ['s0', 's1'] });
    await project.tick();
    expect(waitsFor(project.deps, of('s0', second))).toBe('backend process: 1 of 1 slots busy');
    await project.complete(of('s0').id);
    await project.tick();
    expect(of('s1').state).toBe('launching');
    expect(of('s0', second)).toMatchObject({ cause: 'cached', cachedFrom: of('s0').id });
    expect(of('s1', second).state).toBe('pending');
  });
});
