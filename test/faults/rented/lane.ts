import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEST_IMAGE } from '../../../scripts/setup/test-image.ts';
import { livingWorkers } from '../../../src/store/workers.ts';
import { openRentedRig, type RentedRig } from '../../integration/gce/rented-rig.ts';
import { copyMarked } from '../kill-points/runtime-copy.ts';
import type { EngineStarts } from '../kit/engine-starts.ts';
import { tellingPipeline } from '../kit/executions.ts';
import type { Environment, FaultProject } from '../kit/fault-project.ts';
import { openTellingProject } from '../kit/telling-project.ts';
import { hearMachines } from './machine-starts.ts';
import type { RentedPoint } from './points.ts';
import { openReferee, type Referee } from './referee.ts';

/** By how much shorter than in life a silent machine, and a launch that comes to nothing, are waited for. */
const HASTE = 6;
export const WATCHDOG_SECONDS = 60 / HASTE;
const TIMINGS = {
  pendingMs: 50,
  provisioningMs: 500,
  stagingMs: 500,
  writeMs: 50,
  deleteMs: 100,
  stopGraceMs: 3_000,
};
const HOOK = new URL('../kill-points/hook.ts', import.meta.url).href;

/** A project and a Compute Engine of its own, for trials one after the other: a machine that is kept is there for the next. */
export type Lane = {
  rig: RentedRig;
  project: FaultProject;
  /** Path from the root. */
  slot: string;
  referee: Referee;
  machines: EngineStarts;
  /** So many trials were made. */
  count: number;
  close(): Promise<void>;
};

/** `cache`: where compiled programs are kept, for all. */
export async function openLane(beside: RentedRig, cache: string): Promise<Lane> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const referee = await openReferee();
    ends.push(() => referee.close());
    const rig = await openRentedRig({ beside, timings: TIMINGS });
    ends.push(() => rig.close());
    const machines = await hearMachines(rig);
    ends.push(async () => machines.close());
    const runtime = mkdtempSync(join(cache, 'runtime-'));
    copyMarked(runtime, { files: '{,worker/}*.py', module: referee.module });
    writeOften(runtime);
    // The copy is a version of Goldfish: whoever takes over must be of the same.
    const environment: Environment = {
      NODE_OPTIONS: `--import=${HOOK}`,
      NODE_COMPILE_CACHE: cache,
      GOLDFISH_KILL_RUNTIME: runtime,
      GOLDFISH_KILL_HASTE: `${HASTE}`,
    };
    const opened = await openTellingProject({
      config: configOf(rig, {}),
      stages: ['one', 'two'],
      chained: true,
      environment,
    });
    const { project, server, slot } = opened;
    ends.push(() => project.dispose());
    await server.close();
    project.write('.env', 'TOKEN=known-to-the-stage-alone\n');
    chmodSync(join(project.root, '.env'), 0o600);
    return { rig, project, slot, referee, machines, count: 0, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Else nobody could tell within seconds that a machine has fallen silent. */
function writeOften(runtime: string): void {
  const file = join(runtime, 'worker', 'worker_letters.py');
  const text = readFileSync(file, 'utf8');
  const usual = 'LETTER_SECONDS = 20.0\n';
  if (!text.includes(usual)) throw new Error('kill points: LETTER_SECONDS is not where it was');
  writeFileSync(file, text.replace(usual, `LETTER_SECONDS = ${20 / HASTE}\n`));
}

type Settings = { pool?: RentedPoint['pool']; repository?: string; launchSeconds?: number };

function configOf(rig: RentedRig, { pool = 'kept', repository, launchSeconds = 1800 }: Settings): string {
  // Those that are lost count until it is certain that they are gone.
  const warmPool = { enabled: pool !== 'own', max_instances: 10, watchdog_seconds: WATCHDOG_SECONDS * HASTE };
  const more = repository === undefined ? {} : { artifact_registry: `${rig.registry}/${repository}` };
  const defaults = {
    backend: 'gce',
    log_sync_interval: 1,
    launch_timeout_seconds: launchSeconds,
    capacity_wait_seconds: 5,
  };
  return [
    `defaults: ${JSON.stringify(defaults)}`,
    `docker: ${JSON.stringify({ base_image: TEST_IMAGE })}`,
    rig.yaml(warmPool, more),
  ].join('\n');
}

/** Everything that differs from trial to trial. No program of the project runs. */
export function furnish({ rig, project, slot, count }: Lane, point: RentedPoint, note: string): void {
  const settings: Settings = {
    pool: point.pool,
    ...(point.newImage === true ? { repository: `new-${count}` } : {}),
    ...(point.shortLaunch === true ? { launchSeconds: 305 } : {}),
  };
  project.write('goldfish.yaml', `project_name: faults\n${configOf(rig, settings)}`);
  const files = tellingPipeline(['one', 'two'], { chained: true });
  const secret = `environment: { TOKEN: '$\{env:TOKEN}' }\n`;
  const config = `${files['configs/one.yaml']}${point.scenario === 'secret' ? secret : ''}`;
  project.write(`${slot}/configs/one.yaml`, config);
  // A change of the slot: the call makes a version, and nothing earlier can stand for its runs.
  project.write(`${slot}/note.txt`, `${note}\n`);
  for (const fault of point.faults) rig.simulator.faults.add(fault);
}

/** A machine that has nothing to do, which the pool keeps for the next run. */
export function hasWaiting({ project, rig }: Lane): boolean {
  const there = new Set(rig.instances());
  return livingWorkers(project.db).some(
    ({ id, state, pooled }) => pooled && state === 'idle_ready' && there.has(id),
  );
}

/** Nothing of it works, and whatever is there is there to be used: no machine, or those that the pool keeps. */
export function isAtRest({ project, rig }: Lane): boolean {
  const resting = livingWorkers(project.db).filter(({ state }) => state === 'idle_ready');
  const ids = new Set(resting.map(({ id }) => id));
  const there = rig.instances();
  return there.length === ids.size && there.every((name) => ids.has(name));
}
