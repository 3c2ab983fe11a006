import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openContext } from '../../../src/context.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { processStart } from '../../../src/os/process-identity.ts';
import { cancelRuns } from '../../../src/runs/cancel.ts';
import { submitRun } from '../../../src/runs/submit.ts';
import { runsOfPipelineRun } from '../../../src/store/stage-runs.ts';
import { until } from '../../integration/until.ts';
import { type EngineStarts, hearStarts } from '../kit/engine-starts.ts';
import { readTold } from '../kit/executions.ts';
import {
  type Backend,
  copyFaultProject,
  type Environment,
  type FaultProject,
  patiently,
  Refused,
} from '../kit/fault-project.ts';
import { leftovers, leftoversAfterGc } from '../kit/leftovers.ts';
import type { Tally } from '../kit/tally.ts';
import { calm, finishAlone, ledgerOf, WORKSPACE } from '../kit/telling-project.ts';
import { judgeRuns } from './judge-runs.ts';
import { type KillPoint, nameOf } from './points.ts';
import type { Prototype } from './prototype.ts';
import { copyRuntime } from './runtime-copy.ts';

const REASON = 'A kill point of the fault suite';

/** One run, or pipeline, during which processes are killed at the given points; then only a fresh program is left. */
export async function tryKillPoint(of: Prototype, point: KillPoint, tally: Tally): Promise<void> {
  const project = copyFaultProject(of.project, of.environment);
  let engine: EngineStarts | undefined;
  try {
    engine = await hearStarts(project, of.backend);
    const record = join(project.outside, 'kills');
    mkdirSync(record);
    const { backend, batch, slot } = of;
    const armed = arm(project, point, record);
    const trial: Trial = { project, backend, point, record, batch, slot, armed, engine };
    // A change of the slot: the call makes a version, and nothing earlier can stand for its runs.
    project.write(`${slot}/note.txt`, `${nameOf(point)}\n`);
    const id = await (point.who === 'server' ? killServer(trial) : killOthers(trial));
    if (point.who === 'supervisor') {
      // With its server, where it had one.
      await project.endPrograms('SIGKILL');
      await finishAlone(project, 'supervisor');
    } else {
      await calm(project);
      await project.endPrograms('SIGTERM');
    }
    await judge(trial, id, tally);
  } catch (error) {
    tally.count('right-end', `${nameOf(point)}: ${error instanceof Error ? error.message : error}`);
  } finally {
    engine?.close();
    await project.dispose();
  }
}

type Trial = {
  project: FaultProject;
  backend: Backend;
  point: KillPoint;
  record: string;
  batch: number;
  /** Its path from the root. */
  slot: string;
  /** Undefined where no container has a part. */
  engine: EngineStarts | undefined;
  /** Environment of programs that die at the points. */
  armed: Environment;
};

function arm(project: FaultProject, { at, who }: KillPoint, record: string): Environment {
  const runtime = join(project.outside, 'runtime');
  const isOfWrapper = (name: string): boolean => name.startsWith('wrapper/') || name.startsWith('container/');
  const wanted = at.filter(isOfWrapper).map((name) => [name, 1] as const);
  const victim = who === 'stage' || who === 'container' ? who : 'run wrapper';
  copyRuntime(runtime, { at: Object.fromEntries(wanted), record, victim });
  return { GOLDFISH_KILL_AT: at.join(), GOLDFISH_KILL_RECORD: record, GOLDFISH_KILL_RUNTIME: runtime };
}

/**
 * It dies under the call; the client calls again, as the contract lets it, and this server dies with the answer. What is
 * left is the supervisor it started.
 */
async function killServer(trial: Trial): Promise<string> {
  const { project, point, armed } = trial;
  const first = await project.server(armed);
  await patiently(() => first.call('run', toArguments(trial))).then(
    () => Promise.reject(new Error('the server answered and should have died')),
    (error: unknown) => {
      if (error instanceof Refused) throw error;
    },
  );
  await killed(trial, point.at.length);
  await first.close();
  const second = await project.server();
  const answer = await patiently(() => second.call('run', toArguments(trial)));
  process.kill(second.pid, 'SIGKILL');
  await second.close();
  return String(answer['pipeline_run_id']);
}

