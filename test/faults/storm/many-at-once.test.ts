import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openContext } from '../../../src/context.ts';
import { readLease } from '../../../src/store/lease.ts';
import { runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { createLoop } from '../../../src/supervisor/loop.ts';
import { until } from '../../integration/until.ts';
import { mostAtOnce, readTold } from '../kit/executions.ts';
import type { FaultProject } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { LONG } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { createTellingProject, finishAlone, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { judgeRun } from '../kit/verdict.ts';

const RUNS = LONG ? 200 : 40;
/** From the call until all are at work. */
const START_SECONDS = LONG ? 120 : 60;
const LOOKS = 5;
/** For a look at all of them, on a machine that has its hands full with them: well within the second between two looks. */
const LOOK_MS = 500;

/** What a supervisor does at each look, done here, where it can be timed. Milliseconds of each. */
async function timeLooks(project: FaultProject): Promise<number[]> {
  const context = await openContext({ root: project.root, role: 'supervisor' });
  const stop = new AbortController();
  try {
    const options = { wakeSocket: null, signal: stop.signal, wake: () => undefined };
    const loop = createLoop(context.runsDeps, options);
    const took: number[] = [];
    for (let look = 0; look <= LOOKS; look += 1) {
      const began = performance.now();
      await loop.tick();
      took.push(performance.now() - began);
    }
    stop.abort();
    await loop.settled();
    // The first one loads the backend.
    return took.slice(1);
  } finally {
    await context.close();
  }
}

it(`runs ${RUNS} programs at the same time with one supervisor, to whom a look at them is nothing`, async () => {
  const stages = Array.from({ length: RUNS }, (_, n) => `s${n + 1}`);
  const { project, server } = await createTellingProject({ backend: 'process', stages, slots: RUNS });
  try {
    const gate = join(project.outside, 'gate');
    const config = { ...ledgerOf(project, 'process'), batch: 1, gate, pause: 0.5 };
    const answer = await server.call('run', {
      workspace: WORKSPACE,
      reason: 'As many at once as there are',
      config_override: Object.fromEntries(stages.map((stage) => [stage, config])),
    });
    const id = String(answer['pipeline_run_id']);
    const began = performance.now();
    // None ends before all are there, or it is too late for the others.
    await until(() => readTold(project).length >= RUNS, 'all programs to be at work', START_SECONDS);
    const seconds = Math.round((performance.now() - began) / 1000);
    await until(() => countRunning(project) === RUNS, 'the supervisor to have seen them');
    const supervisors = readLease(project.db).token;
    await server.close();
    await project.endPrograms('SIGTERM');
    const looks = await timeLooks(project);
    writeFileSync(gate, '');
    await finishAlone(project);

    const told = readTold(project);
    const most = mostAtOnce(told);
    const longest = Math.round(Math.max(...looks));
    const note = `${most} programs at work at once after ${seconds} s; a look at them took ${longest} ms`;
    console.log(note);
    const tally = createTally();
    for (const run of runsOfPipelineRun(project.db, id)) {
      const broken = judgeRun({ project, told }, run, { cause: 'success', causesBefore: [], batch: 1 });
      tally.count('right-end', broken['right-end']);
      tally.count('once', broken.once);
      tally.count('outputs', broken.outputs);
    }
    tally.count('goes-on', most >= 0.9 * RUNS ? undefined : note);
    tally.count('goes-on', longest < LOOK_MS ? undefined : note);
    const left = await leftovers(project.place());
    tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
    expect(supervisors).toBe(1);
    expect(told.filter(({ word }) => word === 'begin')).toHaveLength(RUNS);
    tally.state({ fault: `${RUNS} programs at work at the same time`, backend: 'process', note });
  } finally {
    await project.dispose();
  }
});

const countRunning = ({ db }: FaultProject): number =>
  db.prepare<{ n: number }>("SELECT count(*) AS n FROM stage_runs WHERE state = 'running'").get()?.n ?? 0;
