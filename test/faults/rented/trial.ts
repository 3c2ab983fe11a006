import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openContext } from '../../../src/context.ts';
import { systemClock } from '../../../src/core/clock.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { processStart } from '../../../src/os/process-identity.ts';
import { cancelRuns } from '../../../src/runs/cancel.ts';
import { submitRun } from '../../../src/runs/submit.ts';
import { runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { until } from '../../integration/until.ts';
import { readAloud } from '../kit/executions.ts';
import { type Environment, patiently } from '../kit/fault-project.ts';
import type { Tally } from '../kit/tally.ts';
import { calm, WORKSPACE } from '../kit/telling-project.ts';
import { cutPower, runningMachine } from './cut-power.ts';
import { judgeTrial } from './judge.ts';
import { furnish, hasWaiting, isAtRest, type Lane, WATCHDOG_SECONDS } from './lane.ts';
import { isOnMachine, nameOf, type RentedPoint } from './points.ts';
import { tellBroken } from './tell-broken.ts';

const REASON = 'A kill point of rented machines';

export type Trial = {
  lane: Lane;
  point: RentedPoint;
  batch: number;
  /** What the stages were called with. */
  config: JsonObject;
  /** Where programs of this machine write that they die, and their environment. */
  record: string;
  armed: Environment;
  /** Machines that do nothing any more and do not say so: they are to go. */
  dead: string[];
  before: { hadMachine: boolean; bills: number; inserts: number; calls: number };
};

/** One run, or pipeline, during which somebody dies at the given points. False where the lane is of no use any more. */
export async function tryRentedPoint(lane: Lane, point: RentedPoint, tally: Tally): Promise<boolean> {
  lane.count += 1;
  try {
    if (point.pool === 'waiting' && !hasWaiting(lane)) await warmUp(lane, point);
    furnish(lane, point, `${lane.count}: ${nameOf(point)}`);
    const trial = arm(lane, point);
    const id = await execute(trial);
    const struckAt = systemClock.now();
    await finish(trial);
    await judgeTrial({ ...trial, struckAt }, id, tally);
    return true;
  } catch (error) {
    await tellBroken(lane).catch(console.log);
    tally.count('right-end', `${nameOf(point)}: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

function arm(lane: Lane, point: RentedPoint): Trial {
  const { project, rig, count } = lane;
  const record = mkdtempSync(join(project.outside, 'kills-'));
  const ours = point.at.filter((name) => !isOnMachine(name));
  const hadMachine = point.pool !== 'own' && hasWaiting(lane);
  const inserts = rig.calls('instances.insert');
  const before = { hadMachine, bills: rig.bills().length, inserts, calls: countCalls(lane) };
  const config = configOf(point, count);
  const armed = { GOLDFISH_KILL_AT: ours.join(), GOLDFISH_KILL_RECORD: record };
  return { lane, point, batch: count, config, record, armed, dead: [], before };
}

export function countCalls({ project }: Lane): number {
  return project.db.prepare<{ n: number }>('SELECT count(*) AS n FROM pipeline_runs').get()?.n ?? 0;
}

function configOf({ scenario }: RentedPoint, batch: number): JsonObject {
  return {
    batch,
    aloud: true,
    ...(scenario === 'saves' ? { saves: true } : {}),
    // By itself it does not end before it is stopped.
    ...(scenario.startsWith('cancel') ? { seconds: 100 } : {}),
    ...(scenario === 'long' ? { seconds: 4 } : {}),
  };
}

/** A run without any death, after which a machine waits. */
async function warmUp(lane: Lane, point: RentedPoint): Promise<void> {
  furnish(lane, { ...point, faults: [] }, `${lane.count}: before`);
  const config = { batch: 0, aloud: true };
  const context = await openContext({ root: lane.project.root });
  try {
    await patiently(() => submitRun(context.runsDeps, toRequest(['one'], config)));
  } finally {
    await context.close();
  }
  lane.project.start('supervisor');
  await comeToRest(lane, 60);
  if (!hasWaiting(lane)) throw new Error('no machine waits after a run');
}

/** The deaths. Returns the id of the pipeline run. */
async function execute(trial: Trial): Promise<string> {
  const { lane, point } = trial;
  const context = await openContext({ root: lane.project.root });
  try {
    const request = toRequest(stagesOf(point), trial.config);
    const { pipelineRun } = await patiently(() => submitRun(context.runsDeps, request));
    const cancel = (): void => {
      cancelRuns(context.runsDeps, { target: pipelineRun.id, reason: REASON });
    };
    for (const [step, name] of point.at.entries()) {
      const isLast = step === point.at.length - 1;
      if (isOnMachine(name)) armReferee(trial, name, isLast);
      startWhereNeeded(trial, name, step);
      if (point.scenario === 'cancel') await begun(trial, pipelineRun.id).then(cancel);
      if (point.scenario === 'cancel-search') await searching(trial).then(cancel);
      await (isOnMachine(name) ? strikeMachine(trial, name, isLast) : killed(trial, name));
      if (point.scenario === 'cancel-early' && step === 0) cancel();
    }
    return pipelineRun.id;
  } finally {
    await context.close();
  }
}

/** A supervisor that died stays dead as long as what comes next is the machine's alone. */
function startWhereNeeded({ lane, armed }: Trial, name: string, step: number): void {
  if (step > 0 && isOnMachine(name)) return;
  if (lane.project.leaseHolder() === undefined) lane.project.start('supervisor', armed);
}

function armReferee({ lane, point }: Trial, name: string, isLast: boolean): void {
  lane.referee.arm(name, { blow: blowOf(point, isLast), after: isLast ? point.after : undefined });
}

function blowOf({ who, before }: RentedPoint, isLast: boolean): 'program' | 'reset' | 'off' {
  return isLast && who !== 'supervisor' ? who : before;
}

async function strikeMachine({ lane, point, dead }: Trial, name: string, isLast: boolean): Promise<void> {
  await lane.referee.struck(name);
  const blow = blowOf(point, isLast);
  const machine = runningMachine(lane.rig);
  if (blow !== 'program') return cutPower(lane.rig, { machine, blow });
  // At points of the run wrapper it is that which dies.
  if (!name.startsWith('wrapper/')) dead.push(machine.name);
}

async function killed({ record }: Trial, name: string): Promise<void> {
  const file = join(record, name.replace('/', '.'));
  await until(() => existsSync(file), `a supervisor to come to ${name}`, 90);
  const died = Number(readFileSync(file, 'utf8'));
  await until(() => processStart(died) === undefined, `the end of who was killed at ${name}`);
}

async function begun({ lane }: Trial, pipelineRunId: string): Promise<void> {
  const { project } = lane;
  const ids = runsOfPipelineRun(project.db, pipelineRunId).map(({ id }) => id);
  await until(
    () => readAloud(project).some(({ runId }) => ids.includes(runId)),
    'the begin of the program',
    60,
  );
}

async function searching({ lane: { rig }, before }: Trial): Promise<void> {
  await until(() => rig.calls('instances.insert') > before.inserts, 'a machine to be asked for', 60);
}

/** Only a fresh supervisor is left where one was the victim, or none survived. */
async function finish({ lane, point, dead }: Trial): Promise<void> {
  const { project } = lane;
  if (point.who === 'supervisor') await project.endPrograms('SIGKILL');
  if (project.leaseHolder() === undefined) project.start('supervisor');
  await comeToRest(lane, 60 + WATCHDOG_SECONDS, dead);
}

/** Until all runs are over and all machines at rest; then the supervisor is ended. */
async function comeToRest(lane: Lane, seconds: number, dead: readonly string[] = []): Promise<void> {
  const { project, rig } = lane;
  const isOver = (): boolean => isAtRest(lane) && !rig.instances().some((name) => dead.includes(name));
  await until(() => project.leaseHolder() !== undefined, 'the lease of a supervisor', 60);
  await calm(project);
  await until(isOver, 'all machines to be at rest, or gone', seconds);
  await project.endPrograms('SIGTERM');
}

function stagesOf({ scenario }: RentedPoint): string[] {
  return scenario === 'two' ? ['one', 'two'] : ['one'];
}

function toRequest(stages: readonly string[], config: JsonObject) {
  return {
    workspace: WORKSPACE,
    reason: REASON,
    useCache: true,
    stages: [...stages],
    configOverride: Object.fromEntries(stages.map((stage) => [stage, config])),
    maxRestarts: 1,
  };
}