async function killOthers(trial: Trial): Promise<string> {
  const { project, point } = trial;
  const context = await openContext({ root: project.root });
  try {
    const { pipelineRun } = await patiently(() => submitRun(context.runsDeps, toRequest(trial)));
    const cancel = (): void => {
      cancelRuns(context.runsDeps, { target: pipelineRun.id, reason: REASON });
    };
    for (const [step, name] of point.at.entries()) {
      // A supervisor outlives the death of a wrapper.
      if (project.leaseHolder() === undefined) await startSupervisor(trial);
      if (point.scenario === 'cancel') await begun(trial, pipelineRun.id).then(cancel);
      await killed(trial, step + 1, name);
      if (point.scenario === 'cancel-early' && step === 0) cancel();
    }
    return pipelineRun.id;
  } finally {
    await context.close();
  }
}

/** Alone, or as a server does it: what is in its environment reaches the supervisor. */
async function startSupervisor({ project, point, armed }: Trial): Promise<void> {
  if (point.scenario !== 'two') {
    project.start('supervisor', armed);
    return;
  }
  const server = await project.server(armed);
  // It opens the project with the first call.
  await server.call('status', {});
}

async function killed({ record, point }: Trial, steps: number, name = point.at[0]): Promise<void> {
  const file = join(record, (name ?? '').replace('/', '.'));
  await until(() => existsSync(file), `kill ${steps} at ${name}`, 60);
  // Its process is a zombie, or gone, before the next one looks who holds the lease.
  const isOfWrapper = /^(wrapper|container)\//.test(name ?? '');
  if (!isOfWrapper && point.who === 'supervisor') {
    const died = Number(readFileSync(file, 'utf8'));
    await until(() => processStart(died) === undefined, `the end of who was killed at ${name}`);
  }
}

async function begun({ project }: Trial, pipelineRunId: string): Promise<void> {
  const ids = runsOfPipelineRun(project.db, pipelineRunId).map(({ id }) => id);
  await until(
    () => readTold(project).some(({ runId }) => ids.includes(runId)),
    'the begin of the program',
    60,
  );
}

async function judge(trial: Trial, pipelineRunId: string, tally: Tally): Promise<void> {
  const { project, point, batch, engine } = trial;
  const runs = runsOfPipelineRun(project.db, pipelineRunId);
  const evidence = { project, told: readTold(project), started: engine?.heard() };
  const about = (why: string | undefined): string | undefined => why && `${nameOf(point)}: ${why}`;
  const slot = join(project.root, trial.slot);
  judgeRuns({ evidence, runs, point, batch, config: configOf(trial), slot, about }, tally);
  const calls = project.db.prepare<{ n: number }>('SELECT count(*) AS n FROM pipeline_runs').get()?.n;
  // One was made while the prototype was.
  tally.count('goes-on', about(calls === 2 ? undefined : `the call was stored ${(calls ?? 0) - 1} times`));
  rmSync(trial.record, { recursive: true });
  const left = [...(await leftovers(project.place())), ...(await leftoversAfterGc(project.place()))];
  tally.count('no-leftovers', about(left.length === 0 ? undefined : left.join('; ')));
}

function stagesOf({ point }: Trial): string[] {
  return point.scenario === 'two' ? ['one', 'two'] : ['one'];
}

function configOf({ project, backend, point, batch }: Trial): JsonObject {
  return {
    batch,
    ...ledgerOf(project, backend),
    ...(point.scenario === 'crash' ? { exits: { 1: 3 } } : {}),
    ...(point.scenario === 'cancel' ? { seconds: 100 } : {}),
    ...(point.scenario === 'long' ? { seconds: 5 } : {}),
  };
}

function toRequest(trial: Trial) {
  const config = configOf(trial);
  const stages = stagesOf(trial);
  return {
    workspace: WORKSPACE,
    reason: REASON,
    useCache: true,
    stages,
    configOverride: Object.fromEntries(stages.map((stage) => [stage, config])),
    maxRestarts: 1,
  };
}

function toArguments(trial: Trial): JsonObject {
  const { workspace, reason, stages, configOverride, maxRestarts } = toRequest(trial);
  return { workspace, reason, stages, config_override: configOverride, max_restarts: maxRestarts };
}
