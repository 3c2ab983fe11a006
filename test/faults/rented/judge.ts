import { join } from 'node:path';
import { readLogTail } from '../../../src/backends/log-segments.ts';
import type { StageRun } from '../../../src/core/rows.ts';
import { runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { judgeRuns } from '../kill-points/judge-runs.ts';
import { readAloud } from '../kit/executions.ts';
import { leftovers } from '../kit/leftovers.ts';
import type { Tally } from '../kit/tally.ts';
import { keysOfBucket } from './bucket-keys.ts';
import { hasWaiting, WATCHDOG_SECONDS } from './lane.ts';
import { nameOf } from './points.ts';
import { countCalls, type Trial } from './trial.ts';

/** A bill ends so long after there is a reason for it, beside the time in which nobody could know. */
const BILL_SECONDS = 60;

type Over = Trial & { struckAt: number };

/** Everything that a trial is to show, when nothing of it works any more. */
export async function judgeTrial(trial: Over, pipelineRunId: string, tally: Tally): Promise<void> {
  const { lane, point, batch, config, before } = trial;
  const { project } = lane;
  const runs = runsOfPipelineRun(project.db, pipelineRunId);
  const evidence = { project, told: readAloud(project), started: lane.machines.heard() };
  const about = (why: string | undefined): string | undefined => why && `${nameOf(point)}: ${why}`;
  const slot = join(project.root, lane.slot);
  judgeRuns({ evidence, runs, point, batch, config, slot, about }, tally);
  const stored = countCalls(lane) - before.calls;
  tally.count('goes-on', about(stored === 1 ? undefined : `the call was stored ${stored} times`));
  tally.count('right-end', about(await untold(trial, runs)));
  tally.count('money', about(wrongMachines(trial) ?? lateBill(trial, runs)));
  const left = [...(await leftovers(project.place())), ...(await strayObjects(trial, runs))];
  tally.count('no-leftovers', about(left.length === 0 ? undefined : left.join('; ')));
}

/** A machine whose worker program died under a run is read before it is deleted; what it wrote stands behind that run's log. */
async function untold({ lane, point }: Trial, [run]: readonly StageRun[]): Promise<string | undefined> {
  const isReplaced = point.machines.includes(2) && point.causesBefore.includes('worker_lost');
  if (point.who !== 'program' || point.before !== 'off' || !isReplaced || run === undefined) return undefined;
  const { lines } = await readLogTail({ dir: lane.project.layout.attempt(run.id, 1).log, lines: 1 });
  const last = lines.at(-1)?.text ?? 'nothing';
  return last.startsWith('[machine ') ? undefined : `the log of attempt 1 ends with ${last}`;
}

/** As the bills have it: a machine is one however often its power was cut, or it was asked for. */
function wrongMachines({ lane, point, before }: Trial): string | undefined {
  const { rig } = lane;
  const rented = new Set(
    rig
      .bills()
      .slice(before.bills)
      .map(({ id }) => id),
  ).size;
  const wanted = point.machines.map((count) => count - (before.hadMachine ? 1 : 0));
  if (!wanted.includes(rented)) return `${rented} machines were rented instead of ${wanted.join(' or ')}`;
  const there = rig.instances();
  const running = rig.bills().filter(({ endedAt }) => endedAt === undefined);
  if (running.length !== there.length) return `${running.length} bills run for ${there.length} machines`;
  if (there.length > (hasWaiting(lane) ? 1 : 0)) return `${there.join()} is left`;
  return undefined;
}

/** A silent machine is waited for; and a supervisor that died after the end of the run leaves the machine to the next one. */
function lateBill({ lane, before, struckAt, point }: Over, runs: readonly StageRun[]): string | undefined {
  const ends = runs.map(({ endedAt }) => Date.parse(endedAt ?? ''));
  const silence = point.who === 'program' ? WATCHDOG_SECONDS : 0;
  const limit = Math.max(struckAt, ...ends) + (silence + BILL_SECONDS) * 1000;
  const late = lane.rig
    .bills()
    .slice(before.bills)
    .find(({ endedAt = 0 }) => endedAt > limit);
  return late && `the bill of ${late.name} ended ${((late.endedAt ?? 0) - limit) / 1000} s too late`;
}

/** Of the runs there stay claims and result documents; of machines that are gone nothing. */
async function strayObjects({ lane }: Trial, runs: readonly StageRun[]): Promise<string[]> {
  const { rig } = lane;
  const keys = (await keysOfBucket(rig)).map((key) => key.slice(key.indexOf('/') + 1));
  const ids = runs.map(({ id }) => id);
  const ofRuns = keys.filter((key) => ids.some((id) => key.startsWith(`runs/${id}/`)));
  return ofRuns
    .filter((key) => !/^runs\/[^/]+\/\d+\/(exit\.json|claims\/)/.test(key))
    .map((key) => `object ${key}`);
}
