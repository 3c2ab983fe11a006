import { expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import { countHolding, runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { mostAtOnce, readTold } from '../kit/executions.ts';
import type { FaultProject } from '../kit/fault-project.ts';
import { leftovers } from '../kit/leftovers.ts';
import { LONG, SEED } from '../kit/outcome.ts';
import { createTally } from '../kit/tally.ts';
import { calm, createTellingProject, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { blows } from './plan.ts';

const PENDING = 200;
const SLOTS = 3;
/** The rest is canceled when so many have ended. */
const ENOUGH = LONG ? PENDING : 20;
const SECONDS = LONG ? 300 : 25;

const endedRuns = ({ db }: FaultProject): number =>
  db.prepare<{ n: number }>("SELECT count(*) AS n FROM stage_runs WHERE state = 'completed'").get()?.n ?? 0;

/** Kills supervisors, and looks how many runs hold a slot, until enough have ended. */
async function killSupervisors(project: FaultProject): Promise<{ kills: number; mostHolding: number }> {
  const deadline = systemClock.monotonic() + SECONDS * 1000;
  let [kills, mostHolding] = [0, 0];
  for (const { pauseMs } of blows(SEED, ['supervisor'])) {
    const until = systemClock.monotonic() + 2 * pauseMs;
    while (systemClock.monotonic() < until) {
      mostHolding = Math.max(mostHolding, countHolding(project.db, { backend: 'process' }));
      await systemClock.sleep(5);
    }
    const isOver = endedRuns(project) >= ENOUGH || systemClock.monotonic() > deadline;
    if (isOver && kills > 0) break;
    const pid = project.leaseHolder();
    if (pid === undefined) continue;
    process.kill(pid, 'SIGKILL');
    kills += 1;
  }
  return { kills, mostHolding };
}

it('never lets more runs hold a slot than there are, of hundreds that wait, while supervisors are killed', async () => {
  const stages = Array.from({ length: PENDING }, (_, n) => `s${n + 1}`);
  const { project, server } = await createTellingProject({ backend: 'process', stages, slots: SLOTS });
  try {
    const config = (n: number) => ({
      ...ledgerOf(project, 'process'),
      batch: 1,
      seconds: 0.1 + (n % 4) / 10,
    });
    const answer = await server.call('run', {
      workspace: WORKSPACE,
      reason: 'Hundreds of runs for three slots',
      config_override: Object.fromEntries(stages.map((stage, n) => [stage, config(n)])),
    });
    const id = String(answer['pipeline_run_id']);
    const { kills, mostHolding } = await killSupervisors(project);
    await server.call('cancel', { target: id, reason: 'Enough of them have ended' });
    await calm(project);
    await server.close();
    await project.endPrograms('SIGTERM');

    const told = readTold(project);
    const most = mostAtOnce(told.filter(isOfCompleted(project, id)));
    const note = `${kills} supervisors killed; at most ${most} of ${PENDING} programs at work at once for ${SLOTS} slots`;
    console.log(note);
    const tally = createTally();
    for (const run of runsOfPipelineRun(project.db, id)) {
      const begun = told.filter(({ word, runId }) => word === 'begin' && runId === run.id).length;
      const isRight = run.state === 'completed' ? begun === 1 : run.cause === 'user' && begun <= 1;
      tally.count('once', isRight ? undefined : `${run.id} is ${run.state} and was executed ${begun} times`);
    }
    tally.count(
      'right-end',
      most <= SLOTS && mostHolding <= SLOTS ? undefined : `${note}; rows: ${mostHolding}`,
    );
    const left = await leftovers(project.place());
    tally.count('no-leftovers', left.length === 0 ? undefined : left.join('; '));
    // Else there was nothing to go beyond.
    expect(mostHolding).toBe(SLOTS);
    tally.state({ fault: 'supervisor killed while hundreds wait for a few slots', backend: 'process', note });
  } finally {
    await project.dispose();
  }
});

/** A program that was stopped has not told that it ended. */
function isOfCompleted({ db }: FaultProject, id: string): (told: { runId: string }) => boolean {
  const completed = new Set(
    runsOfPipelineRun(db, id).flatMap((run) => (run.state === 'completed' ? [run.id] : [])),
  );
  return ({ runId }) => completed.has(runId);
}
