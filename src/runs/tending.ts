import { type GceConfig, problemIn } from '../config/gce.ts';
import { createSecrets } from '../config/secrets.ts';
import type { Clock } from '../core/clock.ts';
import type { Layout } from '../core/layout.ts';
import { processEnvironment } from '../os/process-environment.ts';
import { markProblem } from '../os/project-mark.ts';
import type { Db } from '../store/database.ts';
import { readLease } from '../store/lease.ts';
import { hasLivingWorkers } from '../store/living-workers.ts';
import { countOpenStageRuns } from '../store/stage-runs.ts';
import { isLeaseHeld } from './supervisor-lease.ts';

/**
 * Who can look after what a backend holds between runs: its settings may stand in the environment, and a supervisor has that
 * of whoever started it.
 */
export type Tending = {
  /** Whether there is something to be looked after, or a run that will make something. */
  isDue(): boolean;
  /** Whether this process can, or the one with that pid; undefined where nobody can say. */
  isPossible(pid?: number): boolean | undefined;
  /** Why runs of a backend wait for a supervisor that can use it; null where the one at work can. */
  obstacle(backend: string): string | null;
  /** Why nobody looks after what is there, and what to do; null where somebody does, or nothing is. */
  neglect(): Promise<Neglect | null>;
};

export type Neglect = { message: string; hint: string };

/** Of a project whose backends hold nothing between runs. */
export const NOTHING_TO_TEND: Tending = {
  isDue: () => false,
  isPossible: () => true,
  obstacle: () => null,
  neglect: async () => null,
};

type TendingOf = {
  /** The one that rents machines, and its settings. */
  backend: string;
  settings: Pick<GceConfig, 'references' | 'problem'>;
  db: Db;
  clock: Clock;
  layout: Pick<Layout, 'root' | 'stateDir'>;
  /** Whether this is the supervisor: then its own settings count, as it has read them. */
  isAtWork: boolean;
};

const START_ONE = 'Run "goldfish supervisor" where it is set right: it takes over.';

/** `problem` is undefined where nothing is wrong; `of` says whose environment was looked at. */
type Seen = { problem: string | undefined; of: 'supervisor' | 'us' };

/** Of a project that rents machines. */
export function createTending(project: TendingOf): Tending {
  const { backend: name, settings, db, layout } = project;
  const hasMachines = (): boolean => hasLivingWorkers(db);
  const isDue = (): boolean => hasMachines() || countOpenStageRuns(db, name) > 0;
  const obstacle = (): string | null => {
    const { problem, of } = seenAtWork(project);
    if (problem === undefined) return null;
    return of === 'supervisor' ? `${problem} where the supervisor was started` : problem;
  };
  return {
    isDue,
    isPossible: (pid) => {
      const seen = pid === undefined ? { problem: settings.problem } : seenIn(project, pid);
      return seen && seen.problem === undefined;
    },
    obstacle: (backend) => {
      const why = backend === name ? obstacle() : null;
      return why === null ? null : `backend ${name}: ${why}`;
    },
    neglect: async () => {
      if (!isDue()) return null;
      const why = obstacle();
      if (why !== null) return { message: `Nobody looks after rented machines: ${why}.`, hint: START_ONE };
      const stray = await markProblem(layout, { hasMachines });
      return stray && { message: stray.message, hint: stray.hint ?? '' };
    },
  };
}

/** Of the supervisor at work; of this process where there is none, since whoever looks may start one. */
function seenAtWork(project: TendingOf): Seen {
  const { settings, db, clock, isAtWork } = project;
  if (isAtWork) return { problem: settings.problem, of: 'supervisor' };
  const ours: Seen = { problem: settings.problem, of: 'us' };
  if (settings.references === undefined) return ours;
  const lease = readLease(db);
  const pid = isLeaseHeld(lease, clock) ? lease.pid : null;
  return (pid === null ? undefined : seenIn(project, pid)) ?? ours;
}

/** Undefined where its environment cannot be read. */
function seenIn({ settings, layout }: TendingOf, pid: number): Seen | undefined {
  const { references = [] } = settings;
  if (references.length === 0) return { problem: undefined, of: 'supervisor' };
  const environment = processEnvironment(pid);
  if (environment === undefined) return undefined;
  const secrets = createSecrets({ root: layout.root, environment });
  return { problem: problemIn(references, secrets), of: 'supervisor' };
}
