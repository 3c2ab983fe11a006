import { LEASES, type WorkerState } from '../../src/core/worker-lifecycle.ts';
import { keyOf, type Rig } from './rig.ts';

/** Beyond the time in which it may be somebody's, a machine without a row is there for so long while one supervisor lives. */
const STRANGER_SECONDS = 120;

export type Watch = {
  /** What does not hold now. */
  complaints(): string[];
};

/** What must hold after every step, told from outside: from what machines did and what is paid for. */
export function watchPromises(rig: Rig): Watch {
  const strangers = new Map<string, number>();
  let looked = rig.time.now();
  let { lives } = rig;
  return {
    complaints: () => {
      if (rig.lives !== lives) strangers.clear();
      lives = rig.lives;
      const now = rig.time.now();
      const seconds = rig.isAlive() && !rig.isAsleep ? (now - looked) / 1000 : 0;
      looked = now;
      return [
        ...executions(rig),
        ...leases(rig),
        ...capacity(rig),
        ...unknownMachines(rig, strangers, seconds),
      ];
    },
  };
}

/** Never one job on two workers, nor two jobs on one: by what the machines themselves told. */
function executions({ deeds }: Rig): string[] {
  const found: string[] = [];
  const begun = new Set<string>();
  const at = new Map<string, string>();
  for (const { what, worker, job } of deeds) {
    if (what !== 'begin') at.delete(worker);
    else {
      if (begun.has(job)) found.push(`${job} was begun twice`);
      begun.add(job);
      if (at.has(worker)) found.push(`${worker} began ${job} with ${at.get(worker)} unfinished`);
      at.set(worker, job);
    }
  }
  return found;
}

function leases({ workers, jobs }: Rig): string[] {
  const found: string[] = [];
  const held = new Set<string>();
  for (const { id, state, lease } of workers()) {
    const rule = LEASES[state satisfies WorkerState];
    if (rule === 'always' && lease === null) found.push(`${id} is ${state} without a job`);
    if (rule === 'never' && lease !== null) found.push(`${id} is ${state} with a job`);
    if (lease === null) continue;
    if (held.has(keyOf(lease))) found.push(`${keyOf(lease)} has two workers`);
    held.add(keyOf(lease));
    if (!jobs.some((job) => keyOf(job) === keyOf(lease))) found.push(`${keyOf(lease)} is no job`);
  }
  return found;
}

function capacity({ workers, policy, sim }: Rig): string[] {
  const pooled = workers().filter((worker) => worker.pooled);
  const names = new Set(pooled.map(({ id }) => id));
  const machines = sim.instances().filter(({ name }) => names.has(name));
  const found: string[] = [];
  if (pooled.length > policy.maxInstances) found.push(`the pool has ${pooled.length} workers`);
  if (machines.length > policy.maxInstances) found.push(`the pool has ${machines.length} machines`);
  return found;
}

/** Never a machine without a row for longer than it takes to notice it twice and to delete it. */
function unknownMachines(rig: Rig, strangers: Map<string, number>, seconds: number): string[] {
  const known = new Set(rig.workers().map(({ zone, id }) => `${zone}/${id}`));
  const unknown = rig.sim.instances().flatMap(({ name, zone, status }) => {
    const place = `${zone.slice(zone.lastIndexOf('/') + 1)}/${name}`;
    // One on its way out is nobody's any more.
    return known.has(place) || status === 'STOPPING' ? [] : [place];
  });
  for (const place of strangers.keys()) if (!unknown.includes(place)) strangers.delete(place);
  for (const place of unknown) strangers.set(place, (strangers.get(place) ?? 0) + seconds);
  return [...strangers]
    .filter(([, since]) => since > rig.policy.visibilitySeconds + STRANGER_SECONDS)
    .map(([place]) => `nobody knows ${place}`);
}
